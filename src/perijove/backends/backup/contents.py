"""What stands in a backup, and what it says of itself. In: its manifest as JSON. Out: a Manifest. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FORMAT = 1
"""Of the file; an older Perijove refuses a newer one."""
MANIFEST, CONTROL, SETTINGS = "manifest.json", "control", "settings.toml"
LARGEST_TEXT = 1024**2
"""Bytes of the manifest, and of the settings file."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    version: str
    """Of the Perijove that wrote it."""
    at: float
    """When, Unix seconds."""
    machine: str
    root: str
    """Where its state directory was."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What went into a backup, or came out of one."""

    manifest: Manifest
    files: int
    size: int
    """Bytes of their content."""
    settings: str
    """Where the settings file was read or written; `` for nowhere."""
