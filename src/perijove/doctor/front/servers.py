"""nginx's servers, listeners and upstreams, as its directives declare them. Pure.

Facts: nginx's documentation of ngx_http_core_module and ngx_stream_core_module (`listen`, `server_name`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from perijove.domain.web_servers import Configuration, Directive

ANY = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Listen:
    """One address that a server listens on."""

    address: str
    port: int
    tls: bool
    default: bool
    both: bool
    """Whether `::` takes IPv4 as well."""
    by: Directive
    proxy: bool = False
    """Whether each connection must begin with a line of the PROXY protocol."""

    @property
    def any(self) -> bool:
        return self.address in ANY

    def takes(self, address: str) -> bool:
        """Whether a connection to this address arrives here; `` is an address that no listener names."""
        if not self.any:
            return self.address == address
        six = ":" in address
        return six == (self.address == "::") or (self.both and not six)


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A `server` of `http`."""

    block: Directive
    http: Directive
    listens: tuple[Listen, ...]
    names: tuple[str, ...]
    """Lower case but for regular expressions; `` is a request without Host."""


@dataclass(frozen=True, slots=True)
class StreamServer:
    """A `server` of `stream`."""

    block: Directive
    stream: Directive
    listens: tuple[Listen, ...]


@dataclass(frozen=True, slots=True)
class Front:
    """All of it."""

    configuration: Configuration
    http: tuple[HttpServer, ...]
    streams: tuple[StreamServer, ...]
    upstreams: Mapping[str, tuple[str, ...]]
    """Servers by the upstream's name, prefixed with `http ` or `stream `."""
    maps: Mapping[str, Directive]
    """`map` and `geo` blocks by `http $variable` or `stream $variable`."""

    @property
    def listens(self) -> tuple[Listen, ...]:
        of_http = [listen for server in self.http for listen in server.listens]
        return (*of_http, *(listen for server in self.streams for listen in server.listens))


def front_of(configuration: Configuration) -> Front:
    """Read the directives. What is not understood is left out."""
    main = configuration.main
    http = [
        HttpServer(one, block, _listens(one, "80"), _names(one))
        for block in main.all("http")
        for one in block.all("server")
    ]
    streams = [
        StreamServer(one, block, _listens(one, "")) for block in main.all("stream") for one in block.all("server")
    ]
    upstreams: dict[str, tuple[str, ...]] = {}
    maps: dict[str, Directive] = {}
    for block in main.all("http", "stream"):
        for one in block.all("upstream"):
            upstreams[f"{block.name} {one.args[0]}"] = tuple(_alive(one))
        for one in block.all("map"):
            if len(one.args) == 2:
                maps[f"{block.name} {one.args[1]}"] = one
        for one in block.all("geo"):
            if len(one.args) == 1:
                maps[f"{block.name} {one.args[0]}"] = one
    return Front(configuration, _shared(http), tuple(streams), upstreams, maps)


def _shared(servers: list[HttpServer]) -> tuple[HttpServer, ...]:
    """The same: what one server says of a socket's families holds for all that listen there."""
    both = {(one.address, one.port) for server in servers for one in server.listens if one.both}

    def told(server: HttpServer) -> HttpServer:
        return replace(
            server, listens=tuple(replace(one, both=(one.address, one.port) in both) for one in server.listens)
        )

    return tuple(map(told, servers))


def _alive(upstream: Directive) -> Iterator[str]:
    """Its servers; those that stand by come last, those that are down not at all."""
    servers = [one for one in upstream.all("server") if one.args and "down" not in one.args]
    yield from (one.args[0] for one in sorted(servers, key=lambda one: "backup" in one.args))


def _names(server: Directive) -> tuple[str, ...]:
    names = [name for one in server.all("server_name") for name in one.args]
    return tuple(name if name.startswith("~") else name.lower() for name in names) or ("",)


def _listens(server: Directive, port: str) -> tuple[Listen, ...]:
    found = [listen for one in server.all("listen") for listen in _listen(one, port)]
    if found or not port or any(server.all("listen")):
        return tuple(found)
    return (Listen("0.0.0.0", 80, tls=False, default=False, both=False, by=server),)


def _listen(directive: Directive, usual: str) -> Iterator[Listen]:
    """`80`, `*:80`, `10.0.0.1`, `[::]:80`, `10.0.0.1:5000-5010`; sockets of files are none that a browser reaches."""
    if not directive.args or directive.args[0].startswith("unix:"):
        return
    given, options = directive.args[0], directive.args[1:]
    if "udp" in options or "quic" in options:
        return
    match = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):)?(\d+)(?:-(\d+))?", given)
    if match is None:
        match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)()()", given)
    if match is None or not (match[2] or usual):
        return
    address = _address(match[1] or "*")
    first = int(match[2] or usual)
    tls = "ssl" in options
    for port in range(first, min(int(match[3] or first), 65535) + 1):
        default = bool({"default_server", "default"} & set(options))
        proxy = "proxy_protocol" in options
        yield Listen(address, port, tls, default, "ipv6only=off" in options, directive, proxy)


def _address(given: str) -> str:
    text = {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(given, given).strip("[]")
    try:
        return str(ip_address(text))
    except ValueError:
        return text
