"""Why does a server that was started not answer, or is over? In: looks, its end, its lines. Out: a failure. Pure.

A server is held to limits of its own time: that in which it could have run. While it stands in line for a processor or
for the disk, the machine is slow and not the server.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from perijove.domain import server_failures as rows
from perijove.domain.activity import Activity
from perijove.domain.events import SessionEnded
from perijove.domain.failures import (
    PAD_DOWN,
    SESSION_CRASHED,
    SESSION_MEMORY,
    START_DISK,
    Evidence,
    Failure,
)
from perijove.domain.nouns import EndReason
from perijove.domain.request_failures import DRAINING
from perijove.domain.settings import SessionSettings

IDLE_CPU = 0.02
"""Seconds of processor time below which a server counts as doing nothing."""
PATIENCE = 5.0
"""How many times `session.start_timeout` a start may take in all, however little of it the machine lets it run."""
AGAIN_AFTER = 60.0
"""Seconds after which a machine that was too busy may be asked again."""
REACHED = " ran the server"
"""Ends the line by which the launcher says that the repository's `start` has come to it."""
NOTHING_YET = Activity(0, 0, queued=False, doing="")
FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM}
"""Ends that hardly a program gives itself: the kernel's when memory runs out, or of who shuts the machine down."""


@dataclass(slots=True)
class Pace:
    """How a server that starts gets on, look by look."""

    looked_at: float
    """Unix seconds; at first when it was started."""
    own: float = 0
    """Seconds in which it could have run."""
    held: float = 0
    """Seconds in which it stood in line for a processor or for the disk."""
    idle: float = 0
    """The last seconds of its own in which it used no processor and said nothing."""
    activity: Activity = NOTHING_YET
    _busy_at: float = 0
    _heard: int = 0

    def look(self, now: float, activity: Activity, heard: int) -> None:
        """Take in what it has done by now; `heard` is how many lines it has said."""
        passed = now - self.looked_at
        held = activity.waited - self.activity.waited
        if activity.queued:  # what waits without ever getting a turn has not been counted yet
            held = max(held, passed - (activity.used - self.activity.used))
        held = min(max(held, 0), passed)
        self.own += passed - held
        self.held += held
        self.idle += passed - held
        if activity.used - self._busy_at > IDLE_CPU or heard != self._heard or not activity.seen:
            self.idle, self._busy_at, self._heard = 0, activity.used, heard
        self.looked_at, self.activity = now, activity

    def verdict(self, settings: SessionSettings, lines: Sequence[str]) -> Failure | None:
        """Why it is not waited for any longer; None while it is."""
        seen = (Evidence("its server is", self.activity.doing or "not there"), *last_words(lines))
        used = (
            f"used {self.activity.used:.1f} seconds of processor time and waited {self.held:.0f} for a processor or the"
            " disk"
        )
        cause = f"in {self.own + self.held:.0f} seconds it {used if self.activity.seen else 'did not answer'}"
        if self.idle >= settings.stall_timeout:
            said = f" after “{last[:200]}”" if (last := last_line(lines)) else ""
            return rows.SERVER_HANGS(f"for {self.idle:.0f} seconds it used no processor and said nothing{said}", *seen)
        if self.own >= settings.start_timeout:
            return rows.SERVER_TOO_SLOW(cause, *seen)
        if self.own + self.held >= PATIENCE * settings.start_timeout:
            return rows.SERVER_STARVED(cause, *seen, after=AGAIN_AFTER)
        return None


def not_reached(start: str, failure: Failure) -> Failure:
    """Why a server is not waited for that the repository's `start` has not run by then."""
    if failure.kind is rows.SERVER_STARVED:
        return failure
    return rows.START_NO_EXEC(f"{start} still runs: {failure.cause}", *failure.evidence)


def never_answered(end: SessionEnded, lines: Sequence[str], start: str = "") -> Failure:
    """Why a server was over before it answered: chosen by what ended it, not by when.

    `start` is the repository's script that has not run it by then, or ``.
    """
    words = last_words(lines)
    match end.reason:
        case EndReason.PAD_LOST:
            return PAD_DOWN(end.detail, *words)
        case EndReason.SERVICE_STOPPED:
            return DRAINING(end.detail, *words)
        case EndReason.STOPPED | EndReason.IDLE | EndReason.OLD | EndReason.FAILED_START:
            return rows.SERVER_STOPPED(end.detail, *words)
        case EndReason.MEMORY:
            return rows.START_MEMORY(end.detail, *words)
        case EndReason.DISK:
            return START_DISK(end.detail, *words)
        case EndReason.EXITED | EndReason.SHUT_DOWN:
            return _exited(end, lines, start)
    assert_never(end.reason)


def _exited(end: SessionEnded, lines: Sequence[str], start: str) -> Failure:
    words, last = last_words(lines), last_line(lines)
    full = [line.strip() for line in lines if "No space left on device" in line or "Errno 122" in line]
    if full:
        return START_DISK(full[-1][:300], *words)
    if end.exit_code in FROM_OUTSIDE:
        return rows.SERVER_KILLED(end.detail, *words)
    if start and end.exit_code == 0:
        return rows.START_NO_EXEC(f"{start} came to its end, and did not run the server", *words)
    cause = f"{end.detail}: {last[:300]}" if last else end.detail
    return rows.START_FAILED(f"{start}: {cause}", *words) if start else rows.SERVER_CRASHED(cause, *words)


def wished(end: SessionEnded) -> SessionEnded:
    """How a session that had answered is over: a server ends without an error where somebody shuts it down."""
    if end.reason is EndReason.EXITED and end.exit_code == 0:
        return replace(end, reason=EndReason.SHUT_DOWN, detail="it was shut down")
    return end


def death(end: SessionEnded, lines: Sequence[str]) -> Failure | None:
    """Why a session that had answered is over; None where somebody wished it, or was told already."""
    words = last_words(lines)
    if end.reason is EndReason.MEMORY:
        return SESSION_MEMORY(end.detail, *words)
    if end.reason is EndReason.EXITED and end.exit_code in FROM_OUTSIDE:
        return rows.SESSION_KILLED(end.detail, *words)
    if end.reason is EndReason.EXITED and end.exit_code != 0:
        return SESSION_CRASHED(end.detail, *words)
    return None


def last_line(lines: Sequence[str]) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def last_words(lines: Sequence[str]) -> tuple[Evidence, ...]:
    """The last lines of a session's log."""
    last = "\n".join(list(lines)[-10:])
    return (Evidence("its last words", last),) if last else (Evidence("its log", "it said nothing"),)
