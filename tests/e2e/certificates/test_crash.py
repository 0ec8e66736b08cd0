"""Orders and accounts outlive whatever ends the service, wherever it was: the CA's answers are held back meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from josepy.b64 import b64decode

from perijove.backends.caddy import Caddy
from perijove.cli.client import Client
from perijove.domain.failures import DISK_FULL
from perijove.domain.state import State
from tests.e2e.certified import ADDRESS, CertifiedWorld, certified_world
from tests.e2e.service import Service, until
from tests.fakes.acme_proxy import Answer, Exchange, Proxy, running_proxy
from tests.fakes.pebble import needs_pebble

pytestmark = [pytest.mark.e2e, needs_pebble]

ORDERS, ACCOUNTS = "/order-plz", "/sign-me-up"
HELD = 60.0
"""Seconds after which a held answer goes out, whatever became of the test."""


@dataclass
class Hold:
    """A proxy's rule: the first request to `path` after one to `after` is done by the CA, and its answer held."""

    path: str
    after: str = ""
    before: bool = False
    """Whether the CA does not even hear of it before it is let go."""
    reached: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    """Set once the CA has answered."""

    def __call__(self, exchange: Exchange) -> Answer | None:
        armed = not self.after
        if self.after and exchange.path.startswith(self.after):
            self.after = ""
        if not armed or self.reached.is_set() or not exchange.path.startswith(self.path):
            return None
        if self.before:
            self.reached.set()
            self.let_go.wait(HELD)
        answer = exchange.forward()
        self.done.set()
        self.reached.set()
        self.let_go.wait(HELD)
        return answer


@dataclass
class Scene:
    """A CA behind a proxy, and one state directory whose `control` each test finds empty."""

    world: CertifiedWorld
    proxy: Proxy
    state: State
    services: list[Service] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)

    def service(self, host: str, challenges: str = "tls-alpn-01") -> Service:
        """Not started. By tls-alpn-01 it is Caddy that answers the CA, which goes on when the control plane dies."""
        own = {"CERTIFICATES_ISSUERS": self.proxy.directory, "CERTIFICATES_ACME_CA": str(self.proxy.ca_file)}
        made = self.world.service(self.state, host, **own, CERTIFICATES_CHALLENGES=challenges)
        self.services.append(made)
        return made

    def hold(self, path: str, after: str = "", *, before: bool = False) -> Hold:
        """Hold one answer back from now on."""
        self.proxy.rule = made = Hold(path, after, before)
        self.holds.append(made)
        return made

    def count(self, path: str) -> int:
        """How often it was asked for so far."""
        return sum(one.startswith(path) for one in self.proxy.paths())

    def requested(self) -> set[bytes]:
        """Public keys of all signing requests so far."""
        asked = [one for one in self.proxy.asked if one.path.startswith("/finalize-order/")]
        requests = [x509.load_der_x509_csr(b64decode(one.payload["csr"])) for one in asked]
        return {spki(one.public_key()) for one in requests}

    def told(self, name: str) -> list[str]:
        """What an attempt's events are, to its end."""
        return [one["event"]["is"] for one in Client(self.state).events(f"/orders/{name}/events", follow=True)]

    def end(self) -> None:
        """Nothing is left running or held."""
        self.proxy.rule = lambda exchange: None
        for hold in self.holds:
            hold.let_go.set()
        for service in self.services:
            if service.process is not None:
                service.stop()
        self.services.clear()
        self.holds.clear()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, module_state: State) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("crash")
    with certified_world(folder) as world, running_proxy(folder, world.pebble) as proxy:
        yield Scene(world, proxy, module_state)


@pytest.fixture
def scene(prepared: Scene) -> Iterator[Scene]:
    shutil.rmtree(prepared.state.control, ignore_errors=True)
    prepared.proxy.asked.clear()
    try:
        yield prepared
    finally:
        prepared.end()


def spki(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def account_files(state: State) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in state.acme.glob("*/account.*")}


def killed_while(scene: Scene, service: Service, hold: Hold) -> None:
    """kill -9 as soon as the answer is held back; it never arrives."""
    service.start()
    assert hold.reached.wait(30), service.log.read_text()
    service.kill()
    scene.proxy.rule = lambda exchange: None
    hold.let_go.set()


def assert_tidy(state: State, host: str) -> None:
    """Nothing half-written, nothing for other eyes, and of the host's secrets only the one that is served."""
    for path in state.control.rglob("*"):
        assert not path.name.endswith((".aside", ".tmp")), path
        if path.is_file() and not path.is_symlink():
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    for path in (state.acme, state.secrets, *state.acme.rglob("*"), *state.secrets.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    for path in (*state.acme.rglob("*.key"), *state.secrets.rglob("*.key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    folder = state.secrets / host
    current = (folder / "current").readlink().name
    assert sorted(path.name for path in folder.iterdir()) == sorted((current, "current"))
    assert not [path for path in state.caddy.rglob("challenge_tokens/*") if path.is_file()]


def assert_served(scene: Scene, service: Service, host: str) -> None:
    """By the key of the one signing request that was made, which is the key on disk."""
    shown = scene.world.has(host)
    key = load_pem_private_key((service.state.secrets / host / "current" / "tls.key").read_bytes(), None)
    assert scene.requested() == {spki(shown.public_key())} == {spki(key.public_key())}


@pytest.mark.parametrize(
    ("path", "after", "orders", "accounts"),
    [
        pytest.param("/dir", "", 1, 1, id="directory"),
        pytest.param(ACCOUNTS, "", 1, 2, id="new account"),
        pytest.param(ORDERS, "", 2, 1, id="new order"),
        pytest.param("/authZ/", "", 1, 1, id="authorization"),
        pytest.param("/chalZ/", "", 1, 1, id="challenge answer"),
        pytest.param("/authZ/", "/chalZ/", 1, 1, id="authorization poll"),
        pytest.param("/finalize-order/", "", 1, 1, id="finalize"),
        pytest.param("/my-order/", "/finalize-order/", 1, 1, id="order poll"),
        pytest.param("/certZ/", "", 1, 1, id="download"),
    ],
)
def test_an_answer_that_never_arrives_costs_no_order_and_no_account(
    scene: Scene, request: pytest.FixtureRequest, path: str, after: str, orders: int, accounts: int
) -> None:
    """Asked again is only what nobody can know to be done: `orders` and `accounts` count what the CA was asked for."""
    host = f"{request.node.callspec.id.replace(' ', '-')}.example"
    service = scene.service(host)
    killed_while(scene, service, scene.hold(path, after))
    before = account_files(service.state)

    service.up()
    assert scene.told(f"{host}-1")[-1] == "Certified"
    assert_served(scene, service, host)
    assert scene.count(ORDERS) <= orders
    assert scene.count(ACCOUNTS) <= accounts
    assert before.items() <= account_files(service.state).items()
    assert_tidy(service.state, host)


def test_an_order_for_several_names_that_kill_9_cuts_off_goes_on(scene: Scene) -> None:
    names = ("k1.example", "k2.example", "k3.example")
    service = scene.service(names[0])
    for name in names:
        scene.world.dns.set(name, "A", ADDRESS)
    del service.settings["SERVICE_HOSTS"]
    service.settings["SERVICE_SESSION_HOSTS"] = ",".join(names)
    killed_while(scene, service, scene.hold("/finalize-order/"))

    service.up()
    assert scene.told(f"{names[0]}-1")[-1] == "Certified"
    assert_served(scene, service, names[0])
    assert len({scene.world.has(name).serial_number for name in names}) == 1
    assert scene.count(ORDERS) == 1
    assert not list(service.state.caddy.rglob("k?.example.json")), "answers for all of them are taken down"


def test_an_account_whose_url_never_arrived_is_found_again_by_its_key(scene: Scene) -> None:
    service, urls = scene.service("account.example"), []

    def lost(exchange: Exchange) -> Answer | None:
        if not exchange.path.startswith(ACCOUNTS):
            return None
        answer = exchange.forward()
        urls.append(answer.headers["Location"])
        return hold(exchange) if len(urls) == 1 else answer

    hold = Hold(ACCOUNTS)
    scene.holds.append(hold)
    scene.proxy.rule = lost
    service.start()
    assert hold.reached.wait(30), service.log.read_text()
    service.kill()
    hold.let_go.set()
    assert set(account_files(service.state)) == {"account.key"}

    service.up()
    scene.world.has("account.example")
    first, second = urls
    assert first == second == json.loads(account_files(service.state)["account.json"])["url"]


@pytest.mark.parametrize("event", ["Issued", "Served"])
def test_what_is_issued_is_not_asked_for_again(scene: Scene, event: str) -> None:
    host = f"{event.lower()}.example"
    hold, service = scene.hold("/certZ/"), scene.service(host).up()
    assert hold.reached.wait(30)
    for told in Client(service.state).events(f"/orders/{host}-1/events", follow=True):
        hold.let_go.set()
        if told["event"]["is"] == event:
            service.kill()
            break
    asked = len(scene.proxy.paths())

    service.up()
    events = scene.told(f"{host}-1")
    assert events[-1] == "Certified"
    assert events.count("Issued") == 1
    assert_served(scene, service, host)
    assert len(scene.proxy.paths()) == asked
    assert_tidy(service.state, host)


def test_a_ca_that_looked_while_nobody_was_there_is_asked_again_at_once(scene: Scene) -> None:
    """By http-01 it is the control plane that answers, and the CA tells the refusal to the next one."""
    host = "away.example"
    service, hold = scene.service(host, "http-01"), scene.hold("/chalZ/", before=True)
    killed_while(scene, service, hold)
    assert hold.done.wait(30)
    until(lambda: "set INVALID" in scene.world.pebble.log)

    service.up()
    scene.world.has(host)
    assert scene.told(f"{host}-2")[-1] == "Certified"
    assert_served(scene, service, host)
    assert scene.count(ORDERS) == 2
    assert_tidy(service.state, host)


def test_caddy_comes_back_with_the_certificate(scene: Scene) -> None:
    host = "caddy.example"
    hold, service = scene.hold("/finalize-order/"), scene.service(host).up()
    caddy = Caddy(service.state)
    assert hold.reached.wait(30)

    first = caddy.pid()
    assert first
    os.kill(first, 9)
    until(lambda: caddy.pid() not in (None, first))
    hold.let_go.set()
    shown = scene.world.has(host)

    second = caddy.pid()
    assert second
    os.kill(second, 9)
    until(lambda: caddy.pid() not in (None, second))
    assert scene.world.has(host) == shown
    assert scene.count(ORDERS) == 1


def test_no_handshake_is_refused_while_the_control_plane_comes_back(scene: Scene) -> None:
    host = "back.example"
    service = scene.service(host).up()
    shown = scene.world.has(host)
    service.kill()
    seen, over = list[x509.Certificate | None](), threading.Event()

    def shake() -> None:
        while not over.is_set():
            seen.append(scene.world.shown(host))

    visitor = threading.Thread(target=shake, name="visitor")
    visitor.start()
    try:
        service.up()
    finally:
        over.set()
        visitor.join()
    assert len(seen) > 10
    assert set(seen) == {shown}


def test_a_stop_does_not_wait_for_a_ca_and_loses_nothing(scene: Scene) -> None:
    host = "stop.example"
    hold, service = scene.hold("/finalize-order/"), scene.service(host, "http-01").up()
    assert hold.reached.wait(30)
    asked_to = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - asked_to < 5
    scene.proxy.rule = lambda exchange: None
    hold.let_go.set()

    service.up()
    assert scene.told(f"{host}-1")[-1] == "Certified"
    assert_served(scene, service, host)
    assert scene.count(ORDERS) == 1
    assert_tidy(service.state, host)


@pytest.fixture
def small_disk(scene: Scene, tmp_path: Path) -> str:
    """A python whose `control` folder lies on 8 MiB of its own, in a mount namespace that ends with it."""
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    scene.state.control.mkdir(mode=0o700)
    own = "" if os.geteuid() == 0 else "--user --map-current-user --keep-caps"
    mount = f"mount -t tmpfs -o size=8m,mode=700 tmpfs {scene.state.control}"
    script = tmp_path / "python"
    inside = f"""sh -c '{mount} && exec "$@"' sh {sys.executable} "$@\""""
    script.write_text(f"#!/bin/sh\nexec unshare {own} --mount {inside}\n")
    script.chmod(0o755)
    return str(script)


def filled(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return path


def test_a_full_disk_is_told_and_the_order_goes_on_once_there_is_room(scene: Scene, small_disk: str) -> None:
    host = "full.example"
    service = scene.service(host)
    service.python = small_disk
    service.up()
    client, old = Client(service.state), scene.world.has(host)
    assert scene.told(f"{host}-1")[-1] == "Certified"

    hold = scene.hold("/certZ/")
    client.call("POST", f"/certificates/{host}/issue", {})
    assert hold.reached.wait(30)
    assert service.process is not None
    filler = filled(Path(f"/proc/{service.process.pid}/root{service.state.control}"))
    hold.let_go.set()
    *_, last = client.events(f"/orders/{host}-2/events", follow=True)
    assert last["event"]["failure"]["kind"] == DISK_FULL.code
    assert scene.world.shown(host) == old

    filler.unlink()
    client.call("POST", f"/certificates/{host}/issue", {})
    until(lambda: scene.world.shown(host) not in (None, old))
    assert scene.told(f"{host}-2")[-1] == "Certified"
    assert scene.count(ORDERS) == 2
