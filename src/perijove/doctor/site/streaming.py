"""Do websockets and event streams get through what stands in front? In: a SiteSeen. Out: findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.engine import NotSeen
from perijove.doctor.site.telling import answered, lines, program
from perijove.domain.findings import Confidence, Finding
from perijove.domain.front_failures import STREAM_HELD_BACK, WEBSOCKET_CUT
from perijove.domain.site import BuildSeen, Frame, Got, SiteSeen, json_object

CUT = {200, 400, 426, 500, 501, 502, 504, 505}
"""What a request to open a websocket gets where its Upgrade was lost, or was too much for somebody on the way."""
AT_ONCE = 0.25
"""Seconds within which all events come where they were kept until the end."""
SPREAD = 1.0
"""Seconds over which a build must have gone on for that to mean anything."""
STALL = 1.75
"""Seconds that packets may be held up by nobody's doing: one is lost, and sent again."""
EVENTS = 3
ENDS = {"ready", "failed"}


def websockets(looked: SiteSeen) -> Iterator[Finding]:
    """A websocket that is no websocket at the other end."""
    tried = looked.build.socket if looked.build is not None else None
    if tried is not None:
        yield from _of_session(looked, tried)
        return
    plain, upgraded = looked.plain, looked.upgraded
    if plain is None or upgraded is None or not plain.status:
        raise NotSeen("nothing answers")
    if upgraded.status == 101:
        return
    if not upgraded.status:
        raise NotSeen(f"no answer came to a request for a websocket: {upgraded.words}")
    if upgraded.status in CUT and upgraded.status != plain.status:
        yield _cut(looked, upgraded, Confidence.LIKELY, plain)
    elif upgraded.status == plain.status:
        raise NotSeen("without a session both answers are the same; a build that gets ready would tell")


def _of_session(looked: SiteSeen, tried: Got) -> Iterator[Finding]:
    if not tried.status:
        raise NotSeen(f"no answer came from {tried.url}: {tried.words}")
    if tried.status == 404:
        raise NotSeen("the session's server is too old for the websocket that was tried")
    if tried.status in CUT:
        # Who answers 502 and the like may pass it on, and have nobody there.
        yield _cut(looked, tried, Confidence.LIKELY if tried.status >= 500 else Confidence.CERTAIN)


def _cut(looked: SiteSeen, tried: Got, sure: Confidence, *also: Got) -> Finding:
    name = program(looked) or "What stands in front"
    cause = f"{name} does not pass Upgrade on: a request for a websocket gets {tried.status}, not 101"
    evidence = replace(answered(tried), where=f"GET {tried.url} with Upgrade: websocket")
    others = [answered(one) for one in also]
    return found(WEBSOCKET_CUT, cause, looked.site.url, sure, evidence, *others, commands=lines(looked))


def streams(looked: SiteSeen) -> Iterator[Finding]:
    """Events that come late, all at once, or not to the end."""
    build = looked.build
    if build is None:
        raise NotSeen("no build was asked for")
    if not build.answer.kind.startswith("text/event-stream"):
        raise NotSeen("the build was not answered with an event stream")
    said, came = _said(build.frames), [one.after for one in build.frames]
    where = f"GET {build.answer.url}"
    name = program(looked) or "What stands in front"
    ended = bool(build.frames) and phase(build.frames[-1]) in ENDS
    if not build.frames and (build.waited or build.cut):
        cause = f"{name} passed no event on in {build.ended:.0f} s"
        yield _held(looked, cause, Confidence.POSSIBLE, where, build.cut or "nothing but headers")
    elif ended and _burst(came, said):
        cause = f"{name} kept {len(came)} events until the end: they came within {came[-1] - came[0]:.1f} s"
        saw = f"the first came after {came[0]:.1f} s, the last after {came[-1]:.1f} s"
        saw += f"; they were written over {said[-1] - said[0]:.1f} s" if said else ""
        held = said[-1] - said[0] - (came[-1] - came[0]) if said else 0
        yield _held(looked, cause, Confidence.CERTAIN if held > STALL else Confidence.LIKELY, where, saw)
    elif build.frames and not ended and not build.waited:
        cause = f"the stream was cut after {build.ended:.0f} s, {build.ended - came[-1]:.0f} s after its last event"
        yield _held(looked, cause, Confidence.LIKELY, where, build.cut or "closed before its last event")


def _burst(came: list[float], said: list[float]) -> bool:
    """Whether events came together that were written apart."""
    span = came[-1] - came[0]
    if said:
        return said[-1] - said[0] >= SPREAD and span < AT_ONCE * (said[-1] - said[0])
    return len(came) >= EVENTS and came[0] >= 2 * SPREAD and span < AT_ONCE


def _said(frames: tuple[Frame, ...]) -> list[float]:
    """When events were written, where they say so."""
    told = [read(one).get("at") for one in frames]
    return [float(one) for one in told if isinstance(one, (int, float))] if all(told) else []


def _held(looked: SiteSeen, cause: str, sure: Confidence, where: str, saw: str) -> Finding:
    return found(STREAM_HELD_BACK, cause, looked.site.url, sure, seen(where, saw), commands=lines(looked))


def read(frame: Frame) -> dict[str, object]:
    """An event's JSON; nothing where it is none."""
    return json_object(frame.data)


def phase(frame: Frame) -> str:
    """Where in a launch it stands."""
    return str(read(frame).get("phase", ""))


def ended(build: BuildSeen) -> dict[str, object]:
    """The last event, where it is one that ends a launch."""
    return read(build.frames[-1]) if build.frames and phase(build.frames[-1]) in ENDS else {}
