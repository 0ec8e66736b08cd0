"""How far is a launch, and how long did each part take? In: a Launch. Out: its stages, as pages show them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from perijove.domain.events import Phase
from perijove.launching.launches import Launch

NAMES = {
    Phase.FETCHING: "Fetch the repository",
    Phase.BUILDING: "Build the environment",
    Phase.LAUNCHING: "Start the session",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a launch."""

    phase: str
    name: str
    mark: str
    """`done`, `now`, `broken`, or `` for one that is still to come."""
    seconds: float | None
    """How long it took; None until it is over."""


def stages(launch: Launch | None) -> list[Stage]:
    """All that a launch goes through; None is one that has not begun."""
    begun = launch.stages if launch else ()
    ends = [at for _, at in begun[1:]] + [launch.ended_at if launch else None]
    took = {phase: end - at for (phase, at), end in zip(begun, ends, strict=False) if end is not None}
    over = {phase for phase, _ in begun[:-1]}
    return [
        Stage(phase.value, name, _mark(launch, phase, over=phase in over), took.get(phase))
        for phase, name in NAMES.items()
        if not (launch and launch.options.build_only and phase is Phase.LAUNCHING)
    ]


def _mark(launch: Launch | None, phase: Phase, *, over: bool) -> str:
    if launch is None:
        return "now" if phase is Phase.FETCHING else ""
    if over or launch.state in ("ready", "built"):
        return "done"
    if phase is not launch.stage:
        return ""
    return "broken" if launch.state == "failed" else "now"


def lasted(seconds: float) -> str:
    """A length of time as people say it: `0.4 s`, `12 s`, `3 min 5 s`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


NOW = {
    "resolving": "Finding the commit",
    "fetching": "Fetching the repository's files",
    "building": "Looking at what the repository needs",
    "waiting": "Waiting for room",
    "launching": "Starting the session's server",
}
"""What happens now, by a launch's state."""
