"""What rattler's process is asked and answers: values that travel as JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perijove.backends.environments.installer import Room


@dataclass(frozen=True, slots=True)
class World:
    """Where packages come from, and where they are kept."""

    cache: Path
    mirrors: tuple[tuple[str, str], ...]
    """Addresses of channels and where they are fetched from instead, each ends in a slash; may hold tokens."""
    hosts: tuple[str, ...]
    """That packages may come from."""
    platform: str
    """`linux-64`"""

    @property
    def packages(self) -> Path:
        return self.cache / "packages"

    @property
    def lists(self) -> Path:
        """What channels list."""
        return self.cache / "lists"


@dataclass(frozen=True, slots=True)
class Question:
    """Which packages?"""

    path: str
    """The file that asks."""
    channels: tuple[str, ...]
    """Addresses, the first preferred."""
    specs: tuple[str, ...]
    added: tuple[str, ...]
    """Specs of ours, kept as far as the channels know them."""
    usual: tuple[str, ...]
    """Specs of ours, left out where they do not fit with the others."""
    preferred: str
    """A spec for a Python where the author names none; dropped where nothing fits it."""
    virtual: tuple[str, ...]
    """`__glibc=2.36`"""
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """These."""

    lock: str
    """As pixi.lock has them."""
    python: str
    """`3.11.7`"""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """Link what a lock says."""

    lock: str
    at: Path
    """Where."""
    final: Path
    """Where it will stand."""
    work: Path
    """For what comes and goes."""
    room: Room
    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scripted:
    """A package with a script to be run once it is linked (`post-link`)."""

    name: str
    version: str
    number: str
    """Of its build."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What stands there."""

    packages: int
    python: str
    """Its package's folder in the cache."""
    variables: tuple[tuple[str, str], ...]
    """That the environment sets, in their order."""
    scripts: bool
    """Whether activating it runs scripts."""
    scripted: tuple[Scripted, ...]
    """In the order in which they were linked."""
