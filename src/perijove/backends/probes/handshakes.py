"""What a port shows in a TLS handshake: its certificate, whether visitors would trust it, an answer to TLS-ALPN-01.

In: an address, a port, a name. Out: `SeenCertificate`, and a `Hop` for the challenge. Nothing else is sent.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID, ObjectIdentifier

from perijove.backends.probes.errors import seen_error
from perijove.domain.certificates import Hop, HostName, SeenCertificate
from perijove.domain.parsing import bracketed

LIMIT = 2.0
"""Seconds for connecting and the handshake."""
ACME_TLS = "acme-tls/1"
ACME_IDENTIFIER = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""RFC 8737, 3 and 6.1."""
OURS = "ours"
NAMES = 100
"""Names of a certificate that are kept."""


class Handshakes:
    """Shakes hands by name; `roots` is the file by which certificates are judged, `` for Mozilla's."""

    def __init__(self, roots: Callable[[], str]) -> None:
        self._roots = roots
        self._any = unverified()
        self._challenge = unverified()
        self._challenge.set_alpn_protocols([ACME_TLS])

    async def certificate(self, address: str, port: int, name: HostName) -> SeenCertificate:
        """What is shown for a name, and whether it is trusted. Raises ConnectionError or TimeoutError in words."""
        roots = self._roots()
        try:
            problem = f"{roots} holds no certificates that can be read: nothing is believed"
            if trusting := _by_roots(roots):
                try:
                    async with _shaken(address, port, name, trusting) as (_, leaf):
                        return described(leaf, trusted=True)
                except ssl.SSLCertVerificationError as error:  # not trusted, but shown all the same
                    problem = error.verify_message
            async with _shaken(address, port, name, self._any) as (_, leaf):
                return replace(described(leaf, trusted=False), problem=problem)
        except ssl.SSLError as error:
            raise ConnectionError(f"no TLS handshake with {address} port {port}: {error}") from error

    async def challenge(self, address: str, port: int, host: HostName, expected: str) -> Hop:
        """What answers a CA's look for TLS-ALPN-01 (RFC 8737, 3; RFC 8738, 6 for addresses)."""
        began, url, place = time.monotonic(), f"https://{bracketed(host)}:{port}/", f"{bracketed(address)}:{port}"
        try:
            async with _shaken(address, port, _sni(host), self._challenge) as (shaken, leaf):
                answers = shaken.selected_alpn_protocol() == ACME_TLS and _identifier(leaf) == _digest(expected)
                seen = described(leaf, trusted=False)
        except (OSError, TimeoutError) as error:
            kind, words = seen_error(error)
            return Hop(url, place, 0, kind, words, seconds=time.monotonic() - began)
        marker = OURS if answers else ""
        return Hop(url, place, 0, marker=marker, certificate=seen, seconds=time.monotonic() - began)


def unverified() -> ssl.SSLContext:
    """Looks at whatever is shown, as CAs do on their way to a challenge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def described(leaf: bytes, *, trusted: bool) -> SeenCertificate:
    """A certificate in DER, as people speak of it. Raises ConnectionError where it cannot be read."""
    try:
        parsed = x509.load_der_x509_certificate(leaf)
        names: tuple[str, ...] = ()
        with suppress(x509.ExtensionNotFound):
            san = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = tuple(str(one.value) for one in san)[:NAMES]
        return SeenCertificate(
            _common_name(parsed.subject), names, _common_name(parsed.issuer),
            parsed.not_valid_before_utc.timestamp(), parsed.not_valid_after_utc.timestamp(),
            parsed.fingerprint(hashes.SHA256()).hex(), _self_signed(parsed), trusted,
        )  # fmt: skip
    except ValueError as error:
        raise ConnectionError(f"a certificate that cannot be read: {error}") from error


@asynccontextmanager
async def _shaken(
    address: str, port: int, name: str, context: ssl.SSLContext
) -> AsyncIterator[tuple[ssl.SSLObject, bytes]]:
    """A connection after its handshake, with the leaf in DER. Raises OSError (also ssl.SSLError), TimeoutError."""
    async with asyncio.timeout(LIMIT):
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    try:
        shaken = writer.get_extra_info("ssl_object")
        yield shaken, shaken.getpeercert(binary_form=True) or b""
    finally:
        writer.transport.abort()


def _by_roots(roots: str) -> ssl.SSLContext | None:
    """What trusts these roots; None where nobody can read them."""
    file = roots or certifi.where()
    try:
        return _trusting(file, Path(file).stat().st_mtime)
    except OSError:  # ssl.SSLError too
        return None


@lru_cache(maxsize=4)
def _trusting(file: str, changed: float) -> ssl.SSLContext:
    """Trusts these roots; kept until the file changes, since reading Mozilla's takes milliseconds."""
    return ssl.create_default_context(cafile=file)


def _identifier(leaf: bytes) -> bytes:
    """The DER inside the extension `acmeIdentifier`; empty where it has none."""
    try:
        found = x509.load_der_x509_certificate(leaf).extensions.get_extension_for_oid(ACME_IDENTIFIER).value
    except (x509.ExtensionNotFound, ValueError):
        return b""
    return found.value if isinstance(found, x509.UnrecognizedExtension) else b""


def _digest(expected: str) -> bytes:
    """A key authorization's digest as an OCTET STRING in DER."""
    return b"\x04\x20" + sha256(expected.encode()).digest()


def _sni(host: HostName) -> str:
    try:
        return ip_address(host).reverse_pointer
    except ValueError:
        return host


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value)[:200] if found else name.rfc4514_string()[:200]


def _self_signed(parsed: x509.Certificate) -> bool:
    if parsed.issuer != parsed.subject:
        return False
    try:
        parsed.verify_directly_issued_by(parsed)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
