"""Why a walk to the challenge did not end at the answer. In: its hops. Out: a row, its cause, a remedy. Pure.

A trail is told apart by rules, each a line of `_RULES`; the first that knows it names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from perijove.certifying.verdict import web_servers
from perijove.certifying.verdict.sentences import answer, place, silence, title, wall, who
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import Hop, HostName, is_address
from perijove.domain.failures import Kind

REDIRECTS = (301, 302, 307, 308)
"""What CAs follow; 303 is not among them (Boulder, va/http.go)."""
MOST = 10
_TLS_WORDS = (
    "plain HTTP request was sent to HTTPS port",  # nginx
    "speaking plain HTTP to an SSL-enabled server port",  # Apache
    "Client sent an HTTP request to an HTTPS server",  # Go: Caddy, Traefik
)
LOGIN = re.compile(
    r"(?:^|[/._?=&-])(?:log[-_]?in|log[-_]?on|sign[-_]?in|sso|auth|authorize|cas|oauth2?|openid(?:-connect)?|saml2?|shibboleth|idp"
    r"|adfs|keycloak|session/new|accounts)(?:$|[/._?=&-])",
    re.IGNORECASE,
)
_LOGIN_TITLE = re.compile(
    r"\b(?:log ?in|log ?on|sign ?in|anmeld\w*|connexion|inicia\w* sesi\w*|login)\b", re.IGNORECASE
)
_PASSWORD_FIELD = re.compile(r"type=[\"']?password", re.IGNORECASE)
_KEY_AUTHORIZATION = re.compile(r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{43}")

Why = tuple[Kind, str, str]
"""A row, the sentence that says why, and a remedy; `` for the row's own."""


@dataclass(frozen=True, slots=True)
class Trail:
    """The hops at one address, and what should have come back."""

    host: HostName
    hops: tuple[Hop, ...]
    expected: str
    marker: str
    reach_us: str
    ports: tuple[int, int]
    """Those for http and https."""

    @property
    def first(self) -> Hop:
        return self.hops[0]

    @property
    def last(self) -> Hop:
        return self.hops[-1]

    @property
    def redirected(self) -> bool:
        return len(self.hops) > 1

    @property
    def arrives(self) -> bool:
        """Whether a CA would accept what came back (RFC 8555, 8.3), on a way that CAs go."""
        right = self.last.status == 200 and self.last.body.rstrip() == self.expected
        return right and not self.last.error and not _bare(self)

    def leads(self, hop: Hop) -> SplitResult | None:
        """Where a redirect leads; None where it says nothing that can be read."""
        try:
            parts = urlsplit(urljoin(hop.url, hop.location))
            _ = parts.port
        except ValueError:
            return None
        return parts if parts.hostname else None

    @property
    def turn(self) -> str:
        """`nginx at … redirects to … (301)`: the last redirect before the end."""
        hop = self.hops[-2] if self.redirected else self.last
        return f"{who(hop)} redirects to {place(urljoin(hop.url, hop.location))} ({hop.status})"

    @property
    def pass_on(self) -> str:
        """A remedy for whoever answers on port 80."""
        return web_servers.pass_on(self.first, self.host, self.reach_us)


def why(trail: Trail) -> Why:
    """What is wrong with a trail that does not arrive."""
    found = (rule(trail) for rule in _RULES)
    return next((one for one in found if one is not None), None) or _unexpected(trail)


def _nothing_there(trail: Trail) -> Why | None:
    hop = trail.first
    if not hop.error or hop.error == "tls":
        return None
    said = f"{hop.address} {silence(hop)}"
    port, address = trail.ports[0], hop.address.rpartition(":")[0]
    us = f", which listens at {trail.reach_us}" if trail.reach_us else ""
    if hop.error == "refused":
        return rows.PORT_REFUSED, said, f"Have port {port} of {address} lead to Perijove{us}."
    if hop.error in {"timeout", "unreachable"}:
        return rows.PORT_FILTERED, said, ""
    if hop.error == "silent":
        return rows.UNEXPECTED_ANSWER, said, f"See why it is slow: CAs wait for some ten seconds. {trail.pass_on}"
    return rows.UNEXPECTED_ANSWER, said, ""


def _tls_on_80(trail: Trail) -> Why | None:
    hop = trail.last
    https = hop.url.startswith("https:")
    told = hop.status == 497 or (hop.status == 400 and any(words in hop.body for words in _TLS_WORDS))
    if https or not (told or hop.error == "tls"):
        return None
    cause = f"{who(hop)} {answer(hop)} to plain HTTP: it expects TLS there"
    if not hop.status:
        cause = f"{hop.address} answers TLS handshakes, and not plain HTTP ({hop.words})"
    return rows.TLS_ON_PORT_80, cause, web_servers.without_tls(hop, trail.host, trail.reach_us)


def _changed(trail: Trail) -> Why | None:
    """The right answer, with something done to it."""
    hop = trail.last
    if hop.status != 200 or not trail.expected:
        return None
    place = "for `/.well-known/acme-challenge/`"
    if hop.encoding and hop.encoding.lower() != "identity":
        cause = f"{who(hop)} answers compressed ({hop.encoding}), which was not asked for"
        return rows.UNEXPECTED_ANSWER, cause, f"Turn compression off {place}."
    before, found, after = hop.body.partition(trail.expected)
    if not found:
        return None
    around = (before + after.rstrip())[:40]
    if not around:
        return None
    how = "with a byte order mark" if around == "\ufeff" else f"with {around!r} around it"
    cause = f"{who(hop)} gives the right answer {how}, which CAs refuse"
    return rows.UNEXPECTED_ANSWER, cause, f"Have answers passed on as they are {place}."


def _other_account(trail: Trail) -> Why | None:
    hop, token = trail.last, trail.expected.partition(".")[0]
    if hop.marker and hop.marker != trail.marker:
        cause = f"{who(hop)} answers as another Perijove ({hop.marker})"
        return rows.OTHER_ACCOUNT, cause, trail.pass_on
    body = hop.body.strip()
    if hop.marker or hop.status != 200 or not _KEY_AUTHORIZATION.fullmatch(body):
        return None
    right = "this token" if body.startswith(f"{token}.") else "another token"
    cause = f"{who(hop)} answers {right} with the key of another ACME account ({body.rpartition('.')[2][:12]}…)"
    return rows.OTHER_ACCOUNT, cause, f"Remove what answers there, then: {trail.pass_on}"


def _ours_but_wrong(trail: Trail) -> Why | None:
    hop = trail.last
    if not hop.marker:
        return None
    if hop.status == 200:
        cause = f"Perijove was reached through {trail.first.address}, but its answer was changed on the way"
        return rows.UNEXPECTED_ANSWER, cause, ""
    cause = (
        f"Perijove was reached through {trail.first.address}, and answers {hop.status}: it does not know this challenge"
    )
    return rows.UNEXPECTED_ANSWER, cause, f"Have {who(trail.first)} pass path and Host header on unchanged."


def _login_redirect(trail: Trail) -> Why | None:
    for hop in trail.hops:
        parts = trail.leads(hop) if hop.location else None
        if parts is None:
            continue
        path = place(parts.path)
        if LOGIN.search(path if parts.hostname == trail.host else f"{parts.hostname}{path}"):
            leads = f"{who(hop)} redirects to the login {place(parts.geturl())} ({hop.status})"
            return rows.LOGIN_REDIRECT, leads, web_servers.pass_on(hop, trail.host, trail.reach_us)
    return None


def _not_followed(trail: Trail) -> Why | None:
    """The last answer is a redirect that CAs do not follow."""
    hop = trail.last
    if not 300 <= hop.status < 400 or not hop.location:
        return None
    parts = trail.leads(hop)
    if parts is None or parts.scheme not in {"http", "https"}:
        return rows.UNEXPECTED_ANSWER, f"{_end(hop)}, which CAs cannot follow", trail.pass_on
    if parts.geturl() in {one.url for one in trail.hops}:
        return rows.REDIRECT_LOOP, f"{_end(hop)}, where it was asked before", trail.pass_on
    port = parts.port or dict(zip(("http", "https"), trail.ports, strict=True))[parts.scheme]
    if port not in trail.ports:
        allowed = " and ".join(map(str, trail.ports))
        return rows.REDIRECT_BAD_PORT, f"{_end(hop)}; CAs follow to ports {allowed} alone", trail.pass_on
    if hop.status not in REDIRECTS:
        return rows.UNEXPECTED_ANSWER, f"{_end(hop)}; CAs follow 301, 302, 307 and 308 alone", trail.pass_on
    return rows.REDIRECT_LOOP, f"{_end(hop)}, after {MOST} redirects before", trail.pass_on


def _end(hop: Hop) -> str:
    """The redirect at which the trail ends."""
    return f"{who(hop)} redirects to {place(urljoin(hop.url, hop.location))} ({hop.status})"


def _silent_after_redirect(trail: Trail) -> Why | None:
    hop = trail.last
    if not trail.redirected or not hop.error:
        return None
    host = urlsplit(hop.url).hostname or ""
    if hop.error == "unresolved":
        slash = "; a slash is missing after the host" if host.endswith(".well-known") else ""
        cause = f"{trail.turn}, and {host} has no address ({hop.words}){slash}"
        return rows.REDIRECT_UNRESOLVED, cause, trail.pass_on
    return rows.REDIRECT_REFUSED, f"{trail.turn}, and {hop.address} {silence(hop)}{wall(trail.hops)}", trail.pass_on


def _elsewhere(trail: Trail) -> Why | None:
    host = urlsplit(trail.last.url).hostname
    if not trail.redirected or host == trail.host.lower():
        return None
    if bare := _bare(trail):
        cause = f"{trail.turn}; CAs follow to names, and {bare} is an address"
    else:
        cause = f"{trail.turn}, where {who(trail.last)} {answer(trail.last)}{wall(trail.hops)}"
    return rows.REDIRECT_ELSEWHERE, cause, trail.pass_on


def _bare(trail: Trail) -> str:
    """The address that a redirect of a name leads to; `` for names, and for hosts that are addresses."""
    for hop in trail.hops[1:]:
        host = urlsplit(hop.url).hostname or ""
        if host != trail.host and is_address(host):
            return host
    return ""


def _password(trail: Trail) -> Why | None:
    hop = trail.last
    if hop.status not in {401, 407} and not hop.asks_password:
        return None
    realm = f" ({hop.asks_password})" if hop.asks_password else ""
    pass_on = web_servers.pass_on(hop, trail.host, trail.reach_us).replace(
        "{ proxy_pass", "{ auth_basic off; proxy_pass"
    )
    return rows.PASSWORD_ASKED, f"{who(hop)} answers {hop.status} and asks for a password{realm}", pass_on


def _upstream_down(trail: Trail) -> Why | None:
    hop = trail.last
    if hop.status not in {502, 503, 504}:
        return None
    cause = f"{who(hop)} answers {hop.status}: what it passes the request on to does not answer it"
    return rows.UPSTREAM_DOWN, cause, web_servers.reach(hop, trail.reach_us)


def _login_page(trail: Trail) -> Why | None:
    hop = trail.last
    if not _LOGIN_TITLE.search(title(hop)) and not _PASSWORD_FIELD.search(hop.body):
        return None
    return rows.LOGIN_PAGE, f"{who(hop)} {answer(hop)}, which is a login", trail.pass_on


def _redirected(trail: Trail) -> Why | None:
    if not trail.redirected:
        return None
    end = f"where {who(trail.last)} {answer(trail.last)} instead of Perijove"
    return rows.REDIRECT_NOT_FORWARDED, f"{trail.turn}, {end}{wall(trail.hops)}", trail.pass_on


def _page(trail: Trail) -> Why | None:
    if trail.last.status != 200 or "<" not in trail.last.body:
        return None
    return rows.OTHER_SITE, f"{who(trail.last)} {answer(trail.last)} where the challenge should be", trail.pass_on


def _not_forwarded(trail: Trail) -> Why | None:
    if trail.last.status not in {403, 404, 405, 410, 421}:
        return None
    cause = f"{who(trail.last)} {answer(trail.last)}: it does not pass the challenge on to Perijove"
    return rows.NOT_FORWARDED, cause, trail.pass_on


def _unexpected(trail: Trail) -> Why:
    body = " ".join(trail.last.body.split())[:60]
    shown = f": “{body}”" if body and not title(trail.last) else ""
    return rows.UNEXPECTED_ANSWER, f"{who(trail.last)} {answer(trail.last)}{shown}", trail.pass_on


_RULES: tuple[Callable[[Trail], Why | None], ...] = (
    _nothing_there,
    _tls_on_80,
    _changed,
    _other_account,
    _ours_but_wrong,
    _login_redirect,
    _not_followed,
    _silent_after_redirect,
    _elsewhere,
    _password,
    _upstream_down,
    _login_page,
    _redirected,
    _page,
    _not_forwarded,
)
