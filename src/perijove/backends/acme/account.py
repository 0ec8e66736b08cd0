"""Our account's key and URL at one CA, on disk: `account.key` and `account.json` in a folder of its directory's name.

The key is on disk before the CA hears of it, so that whatever is lost later can be had again with it. Files are
written aside and renamed, 0600, the folder 0700.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
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

from perijove.domain.certificate_failures import FILE_UNREADABLE
from perijove.domain.failures import DISK_FULL, STATE_UNUSABLE, Evidence, Fail

KEY, TOLD = "account.key", "account.json"


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
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = path.read_bytes() if path.exists() else _new_key(path)
    except OSError as error:
        raise _unwritable(error, path) from error
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
    try:
        _write(folder / TOLD, json.dumps(told, indent=1).encode())
    except OSError as error:
        raise _unwritable(error, folder / TOLD) from error


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
    _write(path, pem)
    return pem


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, whenever the machine stops."""
    aside = path.with_name(f".{path.name}.aside")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unwritable(error: OSError, path: Path) -> Fail:
    kind = DISK_FULL if error.errno in {ENOSPC, EDQUOT} else STATE_UNUSABLE
    return Fail(kind(error.strerror or "it cannot be used", Evidence(str(error.filename or path), str(error))))
