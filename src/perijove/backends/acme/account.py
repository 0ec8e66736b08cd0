"""Our account's key and URL at one CA, on disk: `account.key` and `account.json` in a folder of its directory's name.

The key is on disk before the CA hears of it, so that whatever is lost later can be had again with it. Files are
written aside and renamed, 0600, the folder 0700.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy.json_util import encode_b64jose
from josepy.jwk import JWKEC

from perijove import durable
from perijove.domain.certificate_failures import FILE_UNREADABLE
from perijove.domain.failures import Evidence, Fail

KEY, TOLD = "account.key", "account.json"
_MAKING = threading.Lock()
"""Issuers that differ in a profile alone share a folder, and must not each make a key."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the disk knows of an account."""

    key: JWKEC
    url: str = ""
    """`` where the CA was not asked yet, or what it said was lost."""
    email: str = ""

    @property
    def thumbprint(self) -> str:
        """RFC 7638, base64url."""
        return encode_b64jose(self.key.thumbprint())


def folder_name(directory_url: str) -> str:
    """A directory's host, port and path joined by hyphens: `https://127.0.0.1:14000/dir` is `127.0.0.1-14000-dir`."""
    parts = urlsplit(directory_url)
    joined = f"{parts.netloc.rpartition('@')[2]}-{parts.path}-{parts.query}".lower()
    return re.sub(r"[^a-z0-9.]+", "-", joined).strip("-.")[:200] or "unnamed"


def load(folder: Path, directory_url: str) -> Kept:
    """What stands there; a key is made where none does.

    Raises Fail: `cert.file-unreadable` for a key that cannot be read (it is never replaced: an account hangs on it),
    `platform.disk-full`, `platform.state-unusable`.
    """
    path = folder / KEY
    with _MAKING, durable.told(path):
        durable.folder(folder)
        pem = durable.read(path) if path.exists() else _new_key(path)
    try:
        key = load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise TypeError("no P-256 key")  # noqa: TRY301  one failure for all that may be wrong with it
    except (ValueError, TypeError) as error:
        seen = Evidence(str(path), str(error)[:200])
        remedy = "Restore it from a backup, or remove it: a new account is then registered by itself."
        raise Fail(FILE_UNREADABLE("the account's key is damaged", seen, remedy=remedy)) from error
    url, email = _told(folder / TOLD, directory_url)
    return Kept(JWKEC(key=key), url, email)


def keep(folder: Path, directory_url: str, url: str, email: str) -> None:
    """What the CA said of the account. Raises Fail: `platform.disk-full`, `platform.state-unusable`."""
    told = {"directory": directory_url, "url": url, "email": email}
    with durable.told(folder / TOLD):
        durable.write(folder / TOLD, json.dumps(told, indent=1).encode())


def _told(path: Path, directory_url: str) -> tuple[str, str]:
    """The URL and the email; nothing where the file is missing, damaged or another directory's: the CA can tell."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return "", ""
    if not isinstance(told, dict) or told.get("directory") != directory_url:
        return "", ""
    url, email = told.get("url"), told.get("email")
    return (url, email) if isinstance(url, str) and isinstance(email, str) else ("", "")


def _new_key(path: Path) -> bytes:
    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    durable.write(path, pem)
    return pem
