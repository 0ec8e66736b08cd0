"""How the client and the pad write nouns, events and failures to one another: one JSON object a line. Pure.

Requests are `{"id", "ask", …}`; answers `{"id", "ok"}`, `{"id", "fail"}` or, while foreign code runs, `{"id", "line"}`.
What happens to sessions comes unasked as `{"number", "event"}`; a client that has told it answers `{"seen"}`. That kept
work waits comes as `{"kept"}`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove.domain import wire
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.nouns import Egress, ForeignRun, Limits, Mount, Overlay, SandboxSpec
from perijove.domain.way_out import STRAIGHT, WayOut
from perijove.domain.yielding import BUILD_SHARE

LINE_LIMIT = 8 * 1024 * 1024
"""Bytes that one message may have."""

AUTHORITIES = (
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"),
)
"""Variables by which programs are told whom to trust."""
Message = dict[str, Any]
_NAME = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class Order:
    """A sandbox to make: what a session and a foreign run have in common."""

    name: str
    command: tuple[str, ...]
    environ: tuple[tuple[str, str], ...]
    mounts: tuple[Mount, ...]
    server: tuple[Mount, ...]
    """Of them, what a fork server is shown; none: its command is started."""
    overlays: tuple[Overlay, ...]
    home_from: Path | None
    limits: Limits
    egress: Egress
    egress_allowed: tuple[str, ...]
    way_out: WayOut
    listens: bool
    """Whether it gets a listening socket."""
    root: tuple[Path, ...]
    system: bool
    person_home: Path | None

    @property
    def share(self) -> float:
        """Of a usual sandbox's processor time, where there is too little: builds give way to sessions."""
        return 1 if self.listens else BUILD_SHARE


def pack(message: Message) -> bytes:
    """One line, with its newline; what it holds is written as `domain.wire` does."""
    return json.dumps(wire.encode(message), separators=(",", ":")).encode() + b"\n"


def unpack(line: bytes) -> Message:
    """Raises ValueError for anything but an object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def order_of(thing: SandboxSpec | ForeignRun, way_out: WayOut = STRAIGHT) -> Order:
    """The sandbox that a session or a foreign run needs, which reaches the web as the service does. Raises Fail."""
    trusted = way_out.authorities
    session = isinstance(thing, SandboxSpec)
    order = Order(
        name=thing.session if isinstance(thing, SandboxSpec) else thing.name,
        command=thing.command,
        environ=(*((name, str(trusted)) for name in AUTHORITIES if trusted), *thing.environ),
        mounts=(*thing.mounts, *(Mount(path, path) for path in (trusted,) if path)),
        server=thing.server if isinstance(thing, SandboxSpec) else (),
        overlays=thing.overlays,
        home_from=thing.home_from,
        limits=thing.limits,
        egress=thing.egress,
        egress_allowed=thing.egress_allowed,
        way_out=way_out,
        listens=session,
        root=thing.root,
        system=isinstance(thing, ForeignRun) and thing.system,
        person_home=thing.person_home if isinstance(thing, SandboxSpec) else None,
    )
    return checked(order)


def checked(order: Order) -> Order:
    """A name becomes part of paths. Raises Fail: `start.sandbox-failed`."""
    checked_name(order.name)
    return order


def checked_name(name: str) -> str:
    """Raises Fail: `start.sandbox-failed`."""
    if not _NAME.fullmatch(name):
        raise Fail(SANDBOX_FAILED("its name may not be part of a path", Evidence("name", name[:100])))
    return name


def read_order(message: Message) -> Order:
    """Checked: whoever wrote it may be another user. Raises Fail: `start.sandbox-failed`, or ValueError, TypeError."""
    return checked(wire.decode(Order, message))
