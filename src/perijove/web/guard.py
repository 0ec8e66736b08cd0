"""Who may ask? In: a request. Out: nothing, or the failure it is refused with.

A guard is a function of the request; every row of the URL map names one. X-Forwarded-* and Host are as Caddy says: it
alone reaches our socket, believes what a server in front says of them only where the operator named that server, and
leaves one address, the last that nobody vouches for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.requests import Request

from perijove.domain import failures
from perijove.domain.certificate_failures import HTTPS_PENDING
from perijove.domain.certificates import HostName
from perijove.domain.failures import Evidence, Failure
from perijove.domain.keys import Keys
from perijove.domain.listening import redirects
from perijove.domain.ports import Clock
from perijove.domain.settings import Settings
from perijove.journal import Journal

Guard = Callable[[Request], Failure | None]

HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
RESUME = re.compile(r"([0-9]{1,15})(?:\.([0-9a-z]{1,64}))?")
WINDOWS = 100_000
"""Addresses counted at once; beyond it the oldest windows are forgotten first."""
AGAIN = 3.0
"""Seconds after which whoever came by http too early may come again."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """A reader who was here before: they hold launch `number` and have seen everything up to `after`."""

    number: int
    after: int


@dataclass(frozen=True, slots=True)
class CertificateStanding:
    """Why a host has no certificate yet."""

    failure: Failure | None
    """The verdict; None while nothing is wrong."""
    next_attempt: float
    """Unix seconds; 0 while one runs."""


class RateWindows:
    """How many launches each address began in its current window. The time is given, so that tests own it."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, address: str, now: float, limit: int, period: float) -> float:
        """Count one launch; seconds to wait when that is one too many, else 0."""
        began, counted = self._windows.pop(address, (now, 0))
        if now - began >= period:
            began, counted = now, 0
        self._windows[address] = (began, min(counted + 1, limit + 1))
        while len(self._windows) > WINDOWS:
            del self._windows[next(iter(self._windows))]
        return began + period - now if counted >= limit else 0.0


class Gate:
    """The guards."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        keys: Keys,
        clock: Clock,
        journal: Journal,
        certificates: Callable[[HostName], CertificateStanding | None],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._journal = journal
        self._certificates = certificates
        self._rates = RateWindows()

    def anyone(self, request: Request) -> Failure | None:
        """For probes, badges and the like: by any name, from any network."""
        return None

    def visitor(self, request: Request) -> Failure | None:
        """By one of the service's names, not from a banned network, and by https where names lead to it."""
        return self._wrong_host(request) or self._banned(request) or self._insecure(request)

    def launcher(self, request: Request) -> Failure | None:
        """A visitor who may begin a launch. Resuming one, and coming through a page of ours, are not counted."""
        if refused := self.visitor(request):
            return refused
        if self.resumption(request) is not None or self._has_build_token(request):
            return None
        return self._too_often(request)

    def resumption(self, request: Request) -> Resumption | None:
        """Who the event id of the request (`<seq>.<key>`) proves them to be; None where it proves nothing."""
        match = RESUME.fullmatch(request.headers.get("last-event-id", ""))
        if match is None or match[2] is None:
            return None
        entry = self._journal.at(int(match[1]))
        kind, _, number = entry.subject.partition("/") if entry else ("", "", "")
        if kind != "launch" or not self.holds(int(number), match[2]):
            return None
        return Resumption(int(number), int(match[1]))

    def holds(self, number: int, key: str) -> bool:
        """Whether this is the launch's key."""
        return Keys.same(key, self._keys.launch_key(number))

    def key_given(self, request: Request, number: int) -> str:
        """The launch's key where the request brings it (`?key=` or the event id), else ``."""
        resumed = RESUME.fullmatch(request.headers.get("last-event-id", ""))
        for key in (request.query_params.get("key", ""), (resumed and resumed[2]) or ""):
            if key and self.holds(number, key):
                return key
        return ""

    def _wrong_host(self, request: Request) -> Failure | None:
        host = request.headers.get("host", "")
        seen = Evidence("the request's Host", host[:200])
        if not HOST.fullmatch(host):
            return failures.BAD_REQUEST("its Host header is not a host's name", seen)
        if self._settings().service.hosts and not self.host(request):
            return failures.WRONG_HOST(f"It was asked for as {_asked(request)}", seen)
        return None

    def host(self, request: Request) -> HostName:
        """Which of the service's names was asked for, as the settings write it; `` for none of them."""
        name = _asked(request)
        known = {host.lower(): host for host in self._settings().service.hosts}
        return known.get(name) or known.get(f"*.{name.partition('.')[2]}", "")

    def standing(self, request: Request) -> CertificateStanding:
        """What keeps the certificate away of the name that was asked for."""
        return self._certificates(self.host(request)) or CertificateStanding(None, 0)

    def _insecure(self, request: Request) -> Failure | None:
        """Caddy leads to https itself, as soon as there is a certificate: who comes by http came too early."""
        if not redirects(self._settings().service) or origin(request).startswith("https:"):
            return None
        cause, why = f"{_asked(request)} has no certificate yet", self.standing(request).failure
        if why is None:
            return HTTPS_PENDING(cause, after=AGAIN)
        return HTTPS_PENDING(f"{cause} ({why.kind.code}): {why.cause}", *why.evidence, remedy=why.remedy, after=AGAIN)

    def _banned(self, request: Request) -> Failure | None:
        address = client(request)
        for network, label in self._settings().launching.banned_networks.items():
            if _within(address, network):
                return failures.CLIENT_BANNED(
                    f"Requests from {label} are not allowed", Evidence("your address", address)
                )
        return None

    def _has_build_token(self, request: Request) -> bool:
        token = request.query_params.get("build_token", "")
        return bool(token) and self._keys.build_token_holds(token, raw_spec(request), self._clock.now())

    def _too_often(self, request: Request) -> Failure | None:
        settings = self._settings().launching
        if not settings.rate_limit:
            return None
        address = client(request)
        now = self._clock.now()
        wait = self._rates.count(_counted_as(address), now, settings.rate_limit, settings.rate_period)
        if not wait:
            return None
        minutes = f"{settings.rate_period / 60:g} minutes"
        return failures.RATE_LIMITED(
            f"More than {settings.rate_limit} launches in {minutes}; the next is possible in {wait:.0f} seconds",
            Evidence("your address", address),
            after=wait,
        )


def client(request: Request) -> str:
    """The visitor's address as Caddy tells it; `unknown` where nothing says."""
    told = request.headers.getlist("x-forwarded-for")
    last = told[-1].rpartition(",")[2].strip() if told else ""
    try:
        address = ip_address(last)
    except ValueError:
        return "unknown"
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def origin(request: Request) -> str:
    """The address the client reached us by, `https://binder.example.org`. The guard has looked at the host already."""
    told = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    scheme = "https" if told == "https" else "http"
    return f"{scheme}://{request.headers['host']}"


def raw_spec(request: Request) -> str:
    """`provider/spec` as it stands in the address, still percent-encoded; `` where the address has none."""
    raw = bytes(request.scope.get("raw_path") or b"").decode("ascii", "replace").partition("?")[0]
    match = re.match(r"/(?:build|v2)/(.+)", raw)
    return match[1].rstrip("/") if match else ""


def _asked(request: Request) -> str:
    """The name in the request's Host, without port and brackets."""
    return re.sub(r":[0-9]+$", "", request.headers.get("host", "")).strip("[]").lower()


def _within(address: str, network: str) -> bool:
    try:
        return ip_address(address) in _network(network)
    except ValueError:
        return False


@lru_cache(maxsize=1000)
def _network(network: str) -> IPv4Network | IPv6Network:
    return ip_network(network, strict=False)


def _counted_as(address: str) -> str:
    """One household of IPv6 has a /64 to draw addresses from."""
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address
