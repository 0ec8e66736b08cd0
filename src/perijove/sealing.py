"""What only one visitor can read: the public half of their key seals, the key itself, which they alone hold, opens.

A key is an X25519 private key (RFC 7748), 32 random bytes in base64url; no secret of the service opens what it seals.
A sealed file is a head that anybody can read, and pieces of ChaCha20-Poly1305 (RFC 8439), each with its number and
whether it is the last in its nonce. Their key, the *file's key*, comes by HKDF (RFC 5869) from the secret that the
visitor's key and one made for this file alone share, and from a hash of the head.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import struct
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY = re.compile(r"[A-Za-z0-9_-]{43}")
MAGIC = b"perijove sealed 1\n"
LARGEST_HEAD = 64 * 1024
PIECE, TAG = 64 * 1024, 16


def new_key() -> str:
    """Base64url, 43 characters."""
    return secrets.token_urlsafe(32)


def _private(key: str) -> X25519PrivateKey | None:
    try:
        raw = base64.b64decode(f"{key}=", altchars=b"-_", validate=True) if KEY.fullmatch(key) else b""
    except binascii.Error:
        return None
    return X25519PrivateKey.from_private_bytes(raw) if raw else None


def public_half(key: str) -> str:
    """64 hex digits, by which the key's holder may be known to everybody; `` where it is no key."""
    private = _private(key)
    return private.public_key().public_bytes_raw().hex() if private else ""


class Sealing:
    """A binary file that is written to, piece by piece, and then closed: without that it cannot be opened."""

    def __init__(self, file: BinaryIO, told: dict[str, Any], public: str) -> None:
        """`told`: what anybody can read of it, as JSON. Raises ValueError where `public` is no public half."""
        once = X25519PrivateKey.generate()
        head = json.dumps({**told, "for": public, "once": once.public_key().public_bytes_raw().hex()}).encode()
        theirs = X25519PublicKey.from_public_bytes(bytes.fromhex(public))
        self._cipher = ChaCha20Poly1305(_derived(once.exchange(theirs), head))
        self._file = file
        self._rest = bytearray()
        self._number = 0
        file.write(MAGIC + struct.pack(">I", len(head)) + head)

    def write(self, data: bytes) -> int:
        """Raises OSError."""
        self._rest += data
        while len(self._rest) > PIECE:  # the last piece is never empty but in an empty file
            self._piece(bytes(self._rest[:PIECE]), last=False)
            del self._rest[:PIECE]
        return len(data)

    def flush(self) -> None:
        """Nothing is given away before its piece is whole."""

    def close(self) -> None:
        """Write the last piece. Raises OSError."""
        self._piece(bytes(self._rest), last=True)

    def _piece(self, data: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), data, None))
        self._number += 1


def head(file: BinaryIO) -> dict[str, Any]:
    """What anybody can read of a sealed file, which is read up to there. Raises ValueError where it is none."""
    told = json.loads(_head(file))
    if not isinstance(told, dict):
        raise ValueError("its head is no object")
    return told


def _head(file: BinaryIO) -> bytes:
    if file.read(len(MAGIC)) != MAGIC or len(size := file.read(4)) < 4:
        raise ValueError("it is no sealed file")
    raw = file.read(min(struct.unpack(">I", size)[0], LARGEST_HEAD))
    if len(raw) != struct.unpack(">I", size)[0]:
        raise ValueError("its head is cut off, or too long")
    return raw


def file_key(file: BinaryIO, key: str) -> bytes:
    """What opens this file and no other, of the visitor's key. Raises ValueError where it is not this visitor's."""
    raw = _head(file)
    told, private = json.loads(raw), _private(key)
    if private is None or told["for"] != public_half(key):
        raise ValueError("it is sealed for somebody else")
    return _derived(private.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(told["once"]))), raw)


class Opening:
    """A binary file to be read: what was sealed, from its beginning, of a file that is at its beginning."""

    def __init__(self, file: BinaryIO, opens: bytes) -> None:
        """`opens`: the file's key. Raises ValueError where it is no sealed file."""
        _head(file)
        self._cipher = ChaCha20Poly1305(opens)
        self._file = file
        self._ahead = file.read(PIECE + TAG)
        self._rest = b""
        self._number = 0

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, fewer only at the end. Raises ValueError where it was changed or cut off."""
        found = bytearray()
        while size < 0 or len(found) < size:
            if not self._rest and not self._next():
                break
            wanted = len(self._rest) if size < 0 else size - len(found)
            found += self._rest[:wanted]
            self._rest = self._rest[wanted:]
        return bytes(found)

    def _next(self) -> bool:
        """Open the next piece; False after the last."""
        if self._number < 0:
            return False
        piece, self._ahead = self._ahead, self._file.read(PIECE + TAG)
        last = not self._ahead
        try:
            self._rest = self._cipher.decrypt(_nonce(self._number, last=last), piece, None)
        except InvalidTag as error:
            raise ValueError("it was changed or cut off, or the key is another's") from error
        self._number = -1 if last else self._number + 1
        return bool(self._rest)


def _nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">QxxxB", number, last)


def _derived(shared: bytes, head: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, MAGIC + hashlib.sha256(head).digest()).derive(shared)
