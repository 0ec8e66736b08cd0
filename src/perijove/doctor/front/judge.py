"""Would a CA see the challenge, do sessions pass? In: a Front, names. Out: findings. Pure.

What the files decide is certain. Where port 80 redirects and port 443 is handed on as TCP, they end at that machine:
then the certificate that is shown there tells, where somebody looked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from cryptography.x509 import Certificate

from perijove.doctor.engine import NotSeen
from perijove.doctor.front import acme_clients, listeners
from perijove.doctor.front.matching import named_server
from perijove.doctor.front.phases import ASSUMED
from perijove.doctor.front.remedy import Patch, challenge_passed, server_added
from perijove.doctor.front.requests import (
    CHALLENGE,
    CHALLENGED,
    SESSION,
    Files,
    Hop,
    NotListening,
    Passes,
    PassesTcp,
    Redirects,
    Request,
    Responds,
    Unknown,
    answers,
    step,
)
from perijove.doctor.front.servers import Front
from perijove.doctor.front.trace import circles, trace
from perijove.domain import front_failures as rows
from perijove.domain.failures import Evidence, Failure
from perijove.domain.findings import Confidence, Finding
from perijove.domain.web_servers import Renewal, Way

RELOAD = "nginx -t && nginx -s reload"
_JUPYTER = re.compile(r"jupyter|binder|notebook|perijove|kernels|terminals|/user/|\b(?:hub|lab)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\s;{}\"'\\$#]+")
"""What nginx reads as one word, whatever a client's own file holds: it is written into nginx's."""
SHORTEST_SILENCE = 45.0
"""Seconds that a connection must be allowed to say nothing: BinderHub speaks every 25, Jupyter every 30."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is judged."""

    front: Front
    hosts: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    """Where the hosts lead; () where the configuration must tell."""
    to: str = ""
    """`ADDR:PORT`: who answers challenges; `` where the configuration must tell."""
    shown: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By host and address: why nobody believes the certificate that port 443 shows, `` where it is believed."""
    renewals: Mapping[str, Renewal] = field(default_factory=dict)
    """How a client of that machine renews what nginx shows, by the chain's file."""
    base: str = "/"
    """The path that the Binder lies below."""
    named: bool = True
    """Whether somebody asked for these hosts; what a front does with others, that it hands on to nobody, is its own."""
    chains: Mapping[str, bytes] = field(default_factory=dict)
    """What stands in the files of certificates that could be read, by their names in the configuration."""
    roots: tuple[Certificate, ...] = ()
    """Those that browsers know."""
    now: float = 0
    """Unix seconds."""


def surely(front: Front, confidence: Confidence, hops: Iterable[Hop] = ()) -> Confidence:
    """What files that nobody could read might change, or what was assumed, is likely at most."""
    doubted = front.configuration.unread or any(hop.assumed for hop in hops)
    return Confidence.LIKELY if doubted and confidence is Confidence.CERTAIN else confidence


def challenge(facts: Facts, host: str) -> Iterable[Finding]:
    """What is between a CA and whoever orders the certificate. Raises NotSeen."""
    where = facts.addresses or listeners.addresses(facts.front, host)
    if not facts.named and not any(listeners.hands_on(facts.front, host, address, facts.base) for address in where):
        raise NotSeen("it hands this name on to nobody: ask for one with --host")
    found: dict[tuple[str, str], Finding] = {}
    unseen = ""
    for address in where:
        try:
            for finding in blocked(facts, host, address):
                found.setdefault((finding.code, finding.subject), finding)
        except NotSeen as reason:
            unseen = unseen or str(reason)
    if not found and unseen:
        raise NotSeen(unseen)
    return tuple(found.values())


def blocked(facts: Facts, host: str, address: str) -> Iterator[Finding]:
    """What keeps a CA from the solver's answer. Raises NotSeen where the files do not tell."""
    front = facts.front
    port = listeners.http_port(front, host)
    hops = trace(front, Request("http", address, port, host, CHALLENGED))
    first, last = hops[0], hops[-1]
    if isinstance(first.outcome, NotListening):
        if (none := _nobody(facts, host, address, port)) is not None:
            yield none
        return
    rewritten, failure = _rewritten(hops, host), None
    cause, confidence, sure = "", Confidence.CERTAIN, Confidence.CERTAIN
    try:
        cause, confidence = _why_blocked(facts, hops, host, address)
        if cause:
            cause, confidence = _doubted(facts, hops, (host, address), (cause, confidence))
    except NotSeen:
        if rewritten is None:
            raise
        # Another name is another name, whatever answers there.
        sure = Confidence.LIKELY
    commands = partial(_commands, facts, hops, host, address)
    if cause:
        failure = rows.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY(cause, *_evidence(hops))
    elif isinstance(last.outcome, Passes) and rewritten is None and last.request.host != host.lower():
        raise NotSeen(f"it is sent to {last.request.host}: whoever answers there knows of {host}, or does not")
    elif isinstance(last.outcome, Passes) and _name(last.outcome.host) != host.lower():
        cause = f"{last.outcome.target} is asked for {last.outcome.host}, not for {host}"
        failure = rows.HOST_LOST(cause, *_evidence(hops))
    elif rewritten is None and (assumption := _assumption(hops)):
        raise NotSeen(assumption)
    if failure is not None:
        confidence = surely(front, confidence, hops)
        surer = "" if confidence is Confidence.CERTAIN else f"what port 443 shows for {host}, asked where nginx runs"
        yield Finding(failure, _decides(hops).where, confidence, commands=commands(), surer_with=surer)
    if rewritten is not None:
        because = failure.kind.code if failure is not None else ""
        found = _renamed(rewritten, host)
        yield Finding(found, rewritten.by.where, sure, because, () if because else commands())


def _renamed(by: Redirects, host: str) -> Failure:
    """That the block's first name is put in place of the one that was asked for."""
    written = "server_name" in by.by.words
    there = _name(by.location.partition("://")[2].partition("/")[0])
    cause = f"{host} is sent to {there} by {'$server_name' if written else 'server_name_in_redirect'}"
    remedy = "" if written else "Take server_name_in_redirect out: it puts the block's first name in."
    return rows.REDIRECT_REWRITES_HOST(cause, step(by.by), remedy=remedy)


def _why_blocked(facts: Facts, hops: tuple[Hop, ...], host: str, address: str) -> tuple[str, Confidence]:
    """The cause, `` for none, and how sure it is. Raises NotSeen."""
    last = hops[-1]
    before = f"{_decides(hops).saw} at {_decides(hops).where} takes every path, and then " if hops[1:] else ""
    if circles(facts.front, hops):
        return "the redirect leads back to itself", Confidence.CERTAIN
    match last.outcome:
        case Passes(path=path, target=target) if path != CHALLENGED:
            return f"{before}{target} is asked for {path} instead of {CHALLENGED}", Confidence.CERTAIN
        case PassesTcp(target=target) if isinstance(hops[0].outcome, Redirects):
            return _behind_redirect(facts, hops[0].outcome, target, (host, address))
        case Passes() | PassesTcp():
            return "", Confidence.CERTAIN
        case Files(root=root, location=pattern, by=by):
            own = pattern.startswith(CHALLENGE[:12])
            return "" if own else f"{before}{by.where} answers from the files below {root}", Confidence.CERTAIN
        case Responds(status=status, by=by):
            own = status == 200 and CHALLENGE[1:-1] in " ".join(one.saw for one in last.steps).replace("\\", "")
            return "" if own else f"{before}{by.words} at {by.where} {answers(status)}", Confidence.CERTAIN
        case Redirects(location=location):
            raise NotSeen(f"it is redirected to {location}, which is not in this configuration")
        case NotListening(why=why) | Unknown(why=why):
            raise NotSeen(why)


def _doubted(
    facts: Facts, hops: tuple[Hop, ...], at: tuple[str, str], found: tuple[str, Confidence]
) -> tuple[str, Confidence]:
    """The same, by what is known of who orders the certificate. Raises NotSeen."""
    front, (host, address), (cause, confidence) = facts.front, at, found
    if named_server(front.http, host) is None:
        if not listeners.hands_on(front, host, address, facts.base):
            raise NotSeen(f"no server of this configuration has the name {host}, and nothing hands it on")
        confidence = Confidence.POSSIBLE
    if not facts.to and not _secured(front, hops):
        confidence = Confidence.POSSIBLE  # a site of plain http: nobody may want a certificate for it
    by = _acme_client(facts, host, address)
    return (cause, confidence) if by is None else acme_clients.judged(by, hops[-1], cause)


def _secured(front: Front, hops: tuple[Hop, ...]) -> bool:
    """Whether anything here has to do with https: a listener, or a redirect to it."""
    listens = any(one.tls or one.port == listeners.https_port(front) for one in front.listens)
    return listens or any(isinstance(hop.outcome, Redirects) and "https:" in hop.outcome.location for hop in hops)


def _acme_client(facts: Facts, host: str, address: str) -> Renewal | None:
    """Who orders a certificate that this nginx shows itself; None where it does not, or where the operator said who."""
    if facts.to:
        return None
    return acme_clients.acme_client(facts.front, facts.renewals, host, (address, listeners.https_port(facts.front)))


def _behind_redirect(facts: Facts, by: Redirects, target: str, at: tuple[str, str]) -> tuple[str, Confidence]:
    """Port 80 redirects, port 443 is handed on as it is: well where that machine answers challenges on 443 as well."""
    redirect = f"{by.by.words} at {by.by.where} redirects every path, and port 443 is handed to {target} as TCP"
    problem = facts.shown.get(at)
    if problem == "":
        return "", Confidence.CERTAIN
    if problem:
        return f"{redirect}, which shows no certificate that holds: {problem}", Confidence.LIKELY
    if by.rewrites_host:
        # Written for people and one name: port 80 of that machine is reached by nothing.
        return f"{redirect}; nothing leads to its port 80", Confidence.POSSIBLE
    raise NotSeen(f"port 80 redirects to https, and {target} alone knows whether it answers challenges there")


def _nobody(facts: Facts, host: str, address: str, port: int) -> Finding | None:
    over = trace(facts.front, Request("https", address, listeners.https_port(facts.front), host, CHALLENGED))
    if isinstance(over[0].outcome, NotListening):
        how = "" if ":" in address else " by IPv4"
        raise NotSeen(f"this configuration listens neither on port {port} nor on 443 for {host}{how}")
    cause = f"nothing in this configuration listens on {address or 'any address'}:{port}, while port 443 is served"
    by, sure = _acme_client(facts, host, address), Confidence.LIKELY
    if by is not None:
        cause, sure = ("", sure) if by.way is Way.ALONE else acme_clients.judged(by, over[0], cause)
    if not cause:
        return None
    patch = _patch(facts, over[:0], host, address)
    commands = (pasted(patch), RELOAD) if patch else _asked_for(host)
    return Finding(
        rows.NO_SERVER_ON_PORT_80(cause, *over[0].steps), over[0].steps[0].where, sure, commands=commands,
        surer_with=f"ss -ltnp 'sport = :{port}'",
    )  # fmt: skip


def _rewritten(hops: tuple[Hop, ...], host: str) -> Redirects | None:
    for hop in hops:
        if isinstance(hop.outcome, Redirects) and hop.outcome.rewrites_host:
            there = hop.outcome.location.partition("://")[2].partition("/")[0]
            if _name(there) != host.lower():
                return hop.outcome
    return None


def _assumption(hops: tuple[Hop, ...]) -> str:
    """What was taken as not so on the way; `` where the files decide all of it."""
    return next((one.saw for hop in hops for one in hop.steps if one.saw.endswith(ASSUMED)), "")


def _decides(hops: tuple[Hop, ...]) -> Evidence:
    """The place that keeps port 80 from passing it on: the first that decided anything."""
    outcome = hops[0].outcome
    return Evidence("", "") if isinstance(outcome, NotListening) else step(outcome.by)


def _name(host: str) -> str:
    return host.lower() if host.startswith("[") else host.lower().partition(":")[0]


def _evidence(hops: tuple[Hop, ...]) -> tuple[Evidence, ...]:
    return tuple(one for hop in hops for one in hop.steps)


def ill(facts: Facts, host: str, address: str) -> bool:
    """Whether anything is known to be in the challenge's way."""
    try:
        return any(True for _ in blocked(facts, host, address))
    except NotSeen:
        return False


def patch(facts: Facts, host: str, address: str) -> Patch | None:
    """Files that pass this challenge on; None where nobody knows whom to."""
    port = listeners.http_port(facts.front, host)
    hops = trace(facts.front, Request("http", address, port, host, CHALLENGED))
    return _patch(facts, () if isinstance(hops[0].outcome, NotListening) else hops, host, address)


def _patch(facts: Facts, hops: tuple[Hop, ...], host: str, address: str) -> Patch | None:
    by = _acme_client(facts, host, address)
    if facts.to or by is None:
        to = f"http://{facts.to}" if facts.to else listeners.solver(facts.front, host, address)
    else:
        to = next((folder for folder in by.folders if _WORD.fullmatch(folder)), "")
    if not to:
        return None
    if hops:
        return challenge_passed(facts.front, hops[0], to)
    port = listeners.http_port(facts.front, host)
    return server_added(facts.front, f"{address}:{port}" if address else str(port), host, to)


def _commands(facts: Facts, hops: tuple[Hop, ...], host: str, address: str) -> tuple[str, ...]:
    made = _patch(facts, hops, host, address)
    return (pasted(made), RELOAD) if made is not None else _asked_for(host)


def pasted(made: Patch) -> str:
    """A diff as one pastes it."""
    return f"patch -d / -p1 <<'PERIJOVE'\n{made.diff}\nPERIJOVE"


def _asked_for(host: str) -> tuple[str, ...]:
    return (f"perijove doctor nginx --host {host} --to ADDR:PORT   # where challenges are answered",)


def included(facts: Facts, host: str) -> Iterator[Finding]:
    """A server of that name in a file that no include takes, where nobody else hands the name on. Raises NotSeen."""
    front = facts.front
    where = facts.addresses or listeners.addresses(front, host)
    handed = any(listeners.hands_on(front, host, address, facts.base) for address in where)
    if handed or named_server(front.http, host) is not None:
        return
    left = next((one for one in front.configuration.left if host in one.saw.lower().split()), None)
    if left is None:
        raise NotSeen(f"no file here has a server of the name {host}")
    failure = rows.FILE_NOT_INCLUDED(f"no include takes the file that has the server of {host}", left)
    yield Finding(failure, left.where, Confidence.LIKELY, commands=(f"nginx -T | grep -n {host}",))


def sessions(facts: Facts, host: str) -> Iterable[Finding]:
    """What is between browsers and sessions. Raises NotSeen."""
    found: dict[tuple[str, str], Finding] = {}
    passed, told = False, facts.named
    for address in facts.addresses or listeners.addresses(facts.front, host):
        for hop in session(facts, host, address):
            passed = passed or isinstance(hop.outcome, (Passes, PassesTcp))
            if isinstance(hop.outcome, Passes):
                for finding in _cut(hop, hop.outcome):
                    sure = surely(facts.front, finding.confidence)
                    found.setdefault((finding.code, finding.subject), replace(finding, confidence=sure))
                    told = told or any(_JUPYTER.search(words) for words in (host, *(one.saw for one in hop.steps)))
    if not passed:
        raise NotSeen(f"{host} hands no session on to anybody")
    if found and not told:
        raise NotSeen(f"nothing says that {host} is a Jupyter, which needs both: ask for it with --host")
    return tuple(found.values())


def session(facts: Facts, host: str, address: str) -> tuple[Hop, ...]:
    """A session's websocket, by https where this configuration has it, else by http."""
    front, path = facts.front, facts.base + SESSION[1:]
    hops = trace(front, Request("https", address, listeners.https_port(front), host, path, upgrade=True))
    if not isinstance(hops[0].outcome, NotListening):
        return hops
    return trace(front, Request("http", address, listeners.http_port(front, host), host, path, upgrade=True))


def _cut(hop: Hop, passes: Passes) -> Iterator[Finding]:
    if not passes.upgrade:
        failure = rows.WEBSOCKET_CUT(f"{passes.target} is asked without Upgrade, or by HTTP/1.0", *hop.steps)
        lines = ("proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;",
                 'proxy_set_header Connection "upgrade";', "proxy_set_header Host $host;")  # fmt: skip
        yield Finding(failure, passes.by.where, Confidence.CERTAIN, commands=("\n".join(lines), RELOAD))
    if passes.buffered or passes.silence < SHORTEST_SILENCE:
        why = "proxy_buffering is on" if passes.buffered else f"it may say nothing for {passes.silence:g} s"
        failure = rows.STREAM_HELD_BACK(f"{passes.target}: {why}", *hop.steps)
        quick = "proxy_buffering off;\nproxy_read_timeout 1h;"
        yield Finding(failure, passes.by.where, Confidence.LIKELY, commands=(quick, RELOAD))
