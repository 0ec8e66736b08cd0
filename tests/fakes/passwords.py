"""Passwords that are checked in no time: real ones take a third of a second of a processor."""

from __future__ import annotations

import base64
import hashlib


def cheap(password: str) -> str:
    """What is kept of a password, by little work of scrypt."""
    key = hashlib.scrypt(password.encode(), salt=b"salt", n=16, r=8, p=1, dklen=32)
    return f"scrypt$4$8$1${base64.b64encode(b'salt').decode()}${base64.b64encode(key).decode()}"
