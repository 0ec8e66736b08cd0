"""Listeners of `http` and of `stream` that nginx cannot bind both, and which of the two goes. Pure.

Which goes is decided by what is left: challenges that get through or can be passed on, and sessions that are handed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from perijove.doctor.front import judge, listeners
from perijove.doctor.front.remedy import listener_removed
from perijove.doctor.front.requests import Passes, PassesTcp, step
from perijove.doctor.front.servers import Front, Listen
from perijove.domain import front_failures as rows
from perijove.domain.findings import Confidence, Finding
from perijove.domain.web_servers import Directive

RELOAD = "nginx -t && { nginx -s reload || nginx; }"
"""As for any change, or a start: after such a conflict nginx may be down."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two that want one port."""

    http: Listen
    stream: Listen


def found(front: Front) -> Iterator[Conflict]:
    """Each listener of stream with the first of http that is in its way."""
    for stream in (listen for server in front.streams for listen in server.listens):
        other = next((one for server in front.http for one in server.listens if _overlap(one, stream)), None)
        if other is not None:
            yield Conflict(other, stream)


def _overlap(one: Listen, other: Listen) -> bool:
    if one.port != other.port:
        return False
    if one.address == other.address:
        return True
    return (one.any and one.takes(other.address)) or (other.any and other.takes(one.address))


def told(facts: judge.Facts) -> Iterator[Finding]:
    """`nginx -t` takes an address in use for well; so this is told before anybody restarts it."""
    for one in found(facts.front):
        cause = f"http listens at {one.http.by.where} and stream at {one.stream.by.where}, both on port {one.http.port}"
        goes, why = chosen(facts, one)
        made = listener_removed(facts.front, goes) if goes is not None else None
        commands = (judge.pasted(made), RELOAD) if made is not None else ()
        remedy = f"{why} `nginx -t` does not see it, and the next start fails for all sites."
        failure = rows.LISTEN_CONFLICT(cause, step(one.http.by), step(one.stream.by), remedy=remedy)
        yield Finding(failure, one.stream.by.where, Confidence.CERTAIN, commands=commands, foreseen=True)


def chosen(facts: judge.Facts, one: Conflict) -> tuple[Listen | None, str]:
    """The listener that goes, None where that is the operator's to say; and the sentence that says why."""
    without_stream, without_http = (_serves(facts, one, goes) for goes in (one.stream, one.http))
    if without_stream and not (without_http and one.http.tls):
        return one.stream, f"Remove the line at {one.stream.by.where}: http answers as well without it."
    if without_http and not without_stream:
        return one.http, f"Remove the line at {one.http.by.where}: what stream hands on answers without it."
    either = "either would do" if without_stream else "neither alone would let challenges and people through"
    return None, f"Remove one of both lines yourself: {either}."


def _serves(facts: judge.Facts, one: Conflict, goes: Listen) -> bool:
    """Whether what is left lets the challenges of all names through, as it is or with a patch, and hands people on."""
    every = (listen for server in facts.front.http for listen in server.listens)
    gone = [goes] if goes is one.stream else [listen for listen in every if _overlap(listen, one.stream)]
    left = replace(facts, front=_without(facts.front, [listen.by for listen in gone]))
    at = next((listen.address for listen in (one.http, one.stream) if not listen.any), "")
    for host in facts.hosts:
        for address in facts.addresses or listeners.addresses(facts.front, host):
            if at and address not in ("", at):
                continue
            if judge.ill(left, host, address) and judge.patch(left, host, address) is None:
                return False
            handed = (Passes, PassesTcp)
            if one.http.tls and not any(isinstance(hop.outcome, handed) for hop in judge.session(left, host, at)):
                return False
    return True


def _without(front: Front, gone: Sequence[Directive]) -> Front:
    """The same, but for these lines."""

    def kept(listens: tuple[Listen, ...]) -> tuple[Listen, ...]:
        return tuple(one for one in listens if not any(one.by is line for line in gone))

    http = tuple(replace(server, listens=kept(server.listens)) for server in front.http)
    streams = tuple(replace(server, listens=kept(server.listens)) for server in front.streams)
    return replace(front, http=http, streams=streams)
