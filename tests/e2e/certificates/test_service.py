"""`perijove up --host` by flags alone: certificates come, are listed, renewed, replaced; keys stay where they are."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from perijove.cli.columns import KINDS
from perijove.domain.certificate_failures import (
    CHAIN_BROKEN,
    FILE_UNREADABLE,
    KEY_MISMATCH,
    NAMES_MISSING,
    NOT_VALID_NOW,
)
from perijove.domain.state import State
from tests.e2e.certified import ADDRESS, CertifiedWorld, certified_world
from tests.e2e.service import Service, executed, until
from tests.fakes.pebble import needs_pebble
from tests.fakes.private_ca import DAY, PrivateCa

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user, needs_pebble]
HELLO = str(Path(__file__).parents[3] / "examples" / "hello")
A, B = "a.example", "b.example"
HSTS = "Strict-Transport-Security"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedWorld]:
    with certified_world(tmp_path_factory.mktemp("service")) as world:
        world.dns.set(A, "A", ADDRESS)
        world.dns.set(B, "A", ADDRESS)
        yield world


@pytest.fixture(scope="module")
def service(world: CertifiedWorld, module_state: State) -> Iterator[Service]:
    """By flags; by variables only what tells that this CA looks at other ports and names than a public one."""
    given = {
        "CERTIFICATES_RESOLVERS": world.dns.server,
        "CERTIFICATES_HTTP_PORT": str(world.http_port),
        "CERTIFICATES_TLS_PORT": str(world.https_port),
    }
    flags = ["--host", A, "--host", B, "--https", f"{ADDRESS}:{world.https_port}", "--email", "operator@a.example"]
    flags += ["--acme", world.pebble.directory, "--acme-ca", str(world.pebble.ca_file)]
    service = Service(module_state, given, port=world.http_port, flags=tuple(flags))
    try:
        service.up()
        for host in (A, B):
            world.has(host)
        until(lambda: all(ready(service, host) for host in (A, B)))
        yield service
    finally:
        if service.process is not None:
            service.stop()


def ready(service: Service, host: str) -> bool:
    told = json.loads(service.cli("get", "certificate", host, "-o", "json"))
    return any(one["type"] == "Ready" and one["status"] == "True" for one in told["status"]["conditions"])


def names(certificate: x509.Certificate) -> list[str]:
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return held.get_values_for_type(x509.DNSName)


def serial(world: CertifiedWorld, host: str) -> int:
    return world.has(host).serial_number


def test_each_name_has_its_own_certificate_and_other_names_are_refused(world: CertifiedWorld, service: Service) -> None:
    assert [names(world.has(host)) for host in (A, B)] == [[A], [B]]
    for host in (A, B):
        assert world.ask(host, "/health").status_code == 200
    assert world.shown("c.example") is None
    assert f"Perijove is up at https://{A}:{world.https_port}/" in service.log.read_text()
    until(lambda: f"https://{B}:{world.https_port}/ certificate" in service.log.read_text())


def test_http_leads_to_https_with_path_and_query_and_never_from_the_challenge(
    world: CertifiedWorld, service: Service
) -> None:
    path = "/v2/gh/owner/repo/HEAD?urlpath=lab%2Ftree%2Fa%20b.ipynb&x=%C3%A9"
    for host in (A, B):
        led = world.ask(host, path, https=False)
        assert (led.status_code, led.headers["Location"]) == (308, f"https://{host}:{world.https_port}{path}")
    posted = world.ask(A, "/build/gh/owner/repo/HEAD", https=False, method="POST")
    assert posted.status_code == 308, "the method stays"
    challenge = world.ask(A, "/.well-known/acme-challenge/nobody-s", https=False)
    assert challenge.status_code == 404
    assert "Location" not in challenge.headers
    elsewhere = world.ask("c.example", "/", https=False)
    assert elsewhere.status_code >= 400, "a name that is not ours is not led to itself"


@pytest.mark.parametrize("kind", ["certificates", "orders", "challenges", "issuers", "secrets", "events"])
def test_what_there_is_can_be_listed_in_each_form(service: Service, kind: str) -> None:
    outputs = ("table", "wide", "json", "yaml")
    with ThreadPoolExecutor(len(outputs)) as pool:
        told = dict(zip(outputs, pool.map(lambda form: service.cli("get", kind, "-o", form), outputs), strict=True))
    for form in ("table", "wide"):
        head, *rows = told[form].splitlines()
        assert head.split() == " ".join(KINDS[kind].shown(wide=form == "wide")).split()
        assert rows
    listed = json.loads(told["json"])
    assert listed["kind"] == "List"
    assert {one["apiVersion"] for one in (listed, *listed["items"])} == {"perijove/v1"}
    assert yaml.safe_load(told["yaml"]) == listed
    assert told["table"].count("\n") == len(listed["items"]) + 1
    hosts = json.dumps(listed["items"])
    assert kind == "issuers" or (A in hosts and B in hosts)


def test_a_watch_shows_what_an_attempt_changes(world: CertifiedWorld, service: Service, tmp_path: Path) -> None:
    before, shown = serial(world, B), tmp_path / "watched"
    command = [sys.executable, "-m", "perijove", "get", "certificates", "-w", "-o", "json"]
    with shown.open("wb") as out:
        watching = subprocess.Popen([*command, "--state", str(service.state.root)], stdout=out, stderr=out)
    try:
        until(lambda: shown.read_text().count("\n") == 2)
        told = service.cli("cert", "issue", B)
        assert "certified" in told.lower(), told
        after = serial(world, B)
        assert after != before
        until(lambda: f"{after:x}" in "".join(serials(shown)))
    finally:
        watching.terminate()
        watching.wait(10)
    service.told.append(shown.read_text())


def serials(watched: Path) -> list[str]:
    """Of the certificate of B, as it was shown line by line."""
    rows = [json.loads(line) for line in watched.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [row["status"]["secret"]["serial"].lower() for row in rows if row["metadata"]["name"] == B]


def test_the_first_line_of_a_description_is_the_verdict(service: Service) -> None:
    told = service.cli("describe", "certificate", A).splitlines()
    verdict = json.loads(service.cli("get", "certificate", A, "-o", "json"))["status"]["verdict"]
    assert told[0] == f"✓ {verdict}"
    assert told[0].startswith("✓ Ready")
    assert any(line.startswith("Order ") for line in told)


async def test_a_kernel_s_websocket_outlives_the_renewal(world: CertifiedWorld, service: Service) -> None:
    session = world.secured(service, HELLO)
    assert session.host == A
    before = serial(world, A)
    async with asyncio.timeout(60), session.channel() as channel:
        assert await executed(channel, "state = 41; state") == "41"
        renewed = await asyncio.to_thread(service.cli, "cert", "renew", A)
        assert "certified" in renewed.lower(), renewed
        assert serial(world, A) != before
        assert await executed(channel, "state + 1") == "42"
    assert session.ask("api/status").status_code == 200


def test_browsers_are_not_bound_to_https_by_a_ca_they_do_not_trust(world: CertifiedWorld, service: Service) -> None:
    told = json.loads(service.cli("get", "certificate", A, "-o", "json"))["status"]
    assert (told["trusted"], told["hsts"]) == (False, False)
    assert HSTS not in world.ask(A, "/").headers
    assert HSTS not in world.ask(A, "/", https=False).headers


def test_what_must_not_be_served_is_not_imported(world: CertifiedWorld, service: Service, tmp_path: Path) -> None:
    ca, other = PrivateCa(tmp_path / "ca"), PrivateCa(tmp_path / "other", "Another root")
    good, others = ca.leaf(A, called="good"), ca.leaf("c.example", called="others")
    ended = ca.leaf(A, valid_from=-9 * DAY, valid_until=-DAY, called="ended")
    broken, torn = tmp_path / "broken.pem", tmp_path / "torn.pem"
    broken.write_bytes(good.chain.read_bytes() + other.file.read_bytes())
    torn.write_bytes(good.chain.read_bytes()[:200])
    before = serial(world, A)
    for chain, key, failure in (
        (good.chain, others.key, KEY_MISMATCH),
        (others.chain, others.key, NAMES_MISSING),
        (ended.chain, ended.key, NOT_VALID_NOW),
        (broken, good.key, CHAIN_BROKEN),
        (torn, good.key, FILE_UNREADABLE),
    ):
        service.cli("cert", "import", A, "--chain", str(chain), "--key", str(key), status=1)
        assert failure.code in service.told[-1], service.told[-1]
    assert serial(world, A) == before


def test_a_certificate_by_hand_is_served_exported_and_given_up_for_an_issued_one(
    world: CertifiedWorld, service: Service, tmp_path: Path
) -> None:
    ca = PrivateCa(tmp_path / "ca")
    leaf = ca.leaf(A)
    given = x509.load_pem_x509_certificate(leaf.chain.read_bytes())
    service.cli("cert", "import", A, "--chain", str(leaf.chain), "--key", str(leaf.key))
    assert serial(world, A) == given.serial_number
    assert leaf.chain.name in service.cli("get", "events")

    chain, key = tmp_path / "out.pem", tmp_path / "out.key"
    assert service.cli("cert", "export", A, "--chain", str(chain), "--key", str(key)) == ""
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    written = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(written, ec.EllipticCurvePrivateKey)
    assert written.public_key() == given.public_key()
    assert x509.load_pem_x509_certificate(chain.read_bytes()) == given
    assert x509.load_pem_x509_certificate(service.cli("cert", "export", A).encode()) == given

    service.cli("cert", "revoke", A, "--yes", status=1)
    assert "imported" in service.told[-1]
    service.cli("cert", "issue", A, "--force")
    assert serial(world, A) != given.serial_number
    assert world.ask(A, "/health").status_code == 200


def test_a_revoked_certificate_is_told_and_a_new_one_got_by_hand(world: CertifiedWorld, service: Service) -> None:
    before = serial(world, B)
    service.cli("cert", "revoke", B, "--reason", "superseded", "--yes")
    asked = f"https://{ADDRESS}:{world.pebble.management_port}/cert-status-by-serial/{before:x}"
    status = httpx.get(asked, verify=world.pebble.trust, trust_env=False, timeout=5).json()
    assert status["Status"] == "Revoked"
    assert "revoked" in service.cli("describe", "certificate", B).splitlines()[0]
    assert serial(world, B) == before, "nothing is asked for by itself, and visitors are not turned away meanwhile"
    service.cli("cert", "issue", B)
    assert serial(world, B) != before
    assert service.cli("describe", "certificate", B).startswith("✓ Ready")


def test_no_key_stands_where_it_does_not_belong(service: Service) -> None:
    """Printed, logged, written into the journal, or told to a process."""
    control, told = service.state.control, "\n".join(service.told).encode()
    keys = [path for folder in ("secrets", "acme") for path in (control / folder).rglob("*.key")]
    assert {path.name for path in keys} == {"tls.key", "account.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    places = {"commands": told, "up.log": service.log.read_bytes(), "Caddy": caddy_s_configuration(service)}
    for folder in (control, service.state.logs, service.state.run):
        for path in folder.rglob("*"):
            if path.is_file() and path not in keys:
                places[str(path)] = path.read_bytes()
    places |= processes(service)
    assert str(service.state.database) in places
    assert any(b"caddy\0run" in content for content in places.values())
    for path in keys:
        for needle in written_as(path):
            assert [place for place, content in places.items() if needle in content] == [], path


def written_as(path: Path) -> list[bytes]:
    """A key as PEM, in hexadecimal, base64 and raw."""
    pem = path.read_bytes()
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    raw = key.private_numbers().private_value.to_bytes(32, "big")
    forms = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    forms += [base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")]
    return [*forms, *pem.splitlines()[1:-1]]


def processes(service: Service) -> dict[str, bytes]:
    """Command lines and environments of the service's processes, and of those it started."""
    found: dict[str, bytes] = {}
    for process in psutil.process_iter():
        told = b""
        for part in ("cmdline", "environ"):
            with contextlib.suppress(OSError):  # it has ended, or is not ours
                told += Path(f"/proc/{process.pid}/{part}").read_bytes() + b"\0"
        if str(service.state.root).encode() in told:
            found[f"process {process.pid}"] = told
    return found


def caddy_s_configuration(service: Service) -> bytes:
    transport = httpx.HTTPTransport(uds=str(service.state.caddy_socket))
    with httpx.Client(transport=transport, base_url="http://caddy") as client:
        return client.get("/config/").raise_for_status().content
