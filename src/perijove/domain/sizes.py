"""Sizes as people read them, in logs, evidence and pages, and how many files one has room for. Pure."""

from __future__ import annotations

_UNITS = (("TB", 2**40), ("GB", 2**30), ("MB", 2**20), ("KB", 2**10))
"""As in the settings file, where `1G` is 1024 times `1M`."""


def size(number: float) -> str:
    """Bytes, to three digits: `1.5 GB`. Never more than there are: what is a byte short of 2 GB is 1.99 GB."""
    for unit, scale in _UNITS:
        if number >= scale:
            parts = 1 if number >= 100 * scale else 10 if number >= 10 * scale else 100
            return f"{number * parts // scale / parts:g} {unit}"
    return f"{number:.0f} bytes"


BYTES_A_FILE, FEWEST_FILES = 8192, 16384


def inodes(disk: int) -> int:
    """How many files and folders a disk of so many bytes has room for: repositories and packages have small ones."""
    return max(disk // BYTES_A_FILE, FEWEST_FILES)
