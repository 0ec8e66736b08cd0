"""Which names, addresses and ports does a front answer for, and who stands behind it? As its files tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from perijove.doctor.front.matching import named_server, taking
from perijove.doctor.front.requests import CHALLENGED, Passes, PassesTcp, Request
from perijove.doctor.front.servers import Front, Listen
from perijove.doctor.front.trace import trace
from perijove.domain.parsing import bracketed

MOST_HOSTS = 20
INVALID_NAME = "name.invalid"
"""A name to ask for where a configuration names none (RFC 2606)."""


def hosts(front: Front, base: str = "/") -> tuple[str, ...]:
    """The names that it hands on to somebody; all of its names where it hands none on."""
    names = dict.fromkeys(
        name
        for server in front.http
        for name in server.names
        if "." in name and not name.startswith((".", "~")) and not set(name) & set("*_$")
    )
    told = [name for name in names if any(hands_on(front, name, address, base) for address in addresses(front, name))]
    return tuple(told or names or [INVALID_NAME])[:MOST_HOSTS]


def hands_on(front: Front, host: str, address: str, base: str) -> bool:
    """Whether that path of this name is passed on to somebody."""
    hops = [
        hop
        for scheme, port in (("http", http_port(front, host)), ("https", https_port(front)))
        for hop in trace(front, Request(scheme, address, port, host, base))
    ]
    return any(isinstance(hop.outcome, (Passes, PassesTcp)) for hop in hops)


def addresses(front: Front, host: str) -> tuple[str, ...]:
    """Where the name may lead: the addresses of servers of this name, else all that are named, else any."""
    own = [server for server in front.http if named_server([server], host) is not None]
    of_name = _very(listen for server in own for listen in server.listens) if own else ()
    ports = (http_port(front, host), https_port(front))
    return of_name or _very(listen for listen in front.listens if listen.port in ports) or ("",)


def _very(listens: Iterable[Listen]) -> tuple[str, ...]:
    found = [one.address for one in listens if not one.any]
    return tuple(dict.fromkeys(found))


def http_port(front: Front, host: str) -> int:
    """80, or, where nothing here listens on 80 or 443 (ports are forwarded), the plain port of the name's server."""
    if _usual(front):
        return 80
    own = [server for server in front.http if named_server([server], host) is not None]
    plain = [listen.port for server in own or front.http for listen in server.listens if not listen.tls]
    return plain[0] if plain else 80


def https_port(front: Front) -> int:
    """443, or, where ports are forwarded, the first of TLS or of a stream."""
    if _usual(front):
        return 443
    tls = [listen.port for server in front.http for listen in server.listens if listen.tls]
    streams = [listen.port for server in front.streams for listen in server.listens]
    return next(iter([*streams, *tls]), 443)


def _usual(front: Front) -> bool:
    return any(listen.port in (80, 443) for listen in front.listens)


def solver(front: Front, host: str, address: str) -> str:
    """`http://10.0.1.61:80`: port 80 of the machine that https is handed to; `` for none, and for this one."""
    hops = trace(front, Request("https", address, https_port(front), host, CHALLENGED))
    match hops[-1].outcome:
        case PassesTcp(target=target):
            there = target.rpartition(":")[0].strip("[]")
            if _ours(front, there, 80) or not there:
                return ""
            return f"http://{bracketed(there)}:80"
        case Passes(scheme=scheme, target=target):
            return f"{scheme}://{target}"
        case _:
            return ""


def _ours(front: Front, host: str, port: int) -> bool:
    """Whether that is this machine, where port 80 is nginx's own."""
    try:
        loops = ip_address({"localhost": "127.0.0.1"}.get(host, host)).is_loopback
    except ValueError:
        return False
    return loops or any(one.address == host for one in taking(front.listens, host, port))
