"""How the client and the pad write nouns, events and failures to one another: one JSON object a line. Pure.

Requests are `{"id", "ask", …}`; answers `{"id", "ok"}`, `{"id", "fail"}` or, while foreign code runs, `{"id", "line"}`.
What happens to sessions comes unasked as `{"number", "event"}`; a client that has told it answers `{"seen"}`. That kept
work waits comes as `{"kept"}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perijove.domain.events import SessionEnded, SessionEvent, SessionLogged, SessionTroubled
from perijove.domain.failures import BUG, CATALOGUE, SANDBOX_FAILED, Evidence, Fail, Failure
from perijove.domain.nouns import Egress, EndReason, ForeignRun, Limits, Mount, Overlay, RunningSandbox, SandboxSpec
from perijove.domain.people_failures import HOME_UNUSABLE
from perijove.domain.ran import Ran, Unreached, Withheld
from perijove.domain.way_out import STRAIGHT, WayOut, read_way_out
from perijove.domain.yielding import BUILD_SHARE

LINE_LIMIT = 8 * 1024 * 1024
"""Bytes that one message may have."""

AUTHORITIES = (
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"),
)
"""Variables by which programs are told whom to trust."""
Message = dict[str, Any]
FILLS, SHOWS_HOMES = DOES = ("fill", "person_home")
"""What pads did not know from the beginning. Each says it of itself: it may be older than who asks."""
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
    """One line, with its newline."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def unpack(line: bytes) -> Message:
    """Raises ValueError for anything but an object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def order_of(thing: SandboxSpec | ForeignRun, way_out: WayOut = STRAIGHT) -> Order:
    """The sandbox that a session or a foreign run needs, which reaches the web as the service does."""
    trusted = way_out.authorities
    session = isinstance(thing, SandboxSpec)
    return Order(
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


def checked(order: Order) -> Order:
    """A name becomes part of paths. Raises Fail: `start.sandbox-failed`."""
    checked_name(order.name)
    return order


def checked_name(name: str) -> str:
    """Raises Fail: `start.sandbox-failed`."""
    if not _NAME.fullmatch(name):
        raise Fail(SANDBOX_FAILED("its name may not be part of a path", Evidence("name", name[:100])))
    return name


def write_order(order: Order, does: Collection[str] = DOES) -> Message:
    """For a pad that `does` this. Raises Fail: `start.sandbox-failed`, `home.unusable`."""
    if order.person_home is not None and SHOWS_HOMES not in does:
        seen = Evidence("the pad", "runs with the version that it was started with")
        remedy = (
            "`systemctl restart perijove-pad` starts this version's. That ends all sessions: wait until nobody works."
        )
        raise Fail(HOME_UNUSABLE("the pad is older than homes, and would show none", seen, remedy=remedy))
    return asdict(checked(order))


def read_order(message: Message) -> Order:
    """Checked: whoever wrote it may be another user. Raises Fail: `start.sandbox-failed`."""
    order = Order(
        name=message["name"],
        command=tuple(message["command"]),
        environ=tuple((key, value) for key, value in message["environ"]),
        mounts=_read_mounts(message["mounts"]),
        server=_read_mounts(message["server"]),
        overlays=tuple(
            Overlay(tuple(Path(layer) for layer in overlay["layers"]), Path(overlay["target"]))
            for overlay in message["overlays"]
        ),
        home_from=Path(message["home_from"]) if message["home_from"] is not None else None,
        limits=_read_limits(message["limits"]),
        egress=Egress(message["egress"]),
        egress_allowed=tuple(message["egress_allowed"]),
        way_out=read_way_out(message.get("way_out", {})),
        listens=bool(message["listens"]),
        root=tuple(Path(layer) for layer in message["root"]),
        system=bool(message["system"]),
        person_home=Path(message["person_home"]) if message.get("person_home") else None,
    )
    return checked(order)


def _read_mounts(mounts: list[Message]) -> tuple[Mount, ...]:
    return tuple(Mount(Path(mount["source"]), Path(mount["target"])) for mount in mounts)


def _read_limits(limits: Message) -> Limits:
    return Limits(
        int(limits["memory"]),
        float(limits["cpus"]),
        int(limits["processes"]),
        int(limits["disk"]),
        int(limits["tmp"]),
    )


def read_running(message: Message) -> RunningSandbox:
    """A pad of before tells less."""
    limits = message.get("limits")
    return RunningSandbox(**{**message, "limits": limits and _read_limits(limits)})


def read_ran(message: Message) -> Ran:
    return Ran(
        int(message["status"]),
        tuple(Unreached(one["host"], Withheld(one["why"]), one["said"]) for one in message["unreached"]),
    )


def write_failure(failure: Failure) -> Message:
    return {
        "code": failure.kind.code,
        "cause": failure.cause,
        "evidence": [[item.where, item.saw] for item in failure.evidence],
        "remedy": failure.remedy,
        "after": failure.after,
    }


def read_failure(message: Message) -> Failure:
    kind = CATALOGUE.get(message["code"], BUG)
    evidence = tuple(Evidence(where, saw) for where, saw in message["evidence"])
    return Failure(kind, message["cause"], evidence, message["remedy"], message["after"])


def write_event(event: SessionEvent) -> Message:
    match event:
        case SessionLogged(session, line):
            return {"kind": "logged", "session": session, "line": line}
        case SessionTroubled(session, failure):
            return {"kind": "troubled", "session": session, "failure": write_failure(failure)}
        case SessionEnded(session, reason, detail, code):
            return {"kind": "ended", "session": session, "reason": reason, "detail": detail, "code": code}
        case _:
            raise TypeError(f"the pad does not tell {type(event).__name__}")


def read_event(message: Message) -> SessionEvent:
    match message["kind"]:
        case "logged":
            return SessionLogged(message["session"], message["line"])
        case "troubled":
            return SessionTroubled(message["session"], read_failure(message["failure"]))
        case "ended":
            reason = EndReason(message["reason"])
            return SessionEnded(message["session"], reason, message["detail"], message["code"])
        case other:
            raise ValueError(f"unknown event {other!r}")
