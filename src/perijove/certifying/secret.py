"""Keys, requests and chains as values: what is asked for, and whether what came is right. Pure; uses `cryptography`.

In: PEM, a host, a time. Out: PEM, DER, a `Secret`; or the Fail that says what is wrong with somebody's files.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes, PrivateKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from perijove.certifying.formatting import moment
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import HostName, Secret, covers
from perijove.domain.failures import Evidence, Fail
from perijove.domain.site_failures import CERTIFICATE_UNTRUSTED

CLOCK_GRACE = 300.0
"""Seconds by which a certificate's beginning may lie ahead: the CA's clock and ours differ a little."""
INTERMEDIATE = "intermediate.pem"
LONGEST_NAME = 64
"""Characters of a common name (RFC 5280, appendix A: ub-common-name)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who a chain came from: the issuer's name, and the ACME directory, `` for others; and what for."""

    issuer: str
    directory: str
    ordered: tuple[HostName, ...] = ()
    """Names that it was got for, where they are several."""


def new_key() -> bytes:
    """A fresh ECDSA P-256 key: PKCS #8 in PEM, not encrypted."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request(hosts: tuple[HostName, ...], key: bytes) -> bytes:
    """A signing request (RFC 2986) for hosts, names or addresses, in DER; `key` in PEM.

    Raises Fail: `cert.file-unreadable`.
    """
    private = read_key(key, "private key")
    names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    signed = builder.sign(private, hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.DER)


def general_name(host: HostName) -> x509.DNSName | x509.IPAddress:
    """A host as it stands in certificates (RFC 5280, 4.2.1.6)."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def read_chain(chain: bytes, where: str) -> tuple[x509.Certificate, ...]:
    """PEM's certificates, leaf first, each signed by the next. Raises Fail: `cert.file-unreadable`, `chain-broken`."""
    try:
        certificates = tuple(x509.load_pem_x509_certificates(chain))
        subjects = [_known_as(one) for one in certificates]
    except ValueError as error:
        raise Fail(rows.FILE_UNREADABLE("it holds no certificates in PEM", _beginning(where, chain, error))) from error
    for number, (one, signer) in enumerate(pairwise(certificates), start=1):
        try:
            one.verify_directly_issued_by(signer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            seen = (
                Evidence(f"{where}, certificate {number}", f"{subjects[number - 1]}, issued by {_text(one.issuer)}"),
                Evidence(f"{where}, certificate {number + 1}", subjects[number]),
            )
            how = str(error) or "the signature is not that key's"
            cause = f"certificate {number + 1} did not sign certificate {number}: {how[:200].rstrip('.')}"
            raise Fail(rows.CHAIN_BROKEN(cause, *seen)) from error
    return certificates


def read_key(key: bytes, where: str) -> PrivateKeyTypes:
    """A private key in PEM; its text is never evidence. Raises Fail: `cert.file-unreadable`."""
    try:
        return serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        how = str(error).partition("\n")[0][:200]
        raise Fail(
            rows.FILE_UNREADABLE("it holds no private key in PEM that can be read", Evidence(where, how))
        ) from error


def check_key(leaf: x509.Certificate, key: bytes, where: str) -> None:
    """Whether the key is the certificate's. Raises Fail: `cert.key-mismatch`, `cert.file-unreadable`."""
    ours, theirs = public_digest(read_key(key, where).public_key()), public_digest(leaf.public_key())  # type: ignore[arg-type]
    if ours != theirs:
        seen = Evidence(where, f"SHA-256 of its public key is {ours}, of the certificate's {theirs}")
        raise Fail(rows.KEY_MISMATCH(f"it belongs to another one than that of {_known_as(leaf)}", seen))


def check_names(leaf: x509.Certificate, hosts: tuple[HostName, ...], where: str) -> None:
    """Whether the certificate holds these hosts; a wildcard holds one label. Raises Fail: `cert.names-missing`."""
    held = names(leaf)
    if missing := [host for host in hosts if not covers(held, host)]:
        seen = Evidence(where, "its names: " + (", ".join(held)[:500] or "none"))
        others = f", nor are {len(missing) - 1} others that it should be for" if len(missing) > 1 else ""
        raise Fail(rows.NAMES_MISSING(f"{missing[0]} is not among them{others}", seen))


def check_whole(certificates: tuple[x509.Certificate, ...], known: Iterable[x509.Certificate], where: str) -> None:
    """Whether somebody can follow a certificate that stands alone to a root: its own, or one of the `known`.

    Raises Fail: `cert.chain-broken`.
    """
    alone = certificates[0]
    if len(certificates) > 1 or any(_signed_by(alone, one) for one in (alone, *known)):
        return
    signer = common_name(alone.issuer)
    cause = f"{signer} signed it, and {signer}'s certificate is not there"
    remedy = f"Append it: `cat leaf.pem {INTERMEDIATE} > chain.pem`. {_offered(alone)}"
    raise Fail(rows.CHAIN_BROKEN(cause, Evidence(where, f"one certificate: {_known_as(alone)}"), remedy=remedy.strip()))


def check_believed(
    certificates: tuple[x509.Certificate, ...],
    roots: Iterable[x509.Certificate],
    host: HostName,
    now: float,
    where: str,
) -> None:
    """Whether one of these roots leads to it at `now`, in Unix seconds, as browsers and phones look (RFC 5280, 6).

    Raises Fail: `cert.not-valid-now`, `cert.chain-broken`, `site.certificate-untrusted`.
    """
    known = list(roots)
    policy = PolicyBuilder().store(Store(known)).time(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
    try:
        policy.build_server_verifier(general_name(host)).verify(certificates[0], list(certificates[1:]))
    except VerificationError as error:
        for number, one in enumerate(certificates[1:], 2):
            check_time(one, now, f"{where}, certificate {number} ({_known_as(one)})")
        check_whole(certificates, known, where)
        last = certificates[-1]
        seen = Evidence(
            f"{where}, certificate {len(certificates)}", f"{_known_as(last)}, signed by {_text(last.issuer)}"
        )
        cause = f"browsers find no way from it to a root that they know: {str(error)[:200]}"
        remedy = "Serve a certificate of a CA that browsers know; where it is one of your own, lay its root into each."
        raise Fail(CERTIFICATE_UNTRUSTED(cause, seen, remedy=remedy)) from error


def _signed_by(one: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _offered(certificate: x509.Certificate) -> str:
    """Where the CA offers its own certificate (RFC 5280, 4.2.2.1); `` where it does not say."""
    try:
        told = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    places = [
        one.access_location.value for one in told if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    ]
    return f"The CA offers it at {str(places[0])[:200]}." if places else ""


def check_time(leaf: x509.Certificate, now: float, where: str) -> None:
    """Whether it is valid at `now`, in Unix seconds. Raises Fail: `cert.not-valid-now`."""
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    if begins - CLOCK_GRACE <= now < ends:
        return
    seen = Evidence(
        where, f"valid from {moment(begins)} to {moment(ends)}, and this machine's clock says {moment(now)}"
    )
    cause = f"it ended on {moment(ends)}" if now >= ends else f"it begins on {moment(begins)}"
    raise Fail(rows.NOT_VALID_NOW(cause, seen))


def verified(chain: bytes, key: bytes, hosts: tuple[HostName, ...], now: float) -> tuple[x509.Certificate, ...]:
    """The certificates of a chain that is whole, the key's, for these hosts and valid at `now`; leaf first.

    Raises Fail: `cert.file-unreadable`, `cert.chain-broken`, `cert.key-mismatch`, `cert.names-missing`,
    `cert.not-valid-now`.
    """
    certificates = read_chain(chain, "chain")
    check_key(certificates[0], key, "private key")
    check_names(certificates[0], hosts, "certificate")
    check_time(certificates[0], now, "certificate")
    return certificates


def chain_pem(certificates: tuple[x509.Certificate, ...]) -> bytes:
    """Certificates in PEM and nothing else, whatever stood beside them."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key: bytes) -> bytes:
    """A private key in PEM and nothing else, as PKCS #8. Raises Fail: `cert.file-unreadable`."""
    private = read_key(key, "private key")
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def described(leaf: x509.Certificate, host: HostName, origin: Origin, chain: Path, key: Path) -> Secret:
    """What a leaf says of itself, as a `Secret`; its revision is the name of the folder of its files."""
    return Secret(
        host=host,
        revision=chain.parent.name,
        names=names(leaf),
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=leaf.not_valid_after_utc.timestamp(),
        serial=serial(leaf),
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        signed_by=common_name(leaf.issuer),
        issuer=origin.issuer,
        directory=origin.directory,
        ari=ari(leaf),
        chain=chain,
        key=key,
        ordered=origin.ordered,
    )


def names(certificate: x509.Certificate | x509.CertificateSigningRequest) -> tuple[str, ...]:
    """Names and addresses of the subjectAltName; a common name counts for nothing (RFC 9525, 2)."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in held.get_values_for_type(x509.IPAddress)]
    return (*held.get_values_for_type(x509.DNSName), *addresses)


def serial(certificate: x509.Certificate) -> str:
    """Hexadecimal, whole bytes."""
    digits = f"{certificate.serial_number:x}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def ari(leaf: x509.Certificate) -> str:
    """The identifier for renewal information (RFC 9773, 4.1); `` without an authority key identifier."""
    try:
        extension = leaf.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    except x509.ExtensionNotFound:
        return ""
    identifier = getattr(extension.value, "key_identifier", None)
    if not identifier:
        return ""
    number = leaf.serial_number
    return f"{_base64url(identifier)}.{_base64url(number.to_bytes(number.bit_length() // 8 + 1, 'big'))}"


def public_digest(key: CertificateIssuerPublicKeyTypes) -> str:
    """SHA-256 of a public key's SubjectPublicKeyInfo, hexadecimal."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


def common_name(name: x509.Name) -> str:
    """Its common name, or all of it where it has none; bounded."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value)[:200] if found else _text(name)


def _known_as(certificate: x509.Certificate) -> str:
    return _text(certificate.subject) or ", ".join(names(certificate))[:200] or f"serial {serial(certificate)}"


def _text(name: x509.Name) -> str:
    return name.rfc4514_string()[:200]


def _beginning(where: str, content: bytes, error: ValueError) -> Evidence:
    """What stood there, unless it may be a key."""
    lines = content.decode("ascii", "replace").strip().splitlines()
    first = lines[0][:80] if lines else "nothing"
    if lines and "PRIVATE" in content.decode("ascii", "replace"):
        first = "a private key"
    return Evidence(where, f"{first}: {str(error)[:200]}")


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
