"""A web server's configuration as it stands in its files, each directive with its place. Pure values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from perijove.domain.failures import Evidence


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive, what it includes already in its place."""

    name: str
    args: tuple[str, ...]
    file: str
    line: int
    number: int
    """Which directive of its file this is, counted from 0 as they begin; comments are none."""
    block: tuple[Directive, ...] | None = None
    """None where it has none."""

    @property
    def where(self) -> str:
        """`/etc/nginx/nginx.conf:12`."""
        return f"{self.file}:{self.line}"

    @property
    def words(self) -> str:
        """As it stands in the file, a block left out, bounded."""
        return " ".join((self.name, *self.args))[:500]

    def all(self, *names: str) -> Iterator[Directive]:
        """Those of its block that have one of these names, in order."""
        return (one for one in self.block or () if one.name in names)

    def last(self, name: str) -> Directive | None:
        """The last of its block with this name; None for none."""
        return next((one for one in reversed(self.block or ()) if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that a web server was told."""

    main: Directive
    """The main file; its directives are the block."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Each file's text, by its path."""
    errors: tuple[Evidence, ...] = ()
    """What the server would refuse."""
    absent: tuple[Evidence, ...] = ()
    """Includes by name of which the file is not there."""
    unread: tuple[Evidence, ...] = ()
    """Includes that are there, and that this user may not read: what they say is not known."""
    left: tuple[Evidence, ...] = ()
    """Names of servers, with their places, in files of the usual folders that no include takes."""


class Way(StrEnum):
    """How an ACME client answers challenges."""

    NGINX = "nginx"
    """it writes into nginx's files for as long as it takes"""
    FILES = "files"
    """below a folder that nginx serves"""
    ELSEWHERE = "elsewhere"
    """by DNS-01 or TLS-ALPN-01: nobody asks port 80"""
    ALONE = "alone"
    """on port 80, when nginx is stopped"""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Renewal:
    """Who renews a certificate, and how."""

    client: str
    """certbot, acme.sh, lego; `` where nothing tells"""
    way: Way
    where: str
    """The file that says so."""
    folders: tuple[str, ...] = ()
    """Where it puts its answers."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one request to the real server brought."""

    url: str
    status: int
    """0 where no answer came; then `words` say why."""
    location: str = ""
    server: str = ""
    words: str = ""
