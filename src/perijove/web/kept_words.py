"""Kept work as pages tell it. Values in, words out. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from perijove.domain.keeping import KeptWork
from perijove.domain.sizes import size


def files(work: KeptWork) -> str:
    """`3 files (1.2 MB)`."""
    return f"{work.files} file{'s' * (work.files != 1)} ({size(work.size)})"


def day(moment: float) -> str:
    """When something is removed."""
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %B %Y, %H:%M UTC")
