"""A world in memory for the certificate way: CAs, the disk, the web and the time obey the ports; personas go wrong.

Time passes only when everybody waits for it, so that a year takes a second and nothing depends on the machine's load.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perijove.backends.sqlite import SqliteLedger
from perijove.certifying.challenge import HttpAnswers
from perijove.certifying.keeper import Certificates
from perijove.certifying.looking import Looking
from perijove.certifying.overview import Overview
from perijove.certifying.persistent import PersistentRecords
from perijove.certifying.serving import Serving
from perijove.certifying.way import CertificateWay
from perijove.domain.certificate_failures import ACME_ERROR, KEY_MISMATCH, ORDER_LOST
from perijove.domain.certificate_ports import Names, Solver
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import (
    Account,
    AddressSeen,
    AuthorizationView,
    CaDirectory,
    ChallengeType,
    ChallengeView,
    DnsSeen,
    Hop,
    HostName,
    Issuer,
    Observation,
    OrderName,
    OrderStatus,
    OrderView,
    Problem,
    RenewalWindow,
    Secret,
    SeenCertificate,
    covers,
)
from perijove.domain.data_plane import ServedCertificate
from perijove.domain.events import Entry, Event
from perijove.domain.failures import DATA_PLANE_DOWN, DISK_FULL, Fail, Failure
from perijove.domain.settings import ServiceSettings, Settings
from perijove.journal import Journal, ends

DAY = 86400.0
PRODUCTION, STAGING = (
    "https://acme-v02.api.letsencrypt.org/directory",
    "https://acme-staging-v02.api.letsencrypt.org/directory",
)
MARKER = "this-perijove"


CHAIN = "-----BEGIN CERTIFICATE-----\n"
"""Begins every chain of this world; what it says stands after it as JSON."""


def said(chain: bytes) -> Any:
    """What a chain of this world says."""
    return json.loads(chain.decode().removeprefix(CHAIN))


class VirtualClock:
    """Implements `Clock`: time jumps to whoever wakes next, once nobody can do anything more now."""

    def __init__(self, time: float = 1_800_000_000.0) -> None:
        self.time = time
        self._numbers = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + max(seconds, 0.0), next(self._numbers), woken))
        await woken

    async def until(self, condition: Callable[[], bool], limit: float = 2 * 3600) -> None:
        """Let time pass until a condition holds; at most `limit` seconds of it."""
        deadline = self.time + limit
        await self._settle()
        while not condition():
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if not self._sleepers or self._sleepers[0][0] > deadline:
                raise AssertionError(f"it did not come to that within {limit} s; {len(self._sleepers)} wait")
            at, _, woken = heapq.heappop(self._sleepers)
            self.time = max(self.time, at)
            woken.set_result(None)
            await self._settle()

    async def passes(self, seconds: float) -> None:
        """Let so much time pass."""
        over = asyncio.ensure_future(self.sleep(seconds))
        await self.until(over.done, seconds + 1)

    @staticmethod
    async def _settle() -> None:
        """Until nobody can do anything but wait."""
        ready = getattr(asyncio.get_running_loop(), "_ready")  # noqa: B009  of every loop of the standard library
        await asyncio.sleep(0)
        while ready:
            await asyncio.sleep(0)


@dataclass
class Host:
    """How one host is seen."""

    from_here: str = "green"
    """green, red (another web server answers), unknown (a NAT)"""
    from_outside: bool = True
    """Whether CAs see the answer."""


@dataclass
class FakeOrder:
    """An order as its CA knows it."""

    url: str
    hosts: tuple[HostName, ...]
    replaces: str
    status: OrderStatus = OrderStatus.PENDING
    challenges: dict[HostName, str] = field(default_factory=dict)
    """Their states."""
    chosen: dict[HostName, str] = field(default_factory=dict)
    """Types of the challenges that were answered."""
    changed_at: float = 0
    finalized: bytes = b""
    problem: Problem | None = None

    def __post_init__(self) -> None:
        self.challenges = dict.fromkeys(self.hosts, "pending")

    @property
    def challenge(self) -> str:
        """That of the first name."""
        return self.challenges[self.hosts[0]]

    @challenge.setter
    def challenge(self, state: str) -> None:
        self.challenges = dict.fromkeys(self.hosts, state)


@dataclass
class FakeCa:
    """Implements `Authority`. It signs at once whatever it sees; subclasses are the personas."""

    world: CertificateWorld
    url: str
    lifetime: float = 90 * DAY
    trusted: bool = True
    fails: dict[str, list[Failure]] = field(default_factory=dict)
    """By method: raised one after the other first."""
    window: Callable[[Secret], RenewalWindow | None] = lambda secret: None
    orders: dict[str, FakeOrder] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    revoked: list[tuple[str, int]] = field(default_factory=list)
    clock_ahead: float = 0
    issuer_names: tuple[str, ...] = ("letsencrypt.org",)
    advertised: tuple[str, ...] = ()
    """Issuer names in its directory."""
    placed: int = 0
    takes: float = 0.05
    """Seconds for a validation, and for signing."""

    async def _ask(self, method: str) -> None:
        self.asked[method] += 1
        await asyncio.sleep(0)
        if self.fails.get(method):
            raise Fail(self.fails[method].pop(0))

    async def directory(self) -> CaDirectory:
        await self._ask("directory")
        return CaDirectory(
            self.url, caa_identities=("letsencrypt.org",), renewal_info=True, clock_ahead=self.clock_ahead,
            issuer_domain_names=self.advertised,
        )  # fmt: skip

    async def account(self) -> Account:
        await self._ask("account")
        return Account(self.account_uri, "thumbprint")

    async def new_order(self, hosts: tuple[HostName, ...], profile: str = "", replaces: str = "") -> OrderView:
        await self._ask("new_order")
        self.placed += 1
        url = f"{self.url}/order/{self.placed}"
        self.orders[url] = FakeOrder(url, hosts, replaces, changed_at=self.world.clock.now())
        return self.view(self.orders[url])

    async def order(self, url: str) -> OrderView:
        await self._ask("order")
        if url not in self.orders:
            raise Fail(ORDER_LOST("it was asked for, and the CA does not know it"))
        return self.view(self.orders[url])

    def view(self, order: FakeOrder) -> OrderView:
        self.move(order)
        return OrderView(
            order.url,
            order.status,
            tuple(self._authorization(order, host) for host in order.hosts),
            f"{order.url}/finalize",
            f"{order.url}/certificate" if order.status is OrderStatus.VALID else "",
            order.problem,
        )

    def move(self, order: FakeOrder) -> None:
        """What became of it meanwhile."""
        late = self.world.clock.now() - order.changed_at >= self.takes
        for host, state in order.challenges.items():
            if state == "processing" and late:
                seen = self._sees(order, host)
                order.challenges[host] = "valid" if seen else "invalid"
        if order.status is OrderStatus.PENDING and "invalid" in order.challenges.values():
            order.status = OrderStatus.INVALID
        if order.status is OrderStatus.PENDING and set(order.challenges.values()) == {"valid"}:
            order.status = OrderStatus.READY
        if order.status is OrderStatus.PROCESSING and late:
            order.status = OrderStatus.VALID

    def _sees(self, order: FakeOrder, host: HostName) -> bool:
        if order.chosen[host] != ChallengeType.DNS_PERSIST:
            return self.world.seen_by_cas(host, self._token(order, host))
        texts = self.world.texts.get(f"_validation-persist.{host.removeprefix('*.')}", ())
        return any(f"accounturi={self.account_uri}" in one for one in texts)

    @property
    def account_uri(self) -> str:
        return f"{self.url}/account/1"

    def _token(self, order: FakeOrder, host: HostName = "") -> str:
        own = host if host not in ("", order.hosts[0]) else ""
        return hashlib.sha256(f"{order.url}{own}".encode()).hexdigest()

    def _authorization(self, order: FakeOrder, host: HostName) -> str:
        return f"{order.url.replace('/order/', '/authorization/')}{'/' + host if host != order.hosts[0] else ''}"

    def _named(self, authorization: str) -> tuple[FakeOrder, HostName]:
        url, _, rest = authorization.replace("/authorization/", "/order/").rpartition("/order/")
        number, _, host = rest.partition("/")
        order = self.orders[f"{url}/order/{number}"]
        return order, host or order.hosts[0]

    async def authorization(self, url: str) -> AuthorizationView:
        await self._ask("authorization")
        order, host = self._named(url)
        self.move(order)
        problem, state = None, order.challenges[host]
        if state == "invalid":
            detail = f"Invalid response from http://{host}: 404"
            problem = Problem("urn:ietf:params:acme:error:unauthorized", detail, 403, {"detail": detail, "status": 403})
        kinds = ["dns-01", "dns-persist-01"] if host.startswith("*.") else [kind.value for kind in ChallengeType]
        challenges = [ChallengeView(kind, f"{url}/{kind}", self._token(order, host), "pending") for kind in kinds]
        challenges = [replace(one, issuer_domain_names=self.issuer_names) for one in challenges]
        challenges[0] = replace(challenges[0], status=state, problem=problem)
        status, wildcard = {"processing": "pending"}.get(state, state), host.startswith("*.")
        return AuthorizationView(url, host.removeprefix("*."), wildcard, status, tuple(challenges))

    async def answer(self, challenge: str) -> None:
        await self._ask("answer")
        order, host = self._named(challenge.rpartition("/")[0])
        assert order.challenges[host] == "pending", "a challenge that is not pending must not be answered"
        order.chosen[host] = challenge.rpartition("/")[2]
        order.challenges[host], order.changed_at = "processing", self.world.clock.now()

    async def finalize(self, order: OrderView, csr: bytes) -> OrderView:
        await self._ask("finalize")
        mine = self.orders[order.url]
        if mine.status is not OrderStatus.READY:
            raise Fail(ACME_ERROR("orderNotReady"))
        mine.status, mine.finalized, mine.changed_at = OrderStatus.PROCESSING, csr, self.world.clock.now()
        return self.view(mine)

    async def certificate(self, url: str) -> bytes:
        await self._ask("certificate")
        order = self.orders[url.removesuffix("/certificate")]
        return self.signed(order.hosts, order.finalized.decode(), url)

    def signed(self, names: tuple[HostName, ...], key: str, serial: str) -> bytes:
        """A chain: here, what it says."""
        now = self.world.clock.now()
        told = {"names": names, "key": key, "from": now, "to": now + self.lifetime, "serial": serial, "by": self.url}
        return f"{CHAIN}{json.dumps(told | {'trusted': self.trusted})}\n".encode()

    async def revoke(self, secret: Secret, reason: int) -> None:
        await self._ask("revoke")
        self.revoked.append((secret.serial, reason))

    async def renewal_window(self, secret: Secret) -> RenewalWindow | None:
        await self._ask("renewal_window")
        return self.window(secret)


class LocalCa(FakeCa):
    """Asks for no proof, and forgets its orders with the process."""

    def view(self, order: FakeOrder) -> OrderView:
        if order.status is OrderStatus.PENDING:
            order.status = OrderStatus.READY
        return replace(super().view(order), authorizations=())


class CaThatForgets(FakeCa):
    """It loses its first order between two looks."""

    forgot = False

    async def authorization(self, url: str) -> AuthorizationView:
        if not self.orders:
            raise Fail(ORDER_LOST("nor does it know its authorizations"))
        view = await super().authorization(url)
        if not self.forgot:
            self.forgot = True
            self.orders.clear()
        return view

    async def answer(self, challenge: str) -> None:
        if self.orders:
            await super().answer(challenge)


class SlowCa(FakeCa):
    """It signs after ten minutes."""

    def move(self, order: FakeOrder) -> None:
        self.takes = 600.0 if order.status is OrderStatus.PROCESSING else 0.05
        super().move(order)


class CaThatSaysInvalid(FakeCa):
    """It ends every order, `reason` or not."""

    reason: Problem | None = None

    async def finalize(self, order: OrderView, csr: bytes) -> OrderView:
        await self._ask("finalize")
        mine = self.orders[order.url]
        mine.status, mine.problem = OrderStatus.INVALID, self.reason
        return self.view(mine)


class CaThatRemembers(FakeCa):
    """It finds names valid that it saw before: the order is ready at once."""

    def view(self, order: FakeOrder) -> OrderView:
        if order.status is OrderStatus.PENDING and len(self.orders) > 1:
            order.status, order.challenge = OrderStatus.READY, "valid"
        return super().view(order)


class FakeSecrets:
    """Implements `Secrets` in memory; what is there outlives a crash."""

    def __init__(self) -> None:
        self.keys: dict[OrderName, bytes] = {}
        self.made: list[OrderName] = []
        self.stagings: dict[tuple[HostName, str], Secret] = {}
        self.kept: dict[HostName, Secret] = {}
        self.fails: list[Failure] = []

    def request(self, order: OrderName, host: HostName, names: Names = ()) -> bytes:
        if self.fails:
            raise Fail(self.fails.pop(0))
        if order not in self.keys:
            self.made.append(order)
            self.keys[order] = f"key of {order}".encode()
        return self.keys[order]

    def stage(
        self, order: OrderName, host: HostName, chain: bytes, issuer: Issuer, directory: str, names: Names = ()
    ) -> Secret:
        told = said(chain)
        key = self.keys.get(order, b"").decode() or told["key"]
        if told["key"] != key:
            raise Fail(KEY_MISMATCH("another key"))
        self.keys.pop(order, None)
        return self._staged(host, chain, issuer.name, directory, names)

    def take(self, host: HostName, chain: bytes, key: bytes, issuer: str, names: Names = ()) -> Secret:
        if said(chain)["key"] != key.decode():
            raise Fail(KEY_MISMATCH("another key"))
        return self._staged(host, chain, issuer, "", names)

    def _staged(self, host: HostName, chain: bytes, issuer: str, directory: str, names: Names) -> Secret:
        told, print_ = said(chain), hashlib.sha256(chain).hexdigest()
        paths = Path(f"/{host}/{print_[:8]}/tls.crt"), Path(f"/{host}/{print_[:8]}/tls.key")
        secret = Secret(
            host, print_[:8], tuple(told["names"]), told["from"], told["to"], told["serial"], print_, told["by"],
            issuer, directory, f"ari-{print_[:8]}" if directory else "", *paths, names if names != (host,) else (),
        )  # fmt: skip
        self.stagings[host, secret.revision] = secret
        return secret

    def keep(self, secret: Secret) -> None:
        self.kept[secret.host] = secret

    def current(self, host: HostName) -> Secret | None:
        return self.kept.get(host)

    def adopt(self, host: HostName, names: Names) -> None:
        found = max(self.kept.values(), key=lambda one: sum(covers(one.names, name) for name in names), default=None)
        if found is not None and any(covers(found.names, name) for name in names):
            self.kept[host] = replace(found, host=host, ordered=found.ordered or (found.host,))

    def staged(self, host: HostName, revision: str) -> Secret | None:
        return self.stagings.get((host, revision))

    def drop(self, order: OrderName, host: HostName) -> None:
        self.keys.pop(order, None)


class FakeProbe:
    """Implements `Probe`: what the world shows, as `certifying.verdict` judges it."""

    def __init__(self, world: CertificateWorld) -> None:
        self._world = world
        self.looks = 0

    async def look(self, host: HostName, token: str, expected: str, *, tls: bool) -> Observation:
        self.looks += 1
        await asyncio.sleep(0)
        seen = self._world.hosts[host].from_here
        url = f"http://{host}/.well-known/acme-challenge/{token}"
        body = self._world.http.get(token) or "not found"
        hop = Hop(url, "192.0.2.1:80", 200 if body == expected else 404, marker=MARKER, body=body)
        if seen != "green":
            hop = Hop(url, "192.0.2.1:80", 404, server="nginx/1.22.1", body="<h1>404 Not Found</h1>")
        address = AddressSeen("192.0.2.1", None if seen == "unknown" else True, hops=(hop,))
        dns = (
            DnsSeen(host, "A", "answered", ("192.0.2.1",), "198.51.100.53:53"),
            DnsSeen(host, "AAAA", "no-record", (), "198.51.100.53:53"),
            DnsSeen(host, "CAA", "no-record", (), "198.51.100.53:53"),
        )
        return Observation(host, self._world.clock.now(), dns, (address,), expected)

    async def past_caches(self, seen: Observation, token: str, *, tls: bool) -> Observation:
        return seen

    async def texts(self, name: str) -> tuple[DnsSeen, ...]:
        values = self._world.texts.get(name, ())
        return (DnsSeen(name, "TXT", "answered" if values else "no-record", values, "198.51.100.53:53"),)

    async def handshake(self, address: str, server_name: str) -> SeenCertificate:
        await asyncio.sleep(0)
        shown = self._world.shown.get(server_name)
        if shown is None:
            raise ConnectionResetError("unrecognized name")
        secret = next(one for one in self._world.secrets.stagings.values() if one.chain == shown.chain)
        ca = self._world.cas.get(secret.directory)
        now, good = self._world.clock.now(), ca is not None and ca.trusted
        return SeenCertificate(
            secret.names[0], secret.names, secret.signed_by, secret.not_before, secret.not_after, secret.fingerprint,
            self_signed=False, trusted=good and secret.not_before <= now < secret.not_after,
        )  # fmt: skip


class CertificateWorld:
    """The live objects of the certificate way, as `wiring` joins them, over fakes."""

    def __init__(
        self, folder: Path, *hosts: HostName, session_hosts: tuple[HostName, ...] = (), rehearse: bool = False
    ) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.settings = Settings(
            service=ServiceSettings(hosts=hosts or ("binder.example.org",), session_hosts=session_hosts),
            # Looks every five minutes would be all that a year consists of.
            certificates=CertificatesSettings(rehearse=rehearse, look_every=DAY),
        )
        self.hosts = {host: Host() for host in (*self.settings.service.hosts, *session_hosts)}
        self.cas: dict[str, FakeCa] = {
            url: FakeCa(self, url, trusted=url == PRODUCTION) for url in (PRODUCTION, STAGING)
        }
        self.cas[""] = LocalCa(self, "", trusted=False)
        self.secrets = FakeSecrets()
        self.probe = FakeProbe(self)
        self.http = HttpAnswers()
        self.shown: dict[str, ServedCertificate] = {}
        self.texts: dict[str, tuple[str, ...]] = {}
        """TXT records by their names."""
        self.deaf = False
        self.plane_down_until = 0.0
        self.refused_tables = 0
        """Whether the data plane does nothing of what it is told."""
        self.hooks: dict[str, Failure | None] = {}
        self.ran: list[str] = []
        self.crash_at: tuple[int, bool] | None = None
        """At which event of attempts the process dies, and whether that event is lost."""
        self.told = 0

    @property
    def ca(self) -> FakeCa:
        return self.cas[PRODUCTION]

    def set(self, **values: object) -> None:
        """`certificates__rehearse=True` and the like."""
        for name, value in values.items():
            table, _, setting = name.partition("__")
            changed = replace(getattr(self.settings, table), **{setting: value})
            self.settings = replace(self.settings, **{table: changed})

    def seen_by_cas(self, host: HostName, token: str) -> bool:
        return self.hosts[host].from_outside and self.http.get(token) == f"{token}.thumbprint"

    async def apply(self) -> None:
        await asyncio.sleep(0)
        if self.clock.now() < self.plane_down_until:
            self.refused_tables += 1
            raise Fail(DATA_PLANE_DOWN("Caddy ended"))
        if not self.deaf:
            self.shown = {name: one for one in self.certificates.served() for name in one.names}

    async def run_hook(self, command: str, secret: Secret) -> None:
        self.ran.append(f"{command} {secret.host}")
        if failure := self.hooks[command]:
            raise Fail(failure)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[CertificateWorld]:
        """The service runs; on leaving it is cut off, as a crash would, and what CAs and the disk know stays."""
        self.ledger = CrashingLedger(self.folder / "perijove.db", self)
        self.journal = Journal(self.ledger, self.clock)
        self.http = HttpAnswers()
        records = PersistentRecords(self.probe, self.clock)
        solvers: dict[ChallengeType, Solver] = {ChallengeType.HTTP: self.http, ChallengeType.DNS_PERSIST: records}
        authorities = lambda issuer, directory: self.cas[directory]  # noqa: E731
        looking = Looking(self.probe, authorities, solvers, self.clock, MARKER, lambda: "127.0.0.1:8000")
        serving = Serving(self.secrets, self.probe, self.apply, self.clock, lambda: "127.0.0.1:443")
        way = CertificateWay(
            authorities, self.secrets, solvers, looking, serving, self.clock, lambda: tuple(self.hooks), self.run_hook
        )
        try:
            async with asyncio.TaskGroup() as group:
                self.certificates = Certificates(way, self.journal, self.clock, group, lambda: self.settings)
                self.overview = Overview(self.certificates, self.clock)
                self.certificates.recall()
                await self.apply()
                self.certificates.start()
                try:
                    yield self
                finally:
                    await self.certificates.stop()
        finally:
            self.ledger.close()

    def entries(self, order: OrderName) -> list[Entry]:
        return list(self.journal.ledger.steps(f"order/{order}"))

    def events(self, order: OrderName = "binder.example.org-1") -> list[Event]:
        return [entry.event for entry in self.entries(order)]

    def ended(self, order: OrderName = "binder.example.org-1") -> bool:
        events = self.events(order)
        return bool(events) and ends(events[-1])

    async def attempt(self, order: OrderName = "binder.example.org-1", limit: float = 2 * 3600) -> list[Event]:
        """All events of an attempt, once it has ended."""
        await self.clock.until(lambda: self.ended(order), limit)
        return self.events(order)


class CrashingLedger(SqliteLedger):
    """The journal of a process that may die at any event of an attempt."""

    def __init__(self, path: Path, world: CertificateWorld) -> None:
        super().__init__(path)
        self._world = world
        self.full = False

    def append(self, subject: str, at: float, event: Event) -> Entry:
        if self.full:
            raise Fail(DISK_FULL("an event could not be written down"))
        if not subject.startswith("order/"):
            return super().append(subject, at, event)
        self._world.told += 1
        number, lost = self._world.crash_at or (0, False)
        if number == self._world.told:
            if not lost:
                super().append(subject, at, event)
            raise asyncio.CancelledError
        return super().append(subject, at, event)
