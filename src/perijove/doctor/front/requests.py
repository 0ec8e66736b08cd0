"""A request on its way through a web server in front, and all that may come of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from perijove.domain.failures import Evidence
from perijove.domain.web_servers import Directive

CHALLENGE = "/.well-known/acme-challenge/"
"""RFC 8555, 8.3."""
CHALLENGED = f"{CHALLENGE}perijove-doctor"
"""What a CA will put there, nobody knows before."""
SESSION = "/user/perijove-doctor/api/kernels/0/channels"
"""A session's websocket, as Jupyter names it."""


USUAL_PORTS = {"http": 80, "https": 443}
CLOSED = 444
"""nginx's own status for a connection that it closes without an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and where it arrives."""

    scheme: str
    """http or https"""
    address: str
    """The server's address, as the connection has it; `` for any that no listener names."""
    port: int
    host: str
    path: str
    upgrade: bool = False
    """Whether it asks for a websocket."""

    @property
    def url(self) -> str:
        port = "" if self.port == USUAL_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class Redirects:
    """It answers with another address."""

    status: int
    location: str
    by: Directive
    rewrites_host: bool = False
    """Whether `$server_name` or `server_name_in_redirect` made the name in it."""


@dataclass(frozen=True, slots=True)
class Responds:
    """It answers by itself."""

    status: int
    by: Directive


@dataclass(frozen=True, slots=True)
class Files:
    """It answers from the disk; nothing is there under a new name."""

    root: str
    by: Directive
    location: str
    """The location's pattern; `` for none."""


@dataclass(frozen=True, slots=True)
class Passes:
    """It hands the request on by http."""

    scheme: str
    target: str
    """`10.0.1.61:80`, `unix:/run/x.sock`: the first of its upstream."""
    path: str
    host: str
    """The Host header that the other side sees."""
    upgrade: bool
    """Whether a websocket's request stays one."""
    buffered: bool
    """Whether answers are held back by order; by default the other side may forbid it (X-Accel-Buffering)."""
    silence: float
    """Seconds that the other side may say nothing."""
    by: Directive


@dataclass(frozen=True, slots=True)
class PassesTcp:
    """It hands the connection on, whatever is spoken in it."""

    target: str
    by: Directive


@dataclass(frozen=True, slots=True)
class NotListening:
    """No listener of this configuration takes it."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The configuration alone does not tell."""

    why: str
    by: Directive


Outcome: TypeAlias = Redirects | Responds | Files | Passes | PassesTcp | NotListening | Unknown


@dataclass(frozen=True, slots=True)
class Hop:
    """One request, the places that decided over it, and what comes of it."""

    request: Request
    steps: tuple[Evidence, ...]
    outcome: Outcome
    server: Directive | None = None
    """The block that answers."""
    assumed: bool = False
    """Whether a condition was met on the way that the configuration does not decide."""
    files: str = ""
    """The folder below which a file of this path would have been the answer; `` for none."""


def words(outcome: Outcome) -> str:
    """What it comes to, in a few words."""
    match outcome:
        case Redirects(status=status, location=location):
            return f"{status} {location}"
        case Responds(status=status):
            return answers(status).removeprefix("answers ")
        case Files(root=root):
            return f"a file below {root}"
        case Passes(scheme=scheme, target=target, path=path, host=host):
            return f"{scheme}://{target}{path} with Host {host}"
        case PassesTcp(target=target):
            return f"{target}, as TCP"
        case NotListening(why=why) | Unknown(why=why):
            return why


def answers(status: int) -> str:
    """What a server does that answers by itself."""
    return "closes the connection" if status == CLOSED else f"answers {status}"


def step(directive: Directive, words: str = "") -> Evidence:
    """A place on the way."""
    return Evidence(directive.where, words or directive.words)
