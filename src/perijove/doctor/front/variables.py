"""nginx's variables for one request: `$host`, `$request_uri`, `map`, what `set` and captures made. Pure.

What a configuration and a request do not tell (a variable of a module) is unknown, and says so; a client is a stranger
from an address that nobody names, as a CA is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from perijove.doctor.front.matching import regex
from perijove.doctor.front.requests import USUAL_PORTS, Request
from perijove.doctor.front.servers import Front
from perijove.domain.web_servers import Directive

_NAME = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
DEEPEST = 8
STRANGER = "198.18.0.1"
_PUBLIC = tuple(map(ip_address, ("9.9.9.9", "129.6.15.28", "193.0.6.139")))
"""An address of none of the networks that people name (RFC 2544)."""
USER_AGENT = "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)"
"""As the CA that most ask sends it, and it begins as browsers' do."""


@dataclass
class Variables:
    """Their values while one server answers one request."""

    front: Front
    request: Request
    context: str
    """http or stream"""
    server_name: str = ""
    path: str = ""
    """`$uri`, which rewrites change."""
    normal: str = ""
    """`$uri` before them."""
    args: str = ""
    """What is asked behind the `?`."""
    own: dict[str, str | None] = field(default_factory=dict)
    """What `set` and captures made; None where it is unknown."""

    def filled(self, text: str, depth: int = 0) -> str | None:
        """The text with its variables' values; None where one is unknown."""
        known = True

        def value(match: re.Match[str]) -> str:
            nonlocal known
            found = self.value(match[1] or match[2], depth)
            known = known and found is not None
            return found or ""

        filled = _NAME.sub(value, text)
        return filled if known else None

    def value(self, name: str, depth: int = 0) -> str | None:
        """One variable's value; `` where a client sends nothing, None where it is unknown."""
        if name in self.own:
            return self.own[name]
        if name.isdigit():
            return ""
        known = self._known()
        if name in known:
            return known[name]
        if name.startswith("arg_"):
            return next((one[len(name) - 3 :] for one in self.args.split("&") if one.startswith(f"{name[4:]}=")), "")
        if name.startswith(("http_", "cookie_")):
            return ""
        if name.startswith("ssl_") and self.context == "http" and self.request.scheme == "http":
            return ""
        table = self.front.maps.get(f"{self.context} ${name}")
        return self._mapped(table, depth + 1) if table is not None and depth < DEEPEST else None

    def _known(self) -> Mapping[str, str]:
        asked = self.request
        port = "" if asked.port == USUAL_PORTS[asked.scheme] else f":{asked.port}"
        host = asked.host.lower()
        return {
            "scheme": asked.scheme,
            "host": host,
            "http_host": f"{host}{port}",
            "http_user_agent": USER_AGENT,
            "http_upgrade": "websocket" if asked.upgrade else "",
            "http_connection": "upgrade" if asked.upgrade else "",
            "https": "on" if asked.scheme == "https" else "",
            "request_uri": asked.path,
            "request_method": "GET",
            "uri": self.path,
            "document_uri": self.path,
            "args": self.args,
            "query_string": self.args,
            "is_args": "?" if self.args else "",
            "server_name": self.server_name,
            "server_protocol": "HTTP/1.1",
            "ssl_client_verify": "NONE" if asked.scheme == "https" else "",
            "remote_addr": STRANGER,
            "server_port": str(asked.port),
            "ssl_preread_server_name": host if asked.scheme == "https" else "",
            "ssl_server_name": host if asked.scheme == "https" else "",
            "ssl_preread_alpn_protocols": "",
        }

    def _mapped(self, table: Directive, depth: int) -> str | None:
        rows = [one for one in table.block or () if len(one.args) == 1]
        if table.name == "geo":
            return self.filled(_network(rows), depth)
        source = self.filled(table.args[0], depth)
        if source is None:
            return None
        wild = any(one.name == "hostnames" for one in table.block or ())
        chosen = _row(rows, source, wild=wild)
        if chosen is None:
            return ""
        if (match := _matched(chosen, source)) is not None:
            self.capture(match)
        return self.filled(chosen.args[0], depth)

    def capture(self, match: re.Match[str]) -> None:
        """What a regular expression took out of its text."""
        self.own |= {str(number): value or "" for number, value in enumerate(match.groups(), 1)}
        self.own |= {name: value or "" for name, value in match.groupdict().items()}


def _row(rows: list[Directive], source: str, *, wild: bool) -> Directive | None:
    """A map's row: the very text, then wildcards, then regular expressions in order, then `default`."""
    lower = source.lower()
    for one in rows:
        if not one.name.startswith("~") and one.name.removeprefix("\\").lower() == lower and one.name != "default":
            return one
    if wild:
        tails = [one for one in rows if one.name.startswith(("*.", ".")) and _below(one.name, lower)]
        if tails:
            return max(tails, key=lambda one: len(one.name.removeprefix("*")))
        heads = [one for one in rows if one.name.endswith(".*") and lower.startswith(one.name[:-1])]
        if heads:
            return max(heads, key=lambda one: len(one.name))
    matching = (one for one in rows if _matched(one, source) is not None)
    return next(matching, None) or next((one for one in rows if one.name == "default"), None)


def _matched(row: Directive, source: str) -> re.Match[str] | None:
    """What the row's regular expression finds; None where it is none."""
    if not row.name.startswith("~"):
        return None
    found = regex(row.name.removeprefix("~").removeprefix("*"), insensitive=row.name.startswith("~*"))
    return found.search(source) if found is not None else None


def stranger_in(network: str) -> bool:
    """Whether a network, as allow, deny and geo name them, is all the world's.

    One that holds a stranger's address alone is a list's of addresses that nobody has, or of somebody's in particular.
    """
    try:
        there = ip_network(network, strict=False)
    except ValueError:
        return False
    return all(one in there for one in _PUBLIC)


def _network(rows: list[Directive]) -> str:
    """A geo's value for a stranger: of the smallest network that has them."""
    having = [one for one in rows if stranger_in(one.name)]
    smallest = max(having, key=lambda one: ip_network(one.name, strict=False).prefixlen, default=None)
    usual = next((one for one in rows if one.name == "default"), None)
    chosen = smallest or usual
    return chosen.args[0] if chosen is not None else ""


def _below(name: str, source: str) -> bool:
    tail = name.removeprefix("*").lower()
    return source.endswith(tail) or (name.startswith(".") and source == tail[1:])
