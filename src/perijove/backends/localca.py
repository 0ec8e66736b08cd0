"""The embedded CA: certificates for names of this machine and its network, with no internet. Implements `Authority`.

    local-ca/root.pem, root.key            made once, ten years; both or neither
            /issued/<serial>.pem           a chain; `.revoked` beside it once it was
An order's URL holds its serial number and its names, so that a restart finds all of it again.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from perijove import durable
from perijove.certifying import local_names, secret
from perijove.certifying.formatting import DAY, moment
from perijove.domain.certificate_failures import ACME_ERROR, LOCAL_CA_BROKEN, NAME_REJECTED, ORDER_LOST
from perijove.domain.certificates import (
    Account,
    AuthorizationView,
    CaDirectory,
    HostName,
    OrderStatus,
    OrderView,
    RenewalWindow,
    Secret,
    written,
)
from perijove.domain.failures import Evidence, Fail
from perijove.domain.ports import Clock
from perijove.domain.state import State

ROOT, KEY = "root.pem", "root.key"
ROOT_LASTS = 3652 * DAY
LEAF_LASTS = 90 * DAY
SHORTEST = DAY
"""What a root must still have before it for a leaf to be worth signing."""
BACKDATED = 3600.0
"""Seconds by which certificates begin before now: clocks of visitors differ."""
SCHEME = "local"


@dataclass(frozen=True, slots=True)
class _Ca:
    root: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def constraints(self) -> x509.NameConstraints:
        return self.root.extensions.get_extension_for_class(x509.NameConstraints).value


@dataclass(frozen=True, slots=True)
class _Order:
    serial: int
    hosts: tuple[HostName, ...]


class LocalAuthority:
    """Implements the port `Authority`. Every method raises Fail `cert.local-ca-broken` for files that are damaged."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._folder, self._clock = state.local_ca, clock

    def root_pem(self) -> bytes:
        """The root, for whoever wants to trust it; made where there is none. Raises Fail: `platform.disk-full`."""
        return secret.chain_pem((self._ca().root,))

    async def directory(self) -> CaDirectory:
        self._ca()
        return CaDirectory(f"{SCHEME}:")

    async def account(self) -> Account:
        return Account(f"{SCHEME}:", "")

    async def new_order(self, hosts: tuple[HostName, ...], profile: str = "", replaces: str = "") -> OrderView:
        constraints = self._ca().constraints
        for host in hosts:
            if not local_names.permits(constraints, host):
                raise _rejected(host, constraints)
        query = urlencode([("host", host) for host in hosts])
        return self._view(f"{SCHEME}:{x509.random_serial_number():x}?{query}")

    async def order(self, url: str) -> OrderView:
        return self._view(url)

    async def authorization(self, url: str) -> AuthorizationView:
        raise Fail(ORDER_LOST("the embedded CA wants nothing shown", Evidence(url[:200], "no such authorization")))

    async def answer(self, challenge: str) -> None:
        raise Fail(ORDER_LOST("the embedded CA wants nothing shown", Evidence(challenge[:200], "no such challenge")))

    async def finalize(self, order: OrderView, csr: bytes) -> OrderView:
        view = self._view(order.url)
        if view.status is OrderStatus.READY:
            asked = _asked(order.url)
            chain = secret.chain_pem(self._signed(asked, _checked(csr, asked)))
            path = self._issued(asked.serial)
            with durable.told(path):
                durable.folder(path.parent)
                durable.write(path, chain)
        return self._view(order.url)

    async def certificate(self, url: str) -> bytes:
        path = self._issued(_asked(url).serial)
        if not path.exists():
            raise Fail(ORDER_LOST("this certificate was never issued", Evidence(str(path), "is not there")))
        return durable.read(path)

    async def revoke(self, secret: Secret, reason: int) -> None:
        """Written down, and nothing more: nobody asks an embedded CA whether a certificate of its still counts."""
        self._ca()
        path = self._issued(int(secret.serial, 16)).with_suffix(".revoked")
        with durable.told(path):
            durable.folder(path.parent)
            durable.write(path, json.dumps({"host": secret.host, "at": self._clock.now(), "reason": reason}).encode())

    async def renewal_window(self, secret: Secret) -> RenewalWindow | None:
        return None

    def _issued(self, serial: int) -> Path:
        return self._folder / "issued" / f"{serial:x}.pem"

    def _view(self, url: str) -> OrderView:
        asked = _asked(url)
        view = OrderView(url, OrderStatus.READY, (), url)
        if self._issued(asked.serial).exists():
            return replace(view, status=OrderStatus.VALID, certificate=url)
        return view

    def _signed(self, asked: _Order, request: x509.CertificateSigningRequest) -> tuple[x509.Certificate, ...]:
        """Leaf and root: who was told the root's fingerprint can compare it in any handshake."""
        ca, now = self._ca(), self._clock.now()
        for host in asked.hosts:
            if not local_names.permits(ca.constraints, host):
                raise _rejected(host, ca.constraints)
        ends = min(now + LEAF_LASTS, ca.root.not_valid_after_utc.timestamp())
        held = x509.SubjectAlternativeName([secret.general_name(host) for host in asked.hosts])
        public = ca.key.public_key()
        leaf = (
            x509.CertificateBuilder(ca.root.subject, x509.Name([]), request.public_key(), asked.serial)
            .not_valid_before(_second(max(now - BACKDATED, ca.root.not_valid_before_utc.timestamp())))
            .not_valid_after(_second(ends))
            .add_extension(held, critical=True)  # the subject is empty (RFC 5280, 4.2.1.6)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
            .sign(ca.key, hashes.SHA256())
        )
        return leaf, ca.root

    def _ca(self) -> _Ca:
        """As the disk has it now."""
        if not self._folder.is_dir() or not any(self._folder.iterdir()):
            self._make()
        ca = _read(self._folder)
        now = self._clock.now()
        begins, ends = ca.root.not_valid_before_utc.timestamp(), ca.root.not_valid_after_utc.timestamp()
        if not begins <= now < ends - SHORTEST:
            seen = Evidence(str(self._folder / ROOT), f"valid from {moment(begins)} to {moment(ends)}")
            cause = f"its root ends on {moment(ends)}" if now > begins else f"its root begins on {moment(begins)}"
            remedy = (
                "Look at this machine's clock; or remove the folder: a new root is made, and has to be trusted anew."
            )
            raise Fail(LOCAL_CA_BROKEN(f"{cause}, and it is {moment(now)}", seen, remedy=remedy))
        return ca

    def _make(self) -> None:
        """Root and key appear together, in one rename; whoever comes second finds the first one's."""
        aside = self._folder.with_name(f".{self._folder.name}.aside")
        with durable.told(self._folder):
            shutil.rmtree(aside, ignore_errors=True)
            durable.folder(aside)
            root, key = _new_root(socket.gethostname(), self._clock.now())
            durable.write(aside / KEY, key)
            durable.write(aside / ROOT, secret.chain_pem((root,)))
            try:
                aside.rename(self._folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                shutil.rmtree(aside)
            durable.sync(self._folder.parent)


def _new_root(machine: str, now: float) -> tuple[x509.Certificate, bytes]:
    pem = secret.new_key()
    key = secret.read_key(pem, KEY)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    called = f"Perijove local CA ({machine[:30]}, {datetime.fromtimestamp(now, UTC):%Y-%m-%d})"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(_second(now - BACKDATED))
        .not_valid_after(_second(now + ROOT_LASTS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(local_names.constraints(machine), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return root, pem


def _read(folder: Path) -> _Ca:
    """Root and key from their files. Raises Fail: `cert.local-ca-broken`."""
    where = str(folder / ROOT)
    try:
        root = secret.read_chain(durable.read(folder / ROOT), where)[0]
        pem, where_key = durable.read(folder / KEY), str(folder / KEY)
        secret.check_key(root, pem, where_key)
        key = secret.read_key(pem, where_key)
        root.extensions.get_extension_for_class(x509.NameConstraints)
    except Fail as fail:
        cause = f"{fail.failure.kind.title.lower()}: {fail.failure.cause}"
        raise Fail(LOCAL_CA_BROKEN(cause, *fail.failure.evidence)) from fail
    except x509.ExtensionNotFound as error:
        raise Fail(LOCAL_CA_BROKEN("its root is not confined to local names", Evidence(where, str(error)))) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Fail(LOCAL_CA_BROKEN("its key is not of the kind we make", Evidence(where_key, type(key).__name__)))
    return _Ca(root, key)


def _asked(url: str) -> _Order:
    """The order that a URL stands for. Raises Fail: `cert.order-lost`."""
    parts = urlsplit(url)
    if parts.scheme != SCHEME or not re.fullmatch(r"[0-9a-f]{1,40}", parts.path):
        raise Fail(ORDER_LOST("this is no order of the embedded CA", Evidence("order", url[:200])))
    return _Order(int(parts.path, 16), tuple(parse_qs(parts.query).get("host", ())))


def _checked(csr: bytes, asked: _Order) -> x509.CertificateSigningRequest:
    """A request that is whole and asks for what was ordered. Raises Fail: `cert.acme-error`."""
    try:
        request = x509.load_der_x509_csr(csr)
        held = secret.names(request)
        signed = request.is_signature_valid
    except ValueError as error:
        raise Fail(ACME_ERROR("it cannot read the request", Evidence("request", str(error)[:200]))) from error
    if not signed:
        raise Fail(ACME_ERROR("the request is not signed with its own key", Evidence("request", "bad signature")))
    if set(map(written, held)) != set(map(written, asked.hosts)):
        seen = Evidence("request", f"{', '.join(held)[:500] or 'no names'}; ordered: {', '.join(asked.hosts)[:500]}")
        raise Fail(ACME_ERROR("the request is for other names than the order", seen))
    return request


def _rejected(host: HostName, constraints: x509.NameConstraints) -> Fail:
    names, networks = local_names.permitted_names(constraints), local_names.permitted_networks(constraints)
    seen = Evidence("the root's name constraints", ", ".join((*names, *map(str, networks))))
    remedy = "Use another issuer for it, or a name below one of those the root holds: `.local`, `.internal`."
    return Fail(NAME_REJECTED(f"the embedded CA signs for local names alone, and {host} is none", seen, remedy=remedy))


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _second(at: float) -> datetime:
    return datetime.fromtimestamp(int(at), UTC)
