"""Who may ask? In: a request. Out: nothing, or the failure it is refused with.

A guard is a function of the request; every row of the URL map names one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.requests import Request
from starlette.responses import Response

from perijove.domain.certificate_failures import HTTPS_PENDING
from perijove.domain.certificates import HostName
from perijove.domain.classes import Class
from perijove.domain.failures import BAD_REQUEST, Evidence, Fail, Failure
from perijove.domain.keys import Keys
from perijove.domain.listening import named_session_hosts, redirects
from perijove.domain.nouns import RepoAddress, SessionName
from perijove.domain.ports import Clock
from perijove.domain.repository_names import canonical
from perijove.domain.request_failures import CLIENT_BANNED, FOREIGN_PAGE, WRONG_HOST
from perijove.domain.settings import IsolationMode, Settings
from perijove.journal import Journal
from perijove.launching.launches import Launches
from perijove.launching.resolve.address import from_launch_path
from perijove.launching.start.timetable import Timetable
from perijove.web import authorization, hosts, origins, visitors
from perijove.web.identity import Identity
from perijove.web.launch_keys import EVENT_ID, keys_given
from perijove.web.limits import BuildTokens, Limits, Visitor, Way
from perijove.web.requests import asked_host, client, launch_options, origin, raw_spec

Guard = Callable[[Request], Failure | None]

HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
OPENED = "/user/"
"""All that is served at a session's host; Caddy reads `/v2/..%2fuser/` as one of those addresses too."""
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


@dataclass(eq=False)
class Gate:
    """The guards."""

    _settings: Callable[[], Settings]
    _keys: Keys
    _clock: Clock
    _journal: Journal
    _certificates: Callable[[HostName], CertificateStanding | None]
    _limits: Limits
    _timetable: Timetable
    identity: Identity
    _launches: Launches

    def __post_init__(self) -> None:
        self.tokens = BuildTokens(self._keys, self._clock)

    def anyone(self, request: Request) -> Failure | None:
        """For probes, badges and the like: by any name, from any network."""
        return None

    def visitor(self, request: Request) -> Failure | None:
        """By one of the service's names, not from a banned network, and by https where names lead to it."""
        return self._wrong_host(request) or self._banned(request) or self._insecure(request)

    def person(self, request: Request) -> Failure | None:
        """A visitor who has logged in, where people log in here."""
        return self.visitor(request) or self.identity.unknown(request)

    def launcher(self, request: Request) -> Failure | None:
        """A visitor who may begin a launch, or goes on with one. Resuming is not counted."""
        if refused := self.visitor(request) or self.foreign(request) or self.identity.unknown(request):
            return refused
        if self.resumption(request) is not None:
            return None
        by_page = self.tokens.spend(request.query_params.get("build_token", ""), raw_spec(request))
        return self.beginning(request, by_page=by_page, build_only=launch_options(request).build_only)

    def foreign(self, request: Request) -> Failure | None:
        """Another site's page asks, and the operator has not allowed it."""
        if asking := origins.foreign(request, self._settings().service.cors_allow_origin):
            return FOREIGN_PAGE(f"A page of {asking} asked", Evidence("the request's Origin", asking))
        return None

    def asks_first(self, request: Request) -> bool:
        """Whether a launch link's page begins nothing by itself: without a sandbox, links elsewhere would run code."""
        by_hand = request.headers.get("sec-fetch-site", "") in origins.OURS
        return self._settings().session.isolation is IsolationMode.NONE and not by_hand

    def beginning(self, request: Request, *, by_page: bool, build_only: bool = False) -> Failure | None:
        """Whether one more launch may begin; `by_page`: a page of ours asks, as its token has shown."""
        settings = self._settings()
        if not by_page and settings.session.isolation is IsolationMode.NONE:
            return FOREIGN_PAGE("Sessions run without a sandbox here, and no page of its own asked")
        if not by_page and origins.EVERYBODY not in settings.service.cors_allow_origin and origins.unsaid(request):
            return FOREIGN_PAGE("A browser asked and did not say for which page")
        origin = "" if by_page else origins.named(request, settings.service.cors_allow_origin)
        if (address := _named(request)) and (failure := self.not_for(request, address)):
            return failure
        of = None if build_only else self._class(request)
        way = Way.BUILD if build_only else Way.PAGE if by_page else Way.ORIGIN if origin else Way.PROGRAM
        way = Way.CLASS if of else way
        request.state.counted = (visitor := Visitor(client(request), origin, of, self.identity.name(request))), way
        return self._limits.refusal(visitor, way)

    def _class(self, request: Request) -> Class | None:
        """The open class whose repository the request names."""
        address = _named(request)
        return self._timetable.seats_for(canonical(address.url)) if address else None

    def not_for(self, request: Request, address: RepoAddress) -> Failure | None:
        """Why the person who asks may not launch that, nor be told what names it has."""
        if not (asking := self.identity.who(request)):
            return None
        of = self._timetable.of(canonical(address.url))
        return authorization.refusal(asking.person, address, self._settings().auth, of)

    def begun(self, request: Request, number: int) -> None:
        """It has begun this launch, as `beginning` allowed: nothing may have waited meanwhile."""
        self._limits.begun(number, *request.state.counted)

    def may_look(self, request: Request) -> bool:
        """Whether this visitor may have a Git host asked once more for its names; counts it."""
        return self._limits.look(Visitor(client(request)))

    def unsigned(self, request: Request) -> Failure | None:
        """Count a push that nobody signed; the failure where this visitor sent too many."""
        return self._limits.unsigned(Visitor(client(request)))

    def resumption(self, request: Request) -> Resumption | None:
        """Who the event id of the request (`<seq>.<key>`) proves them to be; None where it proves nothing."""
        match = EVENT_ID.fullmatch(request.headers.get("last-event-id", ""))
        if match is None or match[2] is None:
            return None
        entry = self._journal.at(int(match[1]))
        kind, _, number = entry.subject.partition("/") if entry else ("", "", "")
        if kind != "launch" or not self.holds(int(number), match[2]) or self.others(request, int(number)):
            return None
        return Resumption(int(number), int(match[1]))

    def holds(self, number: int, key: str) -> bool:
        """Whether this is the launch's key."""
        return Keys.same(key, self._keys.launch_key(number))

    def key_given(self, request: Request, number: int) -> str:
        """The launch's key where the request brings it, or is its person's; else ``."""
        if self.identity.needed:
            return self._keys.launch_key(number) if self._owns(request, number) else ""
        return next((key for key in keys_given(request) if self.holds(number, key)), "")

    def visitor_key(self, request: Request) -> str:
        """What opens what is kept for a visitor: their browser's own, or where people log in their person's."""
        if not self.identity.needed:
            return visitors.key_given(request)
        return self._keys.person_key(name) if (name := self.identity.name(request)) else ""

    def held(self, response: Response, request: Request) -> Response:
        """The same, and the browser keeps a visitor's key; a person's it need not."""
        return response if self.identity.needed else visitors.hold(response, request)

    def others(self, request: Request, number: int) -> bool:
        """Whether the launch is somebody's, and whoever asks is neither them nor an admin."""
        return self.identity.needed and not self._owns(request, number) and not self.oversees(request)

    def oversees(self, request: Request) -> bool:
        """Whether an admin asks."""
        asking = self.identity.who(request)
        return asking is not None and asking.person.admin

    def _owns(self, request: Request, number: int) -> bool:
        name = self.identity.name(request)
        return name != "" and self._launches.whose(number) == name

    def session_proved(self, request: Request, name: SessionName) -> bool:
        """Whether the request brings the session's token, as its own pages do."""
        if self.identity.needed:  # where people log in, a token shows nothing
            return False
        said = request.headers.get("authorization", "").rpartition(" ")[2]
        right = self._keys.session_token(name)
        return any(Keys.same(token, right) for token in (said, request.query_params.get("token", "")))

    def _wrong_host(self, request: Request) -> Failure | None:
        host = request.headers.get("host", "")
        seen = Evidence("the request's Host", host[:200])
        if not HOST.fullmatch(host):
            return BAD_REQUEST("its Host header is not a host's name", seen)
        opens = str(request.scope["path"]).startswith(OPENED)
        if not opens and hosts.of_a_session(asked_host(request), self._settings().service):
            return WRONG_HOST(f"At {asked_host(request)} a session is served and nothing else", seen)
        remedy = hosts.refusal(asked_host(request), self._settings().service, socket.gethostname())
        if remedy is not None:
            return WRONG_HOST(f"It was asked for as {asked_host(request)}", seen, remedy=remedy)
        return None

    def host(self, request: Request) -> HostName:
        """Which of the service's names was asked for, as the settings write it; `` for none of them."""
        return hosts.listed(asked_host(request), self._settings().service)

    def standing(self, request: Request) -> CertificateStanding:
        """What keeps the certificate away of the name that was asked for; sessions' names have one, the first's."""
        host, together = self.host(request), named_session_hosts(self._settings().service)
        return self._certificates(together[0] if host in together else host) or CertificateStanding(None, 0)

    def _insecure(self, request: Request) -> Failure | None:
        """Caddy leads to https itself, as soon as there is a certificate: who comes by http came too early."""
        if not redirects(self._settings().service) or origin(request).startswith("https:"):
            return None
        cause, why = f"{asked_host(request)} has no certificate yet", self.standing(request).failure
        if why is None:
            return HTTPS_PENDING(cause, after=AGAIN)
        return HTTPS_PENDING(f"{cause} ({why.kind.code}): {why.cause}", *why.evidence, remedy=why.remedy, after=AGAIN)

    def _banned(self, request: Request) -> Failure | None:
        address = client(request)
        for network, label in self._settings().launching.banned_networks.items():
            if _within(address, network):
                return CLIENT_BANNED(f"Requests from {label} are not allowed", Evidence("your address", address))
        return None


def _named(request: Request) -> RepoAddress | None:
    """What a launch link names; None where its handler says what is wrong with it."""
    try:
        return from_launch_path(raw_spec(request))
    except Fail:
        return None


def _within(address: str, network: str) -> bool:
    try:
        return ip_address(address) in _network(network)
    except ValueError:
        return False


@lru_cache(maxsize=1000)
def _network(network: str) -> IPv4Network | IPv6Network:
    return ip_network(network, strict=False)
