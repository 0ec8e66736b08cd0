"""Follow a request through one configuration: redirects, TCP streams, upstreams that are the same nginx. Pure."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from perijove.doctor.front import requests as r
from perijove.doctor.front.matching import http_server, named_server, stream_server, taking
from perijove.doctor.front.phases import answer
from perijove.doctor.front.proxying import upstream
from perijove.doctor.front.servers import Front, StreamServer
from perijove.doctor.front.variables import Variables

MOST = 10
"""Redirects that a CA follows (Boulder and cert-manager alike)."""


def trace(front: Front, request: r.Request) -> tuple[r.Hop, ...]:
    """Hop by hop; the last one's outcome is what the request comes to, as far as the configuration tells."""
    hops: list[r.Hop] = []
    asked: r.Request | None = request
    while asked is not None and len(hops) <= MOST:
        if any(hop.request == asked for hop in hops):
            break
        hops.append(_hop(front, asked))
        asked = _next(front, hops[-1])
    return tuple(hops)


def circles(front: Front, hops: tuple[r.Hop, ...]) -> bool:
    """Whether it was led back to where it had been."""
    onward = _next(front, hops[-1])
    return onward is not None and any(hop.request == onward for hop in hops)


def _hop(front: Front, request: r.Request) -> r.Hop:
    found = http_server(front, request.address, request.port, request.host)
    if found is not None:
        server, listen = found
        # What one server says of an address holds for all servers there.
        tls = any(one.tls for one in taking(front.listens, request.address, request.port))
        tls = tls or any(one.args == ("on",) for one in server.block.all("ssl"))
        told = answer(front, server, request)
        closed = server.block.last("ssl_reject_handshake") or server.http.last("ssl_reject_handshake")
        if tls and closed is not None and closed.args == ("on",):
            told = r.Hop(request, (r.step(closed),), r.Responds(r.CLOSED, closed), server.block)
        if tls and request.scheme == "http":
            told = answer(front, server, request, plain=listen.by)
        elif request.scheme == "https" and not tls:
            told = replace(told, outcome=r.Unknown("TLS is spoken to a listener of plain http", listen.by))
        return replace(told, steps=(r.step(listen.by, _named(listen.by.words, server.names)), *told.steps))
    stream = stream_server(front, request.address, request.port)
    if stream is not None:
        return _streamed(front, stream, request)
    at = f"{request.address or 'any address'}:{request.port}"
    return r.Hop(request, (), r.NotListening(f"nothing in this configuration listens on {at}"))


def _named(words: str, names: tuple[str, ...]) -> str:
    told = " ".join(names)
    return f"{words}; server_name {told}" if told else words


def _streamed(front: Front, stream: StreamServer, request: r.Request) -> r.Hop:
    listens = taking(stream.listens, request.address, request.port)
    steps = [r.step(listens[0].by)]
    onward = stream.block.last("proxy_pass")
    outcome: r.Outcome
    if onward is None or not onward.args:
        outcome = r.Unknown("what this stream answers stands not in the configuration", stream.block)
        return r.Hop(request, tuple(steps), outcome, stream.block)
    steps.append(r.step(onward))
    variables = Variables(front, request, "stream")
    name = variables.filled(onward.args[0])
    outcome = r.Unknown(f"what {onward.args[0]} is stands not in the configuration", onward)
    if name:
        target = upstream(variables, name)
        outcome = r.PassesTcp(target, onward)
        if target != name:
            steps.append(r.step(onward, f"upstream {name} is {target}"))
    return r.Hop(request, tuple(steps), outcome, stream.block)


def _next(front: Front, hop: r.Hop) -> r.Request | None:
    """What is asked next within this configuration; None where the trail leaves it or ends."""
    asked = hop.request
    match hop.outcome:
        case r.Redirects(location=location):
            return _redirected(front, asked, location)
        case r.Passes(scheme=scheme, target=target, path=path, host=host):
            own = _own(front, target)
            headed = host.partition(":")[0] if host else asked.host
            return own and replace(asked, scheme=scheme, address=own[0], port=own[1], host=headed, path=path)
        case r.PassesTcp(target=target):
            own = _own(front, target)
            return own and replace(asked, address=own[0], port=own[1])
        case _:
            return None


def _own(front: Front, target: str) -> tuple[str, int] | None:
    """Address and port of an upstream that is this same nginx."""
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit() or target.startswith("unix:"):
        return None
    address = {"localhost": "127.0.0.1"}.get(host, host).strip("[]")
    try:
        loops = ip_address(address).is_loopback
    except ValueError:
        return None
    ours = loops or any(listen.address == address for listen in front.listens)
    return (address, int(port)) if ours and taking(front.listens, address, int(port)) else None


def _redirected(front: Front, asked: r.Request, location: str) -> r.Request | None:
    """The redirect's target, where it leads back here."""
    if location.startswith("/"):
        return replace(asked, path=location)
    parts = urlsplit(location)
    try:
        port = parts.port or r.USUAL_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    ours = host == asked.host.lower() or named_server(front.http, host) is not None
    if not ours or parts.scheme not in ("http", "https"):
        return None
    query = f"?{parts.query}" if parts.query else ""
    there = replace(asked, scheme=parts.scheme, port=port, host=host, path=(parts.path or "/") + query)
    if taking(front.listens, asked.address, port):
        return there
    # The other port may be listened on at one address alone; where a name leads stands in DNS, not here.
    elsewhere = {listen.address for listen in front.listens if listen.port == port and not listen.any}
    return replace(there, address=elsewhere.pop()) if len(elsewhere) == 1 and not asked.address else there
