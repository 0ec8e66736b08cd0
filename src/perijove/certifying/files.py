"""The operator's own certificate files: read, and seen to change. In: paths. Out: bytes, and stamps that differ."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from perijove.domain.certificate_failures import FILE_UNREADABLE
from perijove.domain.certificates import CertificateSpec, Issuer, IssuerKind, Secret
from perijove.domain.failures import Evidence, Fail
from perijove.domain.sizes import size

LARGEST = 1 << 20
"""Bytes of a file that can still be a chain or a key."""
Stamp = tuple[tuple[int, int, int], ...]
"""Device, inode and time of change of each file."""


def stamp(issuer: Issuer) -> Stamp:
    """What changes whenever a file does; a file that is not there has zeros."""
    return tuple(_stamp(Path(name)) for name in (issuer.chain_file, issuer.key_file))


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_dev, found.st_ino, found.st_mtime_ns)


def read(name: str) -> bytes:
    """A file's bytes. Raises Fail: `cert.file-unreadable`."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Fail(FILE_UNREADABLE(f"{name}: {error.strerror or error}", Evidence(name, str(error)))) from error
    if len(data) > LARGEST:
        raise Fail(FILE_UNREADABLE(f"{name} is larger than any chain", Evidence(name, f"more than {size(LARGEST)}")))
    return data


def leaf(chain: bytes) -> str:
    """The SHA-256 of a chain's first certificate in DER, hexadecimal; `` where there is none."""
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    first = chain.partition(begin)[2].partition(end)[0]
    try:
        der = ssl.PEM_cert_to_DER_cert((begin + first + end).decode("ascii"))
    except ValueError:
        return ""
    return hashlib.sha256(der).hexdigest() if der else ""


class FilesWatch:
    """Whether a host's files are others than those that were taken last."""

    def __init__(self, spec: CertificateSpec) -> None:
        self._issuer = next((issuer for issuer in spec.issuers if issuer.kind is IssuerKind.FILES), None)
        self._first = self._issuer is not None and spec.issuers[0] == self._issuer
        self._seen: Stamp = ()
        self._taken: Stamp = ()

    @property
    def watching(self) -> bool:
        """Whether the host may have its certificate from files."""
        return self._issuer is not None

    def taken(self) -> None:
        """An attempt takes them as they are now."""
        if self._issuer is not None:
            self._taken = self._seen = stamp(self._issuer)

    def changed(self, secret: Secret | None) -> bool:
        """Whether they have changed, and nobody is writing them any more; `secret` is what is served."""
        issuer = self._issuer
        if issuer is None or not (self._first or (secret is not None and secret.issuer == issuer.name)):
            return False
        before, self._seen = self._seen, stamp(issuer)
        if self._seen in (self._taken, ()) or before != self._seen:
            return False
        try:
            same = secret is not None and leaf(read(issuer.chain_file)) == secret.fingerprint
        except Fail:
            same = False  # an attempt tells what is wrong with them
        if same:
            self._taken = self._seen
        return not same
