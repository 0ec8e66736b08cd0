"""Which server and which location answer a request? By nginx's rules, told in its documentation. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from urllib.parse import unquote

from perijove.doctor.front.servers import Front, HttpServer, Listen, StreamServer
from perijove.domain.web_servers import Directive

PASSING = ("fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
"""What hands requests on beside `proxy_pass`."""


def taking(listens: Iterable[Listen], address: str, port: int) -> tuple[Listen, ...]:
    """The listeners that a connection arrives at: those of its very address, else those of all addresses."""
    there = [one for one in listens if one.port == port]
    exact = tuple(one for one in there if one.address == address)
    if exact:
        return exact
    return tuple(one for one in there if one.any and one.takes(address))


def http_server(front: Front, address: str, port: int, host: str) -> tuple[HttpServer, Listen] | None:
    """The server and its listener; None where no http listener takes it."""
    listens = taking((listen for server in front.http for listen in server.listens), address, port)
    if not listens:
        return None
    candidates = [
        (server, listen) for server in front.http for listen in server.listens if any(listen is one for one in listens)
    ]
    named = named_server([server for server, _ in candidates], host)
    if named is not None:
        return next(pair for pair in candidates if pair[0] is named)
    return next((pair for pair in candidates if pair[1].default), candidates[0])


def named_server(servers: Sequence[HttpServer], host: str) -> HttpServer | None:
    """Whose name it is: exact, longest `*.x`, longest `x.*`, first regular expression; None for nobody's."""
    host = host.lower().rstrip(".")
    best: tuple[int, int] | None = None
    found = None
    for server in servers:
        for name in server.names:
            rank = _rank(name, host)
            if rank is not None and (best is None or rank > best):
                best, found = rank, server
    return found


def _rank(name: str, host: str) -> tuple[int, int] | None:
    """How well a server_name fits; None for not at all. Of equals the first stands."""
    if name.startswith("~"):
        pattern = regex(name[1:], insensitive=True)
        return (0, 0) if pattern is not None and pattern.search(host) else None
    if name in (host, f".{host}"):
        return (3, 0)
    if name.startswith(("*.", ".")):
        tail = name[name.index(".") :]
        return (2, len(tail)) if host.endswith(tail) and len(host) > len(tail) else None
    if name.endswith(".*"):
        head = name[:-1]
        return (1, len(head)) if host.startswith(head) and len(host) > len(head) else None
    return None


def stream_server(front: Front, address: str, port: int) -> StreamServer | None:
    """The stream's server; None where no listener of `stream` takes it."""
    listens = taking((listen for server in front.streams for listen in server.listens), address, port)
    return next((server for server in front.streams if any(one in listens for one in server.listens)), None)


def location(block: Directive, path: str) -> tuple[Directive, ...]:
    """The chain of locations from the outermost to the one that answers; () where none fits."""
    longest: Directive | None = None
    short: Directive | None = None
    for one in block.all("location"):
        kind, pattern = parts(one)
        if kind == "=" and pattern == path:
            return (one,)
        if kind in ("", "^~") and path.startswith(pattern):
            longest = one if longest is None or len(pattern) > len(parts(longest)[1]) else longest
        elif lacks_slash(one, path):
            short = one
    inner: tuple[Directive, ...] = ()
    if short is not None and (longest is None or parts(longest)[1] != path):
        return (short,)
    if longest is not None:
        inner = location(longest, path)
        if inner and _ends(inner, path):
            return (longest, *inner)
    if longest is None or parts(longest)[0] != "^~":
        for one in block.all("location"):
            kind, pattern = parts(one)
            if kind in ("~", "~*") and (found := regex(pattern, insensitive=kind == "~*")) and found.search(path):
                return (one, *location(one, path))
    return (longest, *inner) if longest is not None else ()


def lacks_slash(one: Directive, path: str) -> bool:
    """Whether nginx redirects to the location's path, which has one more (1.22, `find_static_location`)."""
    return parts(one) in (("", f"{path}/"), ("^~", f"{path}/")) and any(one.all("proxy_pass", *PASSING))


def unreadable(block: Directive) -> Directive | None:
    """A location of the block whose regular expression nginx alone can read: here it matches nothing."""
    for one in block.all("location"):
        kind, pattern = parts(one)
        if kind in ("~", "~*") and regex(pattern, insensitive=False) is None:
            return one
    return None


def _ends(chain: Sequence[Directive], path: str) -> bool:
    """Whether no regular expression further out is tried: a match of one within, and of `=`, is the last word."""
    kind, pattern = parts(chain[-1])
    return kind in ("~", "~*") or (kind == "=" and pattern == path) or lacks_slash(chain[-1], path)


def parts(one: Directive) -> tuple[str, str]:
    """A location's modifier and pattern; `@` for named ones."""
    if len(one.args) >= 2:
        return one.args[0], one.args[1]
    word = one.args[0] if one.args else ""
    for kind in ("=", "^~", "~*", "~"):
        if word.startswith(kind):
            return kind, word[len(kind) :]
    return ("@", word) if word.startswith("@") else ("", word)


def normal(path: str, *, merged: bool) -> str:
    """`$uri` as nginx makes it of a path: without escapes, `.` and `..`, and with single slashes if `merged`."""
    path = unquote(path)
    if merged:
        path = re.sub("//+", "/", path)
    kept: list[str] = []
    for part in path.split("/")[1:]:
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
    ends = "/" if kept and kept[-1] and path.endswith(("/.", "/..")) else ""
    return f"/{'/'.join(kept)}{ends}"


_CLASSES = {"[:alpha:]": "a-zA-Z", "[:digit:]": "0-9", "[:alnum:]": "a-zA-Z0-9", "[:word:]": "\\w", "[:space:]": "\\s"}
_CLASSES |= {"[:lower:]": "a-z", "[:upper:]": "A-Z", "[:xdigit:]": "0-9a-fA-F", "\\z": "\\Z"}


@cache
def regex(pattern: str, *, insensitive: bool) -> re.Pattern[str] | None:
    """A PCRE as Python reads it; None where it cannot."""
    for theirs, ours in _CLASSES.items():
        pattern = pattern.replace(theirs, ours)
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), re.IGNORECASE if insensitive else 0)
    except re.error:
        return None
