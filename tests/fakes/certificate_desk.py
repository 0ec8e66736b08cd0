"""Certificates as operators find them: records of two hosts, a keeper that remembers what it was told, a socket.

`wiki.example.org` has its certificate, `binder.example.org` waits for one behind a web server that redirects.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import uvicorn

from perijove.backends.localca import LocalAuthority
from perijove.certifying.records import (
    CertificateRecord,
    ChallengeRecord,
    Condition,
    IssuerRecord,
    OrderRecord,
)
from perijove.domain import certificate_events as e
from perijove.domain.certificate_failures import CERT_REVOKED, REDIRECT_NOT_FORWARDED
from perijove.domain.certificates import ChallengeType, Confidence, HostName, OrderName, Secret
from perijove.domain.events import Event
from perijove.domain.failures import Evidence, Fail
from perijove.domain.ground import CertificateState
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.launching.housekeeping import Housekeeping
from perijove.retention import Retention
from perijove.web.admin import Admin
from perijove.web.certificate_admin import CertificateAdmin
from perijove.web.class_admin import ClassAdmin
from perijove.web.operator_doors import OperatorDoors
from perijove.web.service_admin import ServiceAdmin
from tests.ways.conftest import World

T = TypeVar("T")

WAITING, SERVED = "binder.example.org", "wiki.example.org"
TOKEN = "t0ken-that-nobody-prints"
DAY = 86400.0
CHAIN = "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n"
KEY = f"-----BEGIN {'PRIVATE'} KEY-----\nYmFy\n-----END {'PRIVATE'} KEY-----\n"
REDIRECTED = REDIRECT_NOT_FORWARDED(
    "nginx/1.22.1 at 192.0.2.1:80 answers 301 to https://binder.example.org/",
    Evidence("GET http://binder.example.org/.well-known/acme-challenge/…", "301, Location: https://\x1b[2Jevil"),
)
VERDICT = "Port 80 is redirected, and Perijove is never asked: seen 12 s ago, looked at again in 2 s."


def secret(folder: Path, now: float) -> Secret:
    """That of the host that has one; 61 days and some hours are left."""
    return Secret(
        SERVED, "1", (SERVED,), now - 28 * DAY, now + 61.5 * DAY, "0a1b2c", "ff00", "R11", "letsencrypt", "", "",
        folder / "chain.pem", folder / "key.pem",
    )  # fmt: skip


def records(folder: Path, now: float) -> list[CertificateRecord]:
    """The two hosts."""
    challenge = ChallengeRecord(
        f"{WAITING}-1-1", f"{WAITING}-1", WAITING, "http-01", "pending", True, False, "the answer stands",
        "https://ca.example/chall/1", TOKEN, now - 10, now - 9,
    )  # fmt: skip
    order = OrderRecord(
        f"{WAITING}-1", WAITING, "pending", REDIRECTED.message, "letsencrypt", "https://ca.example/dir",
        "https://ca.example/order/1", True, "DoesNotExist", "there is no certificate yet", "ordering", "", REDIRECTED,
        now - 12.5, 0, (challenge,),
    )  # fmt: skip
    ready = Condition("Ready", "True", "Ready", "Certificate is up to date and has not expired", now - 28 * DAY)
    missing = Condition("Ready", "False", "DoesNotExist", "There is none yet", now - 12.5)
    issuing = Condition("Issuing", "True", "DoesNotExist", "there is no certificate yet", now - 12.5)
    return [
        CertificateRecord(
            WAITING, VERDICT, False, (missing, issuing), ("letsencrypt", "zerossl"), (), None, False, False, 0, "",
            now + 2.5, REDIRECTED, now - 12.5, False, order, now - 12.5,
        ),
        CertificateRecord(
            SERVED, f"Ready: {SERVED} is served by R11 for 61 d.", True, (ready,), ("letsencrypt",), ("http-01",),
            secret(folder, now), True, True, now + 31.5 * DAY, "a third of its life is left then", 0, None, 0,
            False, replace(order, name=f"{SERVED}-1", host=SERVED, state="valid", reason="", step="certified",
                           rehearsal=False, failure=None, ended_at=now - 28 * DAY, challenges=()),
            now - 28.5 * DAY,
        ),
    ]  # fmt: skip


BEGUN: tuple[Event, ...] = (
    e.OrderBegun(f"{WAITING}-1", WAITING, "DoesNotExist", "there is no certificate yet"),
    e.Looked(REDIRECTED, Confidence.CERTAIN, (), 0.012),
    e.IssuerChosen("letsencrypt", "https://ca.example/dir"),
    e.OrderPlaced("letsencrypt", "https://ca.example/dir", "https://ca.example/order/1", True, 0),
    e.ChallengePresented(ChallengeType.HTTP, "https://ca.example/chall/1", TOKEN),
)


@dataclass
class Desk:
    """A keeper of certificates, and what it was told to do."""

    folder: Path
    now: Callable[[], float] = time.time
    told: list[tuple[object, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.records = records(self.folder, self.now())
        (self.folder / "chain.pem").write_text(CHAIN)
        (self.folder / "key.pem").write_text(KEY)

    # what operators ask for

    def called(self, name: HostName) -> HostName:
        return next((one.name for one in self.records if name in (one.name, *one.also)), "")

    def issue(self, host: HostName, *, force: bool = False) -> OrderName:
        self.told.append(("issue", host, force))
        return f"{host}-1"

    def export(self, host: HostName) -> Secret:
        return Secret(
            host, "1", (host,), 0, self.now() + DAY, "0a1b2c", "ff00", "R11", "letsencrypt", "", "",
            self.folder / "chain.pem", self.folder / "key.pem",
        )  # fmt: skip

    async def revoke(self, host: HostName, reason: str = "unspecified") -> None:
        if ("revoke", host, reason) in self.told:
            raise Fail(CERT_REVOKED("it was revoked already"))
        self.told.append(("revoke", host, reason))

    async def import_(self, host: HostName, chain: bytes, key: bytes, origin: str) -> Secret:
        self.told.append(("import", host, chain.decode(), key.decode(), origin))
        return self.export(host)

    # what operators see

    def certificates(self) -> Sequence[CertificateRecord]:
        return self.records

    def orders(self, limit: int) -> Sequence[OrderRecord]:
        return [one.order for one in self.records if one.order][:limit]

    async def state(self, host: HostName) -> CertificateState:
        one = next(one for one in self.records if one.name == host)
        fingerprint, ends = (one.secret.fingerprint, one.secret.not_after) if one.secret else ("", 0.0)
        return CertificateState(
            host, fingerprint, ends, one.failure, one.next_attempt, proof=True, today=None, inside=False
        )

    def issuers(self) -> Sequence[IssuerRecord]:
        since = self.now() - 3 * DAY
        ready = Condition("Ready", "True", "Ready", "it takes orders", since)
        unasked = Condition("Ready", "Unknown", "NotAskedYet", "nobody has asked it yet", 0)
        return [
            IssuerRecord("letsencrypt", "acme", True, (ready,), "https://ca.example/dir", "https://staging.example/dir",
                         "me@example.org", "", (WAITING, SERVED), None, since),
            IssuerRecord("acme.example/a/dir", "acme", False, (unasked,), "https://acme.example/a/dir", "", "", "",
                         (WAITING,), None, 0),
        ]  # fmt: skip


@dataclass
class Office:
    """A desk with its journal, behind the whole admin application."""

    desk: Desk
    world: World

    @property
    def journal(self) -> Journal:
        return self.world.journal

    def tell(self, *events: Event, order: str = f"{WAITING}-1") -> None:
        """Write events of an attempt down."""
        for event in events:
            self.journal.append(f"order/{order}", event)

    @contextlib.asynccontextmanager
    async def open(self, socket: Path) -> AsyncIterator[Office]:
        """Answer on an admin socket."""
        self.world.clock.time = time.time()
        async with self.world.up() as w:
            local_ca = LocalAuthority(State(w.folder), w.clock)
            certificates = CertificateAdmin(self.desk, self.desk, w.journal, local_ca.root_pem)
            retention = Retention(w.journal, w.clock, lambda: w.settings.journal, lambda _: False)
            housekeeping = Housekeeping(
                w.launches, w.sessions, w.sandboxes, w.repositories, w.environments, retention, w.keeping, w.clock,
                lambda: w.settings, lambda: None,
            )  # fmt: skip
            service = ServiceAdmin(
                w.launches, w.sessions, w.sandboxes, w.clock, lambda: w.settings, lambda: "https://wiki.example.org/",
                OperatorDoors(w.keys, w.clock),
            )  # fmt: skip
            admin = Admin(
                w.launches, w.links, w.sessions, w.environments, housekeeping, w.journal, w.keys,
                lambda: (w.settings, {}), service, certificates,
                ClassAdmin(w.timetable, w.queue, w.way.pool, w.preparations),
            )  # fmt: skip
            self.tell(*BEGUN)
            config = uvicorn.Config(
                admin.app(), uds=str(socket), log_config=None, lifespan="off", timeout_graceful_shutdown=2
            )
            server = uvicorn.Server(config)
            async with asyncio.TaskGroup() as group:
                group.create_task(server._serve(), name="admin socket")
                while not server.started:
                    await asyncio.sleep(0.005)
                yield self
                server.should_exit = True


@dataclass(frozen=True)
class Hall:
    """An office that runs in a thread of its own."""

    office: Office
    loop: asyncio.AbstractEventLoop

    def do(self, work: Callable[[], object]) -> None:
        """Have that thread do something, and wait for it."""
        done: concurrent.futures.Future[object] = concurrent.futures.Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(work()))
        done.result(20)

    def run(self, work: Coroutine[None, None, T]) -> T:
        """The same, for what waits."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def tell(self, *events: Event) -> None:
        """Have events written down."""
        self.do(lambda: self.office.tell(*events))


@contextlib.contextmanager
def open_office(state: State) -> Iterator[Hall]:
    """An office for commands that wait for its answers."""
    office = Office(Desk(state.control), World(state.root))
    opened, leave = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def stay() -> None:
        loops.append(asyncio.get_running_loop())
        async with office.open(state.admin_socket):
            opened.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: asyncio.run(stay()), name="admin socket")
    thread.start()
    try:
        assert opened.wait(20), "the admin socket did not open"
        yield Hall(office, loops[0])
    finally:
        if loops:
            loops[0].call_soon_threadsafe(leave.set)
        thread.join(20)
