"""A CA for servers on loopback: a root of its own, and leaves whose validity the test says. Keys never leave a test."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

CA_ISSUERS = AuthorityInformationAccessOID.CA_ISSUERS
DAY = 86400.0
NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Leaf:
    """A certificate and its key, in files."""

    chain: Path
    key: Path


class PrivateCa:
    """`file` holds the root in PEM, or what leads to it; leaves are written beside it."""

    def __init__(
        self, folder: Path, name: str = "Loopback test root", signer: PrivateCa | None = None, ends: float = 3650 * DAY
    ) -> None:
        """`signer`: whose intermediate it is; `ends`: seconds from now."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "root.pem"
        self.offers = ""
        """Where leaves say that its own certificate is (RFC 5280, 4.2.2.1); `` where they do not."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = signer or self
        self.root = (
            _builder(self._name, by._name, self._key.public_key(), -90 * DAY, ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by._key.public_key()), critical=False)
            .sign(by._key, hashes.SHA256())
        )
        self.file.write_bytes(self.root.public_bytes(Encoding.PEM))

    def leaf(self, *names: str, valid_from: float = -DAY, valid_until: float = 365 * DAY, called: str = "leaf") -> Leaf:
        """One for these names (`NAMES` without any); validity in seconds from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (names or NAMES)[0])])
        builder = _builder(subject, self._name, key.public_key(), valid_from, valid_until)
        if self.offers:
            there = x509.AccessDescription(CA_ISSUERS, x509.UniformResourceIdentifier(self.offers))
            builder = builder.add_extension(x509.AuthorityInformationAccess([there]), critical=False)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names or NAMES]), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        written = Leaf(self.folder / f"{called}.pem", self.folder / f"{called}.key")
        written.chain.write_bytes(certificate.public_bytes(Encoding.PEM) + self.file.read_bytes())
        written.key.touch(0o600)
        written.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return written

    def signed(self, csr: bytes, valid_from: float = -DAY, valid_until: float = 90 * DAY) -> bytes:
        """A chain in PEM, leaf and root, for a signing request in DER; validity in seconds from now."""
        asked = x509.load_der_x509_csr(csr)
        key = asked.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        leaf = (
            _builder(x509.Name([]), self._name, key, valid_from, valid_until)
            .add_extension(names.value, critical=True)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return leaf.public_bytes(Encoding.PEM) + self.file.read_bytes()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid_from: float, valid_until: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(seconds=valid_from))
        .not_valid_after(now + datetime.timedelta(seconds=valid_until))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
