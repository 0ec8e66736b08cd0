"""The static files of our pages. Out: where they are, and what stands in their addresses."""

from __future__ import annotations

import hashlib
from pathlib import Path

STATIC = Path(__file__).parent / "static"


def _version() -> str:
    digest = hashlib.sha256()
    for file in sorted(STATIC.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


ASSETS_VERSION = _version()
"""Stands in the address of every static file; changes when one of them does."""
