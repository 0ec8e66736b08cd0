"""A Binder as it was looked at once from outside: addresses, hops, certificates, answers, a build. Frozen. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from perijove.domain.certificates import DnsSeen, Hop, HostName, SeenCertificate
from perijove.domain.parsing import bracketed

CHALLENGE = "/.well-known/acme-challenge/"
"""RFC 8555, 8.3."""
SESSION = "/user/perijove-doctor/api/kernels/none/channels"
"""A kernel's websocket of a session that is not there."""
TINY = "gh/binder-examples/requirements/HEAD"
"""A public repository that takes no time to build: `<provider>/<spec>`."""


def json_object(text: str) -> dict[str, Any]:
    """What a stranger's text says as an object of JSON; nothing where it is none."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


@dataclass(frozen=True, slots=True)
class Site:
    """Who shall be looked at."""

    scheme: str
    host: HostName
    """A name or an address, without brackets."""
    port: int
    path: str = "/"
    """Where the Binder begins, with its slash at the end."""
    http_port: int = 80
    """Where plain http is answered."""
    build: str = TINY
    """What to build, as `<provider>/<spec>`; `` for nothing."""

    @property
    def url(self) -> str:
        """The address as people write it."""
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{bracketed(self.host)}{'' if self.port == usual else f':{self.port}'}{self.path}"

    def http(self, path: str) -> str:
        """A path at the port for plain http."""
        return f"http://{bracketed(self.host)}{'' if self.http_port == 80 else f':{self.http_port}'}{path}"


@dataclass(frozen=True, slots=True)
class AddressAsked:
    """One of the site's addresses, each port asked by itself."""

    address: str
    page: tuple[Hop, ...]
    """From the site's front page on port 80, redirects followed."""
    challenge: tuple[Hop, ...]
    """From a challenge of a made-up token on port 80 on."""
    secure: tuple[Hop, ...] = ()
    """From the front page by https on; empty where the site is not asked for by https."""
    certificate: SeenCertificate | None = None
    """What the https port shows, with what is wrong with it."""
    handshake: str = ""
    """Why there was none."""


@dataclass(frozen=True, slots=True)
class Got:
    """One answer of the site's."""

    url: str
    status: int = 0
    """0 where nothing answered"""
    kind: str = ""
    """Content-Type"""
    server: str = ""
    location: str = ""
    body: str = ""
    """Bounded."""
    words: str = ""
    """Why nothing answered."""
    undated: bool = False
    """The answer has no Date."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a build's stream."""

    after: float
    """Seconds from the request until it came."""
    data: str
    """Its JSON, bounded."""


@dataclass(frozen=True, slots=True)
class BuildSeen:
    """A build as its reader saw it."""

    answer: Got
    """Its beginning; the body only where it is no event stream."""
    frames: tuple[Frame, ...] = ()
    ended: float = 0
    """Seconds from the request until the stream closed, or until nobody waited any more."""
    cut: str = ""
    """Why it ended, where neither side closed it in order."""
    waited: bool = False
    """Nobody waited any more."""
    socket: Got | None = None
    """What a websocket of the session that was launched got; None where none was launched."""


@dataclass(frozen=True, slots=True)
class SiteSeen:
    """All that was seen of a site in one look."""

    site: Site
    at: float
    """Unix seconds."""
    dns: tuple[DnsSeen, ...]
    addresses: tuple[AddressAsked, ...]
    health: Got | None = None
    """None where no port answered."""
    versions: Got | None = None
    plain: Got | None = None
    """`SESSION` asked without an upgrade."""
    upgraded: Got | None = None
    """`SESSION` asked with an upgrade to a websocket."""
    build: BuildSeen | None = None
    """None where none was asked for."""
    others: tuple[SiteSeen, ...] = ()
    """The hub's host that was named, and the host where the session was, each where it is another one: names, ports and
    certificates."""
    seconds: float = field(default=0, kw_only=True)
