"""The embedded CA: its root is made once and confined to local names, and what it signs is believed by TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import time
from collections.abc import Awaitable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from perijove.backends.localca import LocalAuthority
from perijove.backends.secrets import DiskSecrets
from perijove.certifying import secret as values
from perijove.domain.certificate_failures import ACME_ERROR, LOCAL_CA_BROKEN, NAME_REJECTED, ORDER_LOST
from perijove.domain.certificates import CaDirectory, Issuer, IssuerKind, OrderStatus
from perijove.domain.failures import Fail, Failure, Kind
from perijove.domain.state import State
from tests.fakes.private_ca import DAY
from tests.fakes.world import FakeClock

NOW = time.time()
LOCAL = Issuer("local", IssuerKind.LOCAL)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


async def refused(kind: Kind, asked: Awaitable[object]) -> Failure:
    with pytest.raises(Fail) as caught:
        await asked
    assert caught.value.failure.kind is kind
    assert caught.value.failure.evidence
    return caught.value.failure


async def issued(state: State, clock: FakeClock, *hosts: str) -> tuple[bytes, bytes]:
    """A chain and its key."""
    authority, key = LocalAuthority(state, clock), values.new_key()
    order = await authority.finalize(await authority.new_order(hosts), values.request(hosts, key))
    return await authority.certificate(order.certificate), key


def shaken(state: State, chain: bytes, key: bytes, host: str, folder: Path) -> None:
    """A TLS handshake in memory by a client that trusts the root. Raises ssl.SSLError."""
    (folder / "root.pem").write_bytes(LocalAuthority(state, FakeClock(NOW)).root_pem())
    (folder / "both.pem").write_bytes(chain + key)
    trusting = ssl.create_default_context(cafile=str(folder / "root.pem"))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "both.pem")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(back, there, server_hostname=host)
    server = serving.wrap_bio(there, back, server_side=True)
    waiting = [client, server, client, server]
    for one in waiting:
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(one)
            assert len(waiting) < 20


@pytest.mark.parametrize("host", ["localhost", "wiki.localhost", "127.0.0.1", "::1", "192.168.7.9", "pve.local"])
async def test_what_it_signs_is_believed_by_who_trusts_its_root(
    state: State, clock: FakeClock, tmp_path: Path, host: str
) -> None:
    chain, key = await issued(state, clock, host)
    shaken(state, chain, key, host, tmp_path)
    leaf = values.verified(chain, key, (host,), NOW)[0]
    assert leaf.not_valid_after_utc.timestamp() == pytest.approx(NOW + 90 * DAY, abs=2)
    assert values.common_name(leaf.issuer).startswith("Perijove local CA (")


@pytest.mark.parametrize("host", ["example.org", "8.8.8.8"])
async def test_even_with_its_key_nobody_is_believed_for_other_names(
    state: State, clock: FakeClock, tmp_path: Path, host: str
) -> None:
    """The constraint is the root's own, and critical: a thief of the key gets no public name by it."""
    chain, key = await issued(state, clock, "localhost")
    leaf, root = values.read_chain(chain, "chain")
    thief = values.read_key((state.local_ca / "root.key").read_bytes(), "root.key")
    assert isinstance(thief, ec.EllipticCurvePrivateKey)
    forged = x509.CertificateBuilder(
        root.subject, x509.Name([]), leaf.public_key(), 7, leaf.not_valid_before_utc, leaf.not_valid_after_utc
    )
    names = x509.SubjectAlternativeName([values.general_name(host)])
    for extension in leaf.extensions:
        value = names if isinstance(extension.value, x509.SubjectAlternativeName) else extension.value
        forged = forged.add_extension(value, extension.critical)
    chain = values.chain_pem((forged.sign(thief, hashes.SHA256()), root))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shaken(state, chain, key, host, tmp_path)
    constraint = root.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraint.critical


async def test_its_order_is_ready_at_once_and_found_again_after_a_restart(state: State, clock: FakeClock) -> None:
    hosts = ("localhost", "0:0::1")
    key = values.new_key()
    order = await LocalAuthority(state, clock).new_order(hosts)
    assert (order.status, order.authorizations) == (OrderStatus.READY, ())
    assert await LocalAuthority(state, clock).order(order.url) == order
    valid = await LocalAuthority(state, clock).finalize(order, values.request(hosts, key))
    assert valid.status is OrderStatus.VALID
    assert await LocalAuthority(state, clock).order(order.url) == valid
    chain = await LocalAuthority(state, clock).certificate(valid.certificate)
    assert await LocalAuthority(state, clock).finalize(order, values.request(hosts, key)) == valid
    assert await LocalAuthority(state, clock).certificate(valid.certificate) == chain, "signed once"
    leaf = values.read_chain(chain, "chain")[0]
    assert (state.local_ca / "issued" / f"{leaf.serial_number:x}.pem").read_bytes() == chain


async def test_the_secret_of_an_order_is_kept_like_any_other(state: State, clock: FakeClock) -> None:
    authority, secrets = LocalAuthority(state, clock), DiskSecrets(state, clock)
    order = await authority.new_order(("localhost",))
    order = await authority.finalize(order, secrets.request("localhost-1", "localhost"))
    chain = await authority.certificate(order.certificate)
    secret = secrets.stage("localhost-1", "localhost", chain, LOCAL, (await authority.directory()).url)
    secrets.keep(secret)
    assert secrets.current("localhost") == secret
    assert (secret.issuer, secret.directory) == ("local", "local:")
    assert await authority.renewal_window(secret) is None
    await authority.revoke(secret, 4)
    assert '"reason": 4' in (state.local_ca / "issued" / f"{int(secret.serial, 16):x}.revoked").read_text()


@pytest.mark.parametrize("host", ["example.org", "*.example.org", "8.8.8.8", "2001:db8::1", "localhost.example.com"])
async def test_names_of_others_are_refused_with_those_it_may_sign_for(
    state: State, clock: FakeClock, host: str
) -> None:
    authority = LocalAuthority(state, clock)
    told = await refused(NAME_REJECTED, authority.new_order(("localhost", host)))
    assert host in told.cause
    assert "home.arpa" in told.evidence[0].saw
    assert "127.0.0.0/8" in told.evidence[0].saw
    order = await authority.order(f"local:abc?host={host}")
    await refused(NAME_REJECTED, authority.finalize(order, values.request((host,), values.new_key())))


async def test_a_request_that_is_not_the_order_s_is_refused(state: State, clock: FakeClock) -> None:
    authority = LocalAuthority(state, clock)
    order = await authority.new_order(("localhost",))
    request = values.request(("localhost",), values.new_key())
    other = values.request(("localhost", "pve.local"), values.new_key())
    told = await refused(ACME_ERROR, authority.finalize(order, other))
    assert "pve.local" in told.evidence[0].saw
    await refused(ACME_ERROR, authority.finalize(order, b"my thesis"))
    await refused(ACME_ERROR, authority.finalize(order, request[:-4] + bytes(4)))
    assert (await authority.finalize(order, request)).status is OrderStatus.VALID


@pytest.mark.parametrize("url", ["https://ca.example.org/order/1", "local:../../x", "local:", "local:xyz"])
async def test_what_is_no_order_of_its_own_is_lost(state: State, clock: FakeClock, url: str) -> None:
    authority = LocalAuthority(state, clock)
    await refused(ORDER_LOST, authority.order(url))
    await refused(ORDER_LOST, authority.certificate(url))
    await refused(ORDER_LOST, authority.authorization(url))
    await refused(ORDER_LOST, authority.answer(url))


async def test_a_certificate_that_was_never_issued_is_lost(state: State, clock: FakeClock) -> None:
    order = await LocalAuthority(state, clock).new_order(("localhost",))
    await refused(ORDER_LOST, LocalAuthority(state, clock).certificate(order.url))


def test_its_root_is_made_once_and_only_its_owner_reads_the_key(state: State, clock: FakeClock) -> None:
    pem = LocalAuthority(state, clock).root_pem()
    assert LocalAuthority(state, clock).root_pem() == pem
    assert {path.name: path.stat().st_mode & 0o777 for path in state.local_ca.iterdir()} == {
        "root.pem": 0o600,
        "root.key": 0o600,
    }
    assert state.local_ca.stat().st_mode & 0o777 == 0o700
    assert not [path for path in state.control.iterdir() if path.name.endswith(".aside")]
    root = values.read_chain(pem, "root")[0]
    assert socket.gethostname()[:30] in values.common_name(root.subject)
    assert root.not_valid_after_utc.timestamp() - NOW > 3650 * DAY


def test_what_a_killed_process_left_of_a_root_is_swept(state: State, clock: FakeClock) -> None:
    aside = state.control / ".local-ca.aside"
    aside.mkdir()
    (aside / "root.key").write_text("half")
    assert LocalAuthority(state, clock).root_pem()
    assert not aside.exists()


async def sign(state: State, clock: FakeClock) -> CaDirectory:
    """What every issuance begins with."""
    return await LocalAuthority(state, clock).directory()


@pytest.mark.parametrize("name", ["root.pem", "root.key"])
@pytest.mark.parametrize("content", [None, b"", b"my thesis"], ids=["gone", "empty", "a text"])
async def test_damaged_files_are_told_and_a_new_root_is_never_made_in_silence(
    state: State, clock: FakeClock, name: str, content: bytes | None
) -> None:
    LocalAuthority(state, clock).root_pem()
    path = state.local_ca / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    told = await refused(LOCAL_CA_BROKEN, sign(state, clock))
    assert told.evidence[0].where == str(path)
    assert content is not None or not path.exists()


async def test_another_s_key_and_a_root_without_bounds_are_told(state: State, clock: FakeClock) -> None:
    LocalAuthority(state, clock).root_pem()
    key = state.local_ca / "root.key"
    right = key.read_bytes()
    key.write_bytes(values.new_key())
    assert "root.key" in (await refused(LOCAL_CA_BROKEN, sign(state, clock))).evidence[0].where
    key.write_bytes(right)
    assert await sign(state, clock)
    root, private = (
        x509.load_pem_x509_certificate((state.local_ca / "root.pem").read_bytes()),
        values.read_key(right, ""),
    )
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    bare = x509.CertificateBuilder(
        root.subject, root.subject, private.public_key(), 7, root.not_valid_before_utc, root.not_valid_after_utc
    ).sign(private, hashes.SHA256())
    (state.local_ca / "root.pem").write_bytes(values.chain_pem((bare,)))
    assert "not confined" in (await refused(LOCAL_CA_BROKEN, sign(state, clock))).cause


async def test_a_leaf_never_outlives_its_root_and_a_root_near_its_end_is_told(state: State, clock: FakeClock) -> None:
    root = values.read_chain(LocalAuthority(state, clock).root_pem(), "root")[0]
    ends = root.not_valid_after_utc.timestamp()
    clock.time = ends - 10 * DAY
    chain, _ = await issued(state, clock, "localhost")
    assert values.read_chain(chain, "chain")[0].not_valid_after_utc.timestamp() == ends
    for late in (ends - DAY / 2, ends + DAY, NOW - 9999 * DAY):
        clock.time = late
        told = await refused(LOCAL_CA_BROKEN, sign(state, clock))
        assert "trusted anew" in told.remedy
    shutil.rmtree(state.local_ca)
    assert await sign(state, clock), "as the remedy says"


def test_of_two_who_make_the_root_at_once_both_have_the_first_one_s(state: State, clock: FakeClock) -> None:
    """The second finds the folder full when it renames its own."""
    first = LocalAuthority(state, clock).root_pem()
    LocalAuthority(state, clock)._make()
    assert LocalAuthority(state, clock).root_pem() == first
