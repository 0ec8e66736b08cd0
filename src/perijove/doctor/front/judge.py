"""Would a CA see the challenge, do sessions pass, can every listener be bound? In: a Front, names. Out: findings. Pure.

What the files decide is certain. Where port 80 redirects and port 443 is handed on as TCP, they end at that machine:
then the certificate that is shown there tells, where somebody looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from perijove.doctor.engine import Check, NotSeen
from perijove.doctor.front import doors
from perijove.doctor.front.remedy import Patch, challenge_passed, server_added
from perijove.doctor.front.requests import (
    CHALLENGE,
    CHALLENGED,
    SESSION,
    Files,
    Hop,
    Nobody,
    Passes,
    PassesTcp,
    Redirects,
    Request,
    Says,
    Unknown,
    step,
)
from perijove.doctor.front.servers import Front, Listen
from perijove.doctor.front.trace import circles, trace
from perijove.domain import front_failures as rows
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

RELOAD = "nginx -t && nginx -s reload"
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
    named: bool = True
    """Whether somebody asked for these hosts; what a front does with others, that it hands on to nobody, is its own."""


def checks(facts: Facts) -> tuple[Check[Facts], ...]:
    """The questions, in order."""
    whole = "nginx.configuration"
    each = [
        check
        for host in facts.hosts
        for check in (
            Check(
                f"nginx.challenge/{host}",
                f"Does http://{host}{CHALLENGE} reach whoever orders the certificate?",
                partial(_challenge, host=host), (whole,),
            ),
            Check(
                f"nginx.sessions/{host}",
                f"Do websockets and event streams of {host} pass?",
                partial(_sessions, host=host), (whole,),
            ),
        )
    ]  # fmt: skip
    return (
        Check(whole, "Is the configuration whole?", _whole),
        Check("nginx.listeners", "Can every listener be bound?", lambda facts: conflicts(facts.front), (whole,)),
        *each,
    )


def _whole(facts: Facts) -> Iterator[Finding]:
    for error in facts.front.configuration.errors:
        failure = rows.CONFIGURATION_BROKEN(error.saw, error)
        yield Finding(failure, error.where, Confidence.LIKELY, commands=("nginx -t",), surer_with="nginx -t")


def conflicts(front: Front) -> Iterator[Finding]:
    """Listeners of http and of stream that nginx cannot bind both; `nginx -t` takes an address in use for well."""
    for stream in (listen for server in front.streams for listen in server.listens):
        other = next((one for server in front.http for one in server.listens if _overlap(one, stream)), None)
        if other is not None:
            cause = f"http listens at {other.by.where} and stream at {stream.by.where}, both on port {stream.port}"
            failure = rows.LISTEN_CONFLICT(cause, step(other.by), step(stream.by))
            yield Finding(failure, stream.by.where, Confidence.CERTAIN, foreseen=True)


def _overlap(one: Listen, other: Listen) -> bool:
    if one.port != other.port:
        return False
    if one.address == other.address:
        return True
    return (one.any and one.takes(other.address)) or (other.any and other.takes(one.address))


def _challenge(facts: Facts, host: str) -> Iterable[Finding]:
    where = facts.addresses or doors.addresses(facts.front, host)
    if not facts.named and not any(doors.hands_on(facts.front, host, address) for address in where):
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
    door = doors.http_port(front, host)
    hops = trace(front, Request("http", address, door, host, CHALLENGED))
    first, last = hops[0], hops[-1]
    if isinstance(first.outcome, Nobody):
        yield _nobody(facts, host, address, door)
        return
    cause, confidence = _why_blocked(facts, hops, host, address)
    commands = partial(_commands, facts, hops, host, address)
    rewritten, failure = _rewritten(hops, host), None
    if cause:
        failure = rows.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY(cause, *_evidence(hops))
    elif isinstance(last.outcome, Passes) and _name(last.outcome.host) != host.lower():
        cause = f"{last.outcome.target} is asked for {last.outcome.host}, not for {host}"
        failure = rows.HOST_LOST(cause, *_evidence(hops))
    if failure is not None:
        confidence = Confidence.LIKELY if any(hop.assumed for hop in hops) else confidence
        surer = "" if confidence is Confidence.CERTAIN else f"what port 443 shows for {host}, asked where nginx runs"
        yield Finding(failure, _decides(hops).where, confidence, commands=commands(), surer_with=surer)
    if rewritten is not None:
        about = f"{host} is sent to {_name(rewritten.location.partition('://')[2].partition('/')[0])} by $server_name"
        because = failure.kind.code if failure is not None else ""
        own = () if because else commands()
        found = rows.REDIRECT_REWRITES_HOST(about, step(rewritten.by))
        yield Finding(found, rewritten.by.where, Confidence.CERTAIN, because, own)


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
        case Says(status=status, by=by):
            own = status == 200 and CHALLENGE[1:-1] in " ".join(one.saw for one in last.steps).replace("\\", "")
            return "" if own else f"{before}{by.words} at {by.where} answers {status}", Confidence.CERTAIN
        case Redirects(location=location):
            raise NotSeen(f"it is redirected to {location}, which is not in this configuration")
        case Nobody(why=why) | Unknown(why=why):
            raise NotSeen(why)


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


def _nobody(facts: Facts, host: str, address: str, door: int) -> Finding:
    over = trace(facts.front, Request("https", address, doors.https_port(facts.front), host, CHALLENGED))
    if isinstance(over[0].outcome, Nobody):
        raise NotSeen(f"this configuration listens neither on port {door} nor on 443 for {host}")
    cause = f"nothing in this configuration listens on {address or 'any address'}:{door}, while port 443 is served"
    patch = _patch(facts, over[:0], host, address)
    commands = (_pasted(patch), RELOAD) if patch else _asked_for(host)
    return Finding(
        rows.NO_SERVER_ON_PORT_80(cause, *over[0].steps), over[0].steps[0].where, Confidence.LIKELY, commands=commands,
        surer_with=f"ss -ltnp 'sport = :{door}'",
    )  # fmt: skip


def _rewritten(hops: tuple[Hop, ...], host: str) -> Redirects | None:
    for hop in hops:
        if isinstance(hop.outcome, Redirects) and hop.outcome.rewrites_host:
            there = hop.outcome.location.partition("://")[2].partition("/")[0]
            if _name(there) != host.lower():
                return hop.outcome
    return None


def _decides(hops: tuple[Hop, ...]) -> Evidence:
    """The place that keeps port 80 from passing it on: the first that decided anything."""
    outcome = hops[0].outcome
    return Evidence("", "") if isinstance(outcome, Nobody) else step(outcome.by)


def _name(host: str) -> str:
    return host.lower() if host.startswith("[") else host.lower().partition(":")[0]


def _evidence(hops: tuple[Hop, ...]) -> tuple[Evidence, ...]:
    return tuple(one for hop in hops for one in hop.steps)


def patch(facts: Facts, host: str, address: str) -> Patch | None:
    """Files that pass this challenge on; None where nobody knows whom to."""
    door = doors.http_port(facts.front, host)
    hops = trace(facts.front, Request("http", address, door, host, CHALLENGED))
    return _patch(facts, () if isinstance(hops[0].outcome, Nobody) else hops, host, address)


def _patch(facts: Facts, hops: tuple[Hop, ...], host: str, address: str) -> Patch | None:
    to = f"http://{facts.to}" if facts.to else doors.solver(facts.front, host, address)
    if not to:
        return None
    if hops:
        return challenge_passed(facts.front, hops[0], to)
    door = doors.http_port(facts.front, host)
    return server_added(facts.front, f"{address}:{door}" if address else str(door), host, to)


def _commands(facts: Facts, hops: tuple[Hop, ...], host: str, address: str) -> tuple[str, ...]:
    made = _patch(facts, hops, host, address)
    return (_pasted(made), RELOAD) if made is not None else _asked_for(host)


def _pasted(made: Patch) -> str:
    return f"patch -d / -p1 <<'PERIJOVE'\n{made.diff}\nPERIJOVE"


def _asked_for(host: str) -> tuple[str, ...]:
    return (f"perijove doctor nginx --host {host} --to ADDR:PORT   # where challenges are answered",)


def _sessions(facts: Facts, host: str) -> Iterable[Finding]:
    found: dict[tuple[str, str], Finding] = {}
    passed = False
    for address in facts.addresses or doors.addresses(facts.front, host):
        for hop in session(facts.front, host, address):
            passed = passed or isinstance(hop.outcome, (Passes, PassesTcp))
            if isinstance(hop.outcome, Passes):
                for finding in _cut(hop, hop.outcome):
                    found.setdefault((finding.code, finding.subject), finding)
    if not passed:
        raise NotSeen(f"{host} hands no session on to anybody")
    return tuple(found.values())


def session(front: Front, host: str, address: str) -> tuple[Hop, ...]:
    """A session's websocket, by https where this configuration has it, else by http."""
    hops = trace(front, Request("https", address, doors.https_port(front), host, SESSION, upgrade=True))
    if not isinstance(hops[0].outcome, Nobody):
        return hops
    return trace(front, Request("http", address, doors.http_port(front, host), host, SESSION, upgrade=True))


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
