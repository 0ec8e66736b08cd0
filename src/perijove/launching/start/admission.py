"""Who may launch, and whether there is room now. Pure: values in, an answer with its reason out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from perijove.domain.classes import Class, owner
from perijove.domain.failures import NOT_ALLOWED, Evidence, Failure
from perijove.domain.nouns import RepoAddress, Room
from perijove.domain.repository_names import allowed_as, banned_as, named
from perijove.domain.settings import LaunchingSettings, SessionSettings
from perijove.domain.sizes import size

STARTS_A_PROCESSOR = 2
"""A server starts on one processor at a time, and waits for the disk now and then."""


@dataclass(frozen=True, slots=True)
class Load:
    """What runs or is about to: one repository's canonical name a session, and how many of them use no memory yet."""

    repositories: Collection[str]
    starting: int


def refusal(address: RepoAddress, settings: LaunchingSettings) -> Failure | None:
    """Why this repository may not be launched here; None when it may. The operator's own folders always may."""
    if address.provider == "local":
        return None
    if pattern := _matched(settings.banned, banned_as(address)):
        return NOT_ALLOWED("it is on this service's list of banned repositories", Evidence("launching.banned", pattern))
    if settings.banned and named(address.url).ownerless:
        cause = "its link does not say whose gist it is, and this service bans repositories by their owners"
        return NOT_ALLOWED(cause, Evidence("link", address.url), remedy="Launch it as gist/owner/id.")
    if settings.allowed and not _matched(settings.allowed, allowed_as(address)):
        launch = f"{address.provider}/{address.spec}"
        return NOT_ALLOWED(
            "it is not on this service's list of allowed repositories", Evidence("launching.allowed", launch[:200])
        )
    return None


def _matched(patterns: Collection[str], launches: Collection[str]) -> str:
    """The first pattern that one of these ways to write a launch begins with; `` for none."""
    return next((pattern for pattern in patterns for one in launches if re.match(pattern, one, re.IGNORECASE)), "")


def shortage(
    repository: str,
    load: Load,
    room: Room,
    launching: LaunchingSettings,
    session: SessionSettings,
    classes: Sequence[Class] = (),
) -> str:
    """What is missing for one more session of a repository (its canonical name), in words; `` when there is room.

    `classes`: those that are open and have seats.
    """
    return (
        quota_reached(repository, load, launching, classes)
        or lack_of_room(load, room, launching, session, kept(repository, load, classes))
        or crowded(load, room, launching)
    )


def kept(repository: str, load: Load, classes: Sequence[Class]) -> int:
    """How many seats are free that are kept from a launch of this repository, for other classes."""
    others = [one for one in classes if repository not in one.repositories]
    return sum(max(0, one.seats - one.taken(load.repositories)) for one in others)


def crowded(load: Load, room: Room, launching: LaunchingSettings) -> str:
    """How many servers start at once, in words, where that is as many as may; else ``."""
    most = starting(room, launching)
    if most is None or load.starting < most:
        return ""
    return f"{load.starting} servers start now, and {most} at once are what the processors carry"


def quota_reached(repository: str, load: Load, launching: LaunchingSettings, classes: Sequence[Class] = ()) -> str:
    """Which of the operator's numbers allows no more sessions of this repository, in words; `` when none."""
    if (own := owner(repository, classes)) and own.taken(load.repositories) >= own.seats:
        return f"all {own.seats} seats of the class {own.name} are taken"
    running, seats = len(load.repositories), kept(repository, load, classes)
    if launching.total_quota and running + seats >= launching.total_quota:
        besides = f", {seats} seats are kept for classes" if seats else ""
        return f"{running} sessions run{besides}, and this service allows {launching.total_quota}"
    if (
        own is None
        and launching.per_repo_quota
        and (count := Counter(load.repositories)[repository]) >= launching.per_repo_quota
    ):
        return f"{count} sessions of this repository run, and this service allows no more"
    return ""


def lack_of_room(load: Load, room: Room, launching: LaunchingSettings, session: SessionSettings, seats: int = 0) -> str:
    """What the machine has too little of for one more session, in words; `` when it has enough.

    `seats`: how many are kept for others.
    """
    promised = (load.starting + seats) * session.memory_reserved
    if room.memory is not None and room.memory - promised < launching.keep_memory + session.memory_reserved:
        besides = f" beside {seats} seats that are kept for classes" if seats else ""
        free = size(max(room.memory - promised, 0))
        return f"{free} of memory are free{besides}, which is too little for one more session"
    return lack_of_disk(room, launching)


def lack_of_disk(room: Room, launching: LaunchingSettings) -> str:
    """What the disk has too little of for one more session, in words; `` when it has enough."""
    if room.disk < launching.keep_disk:
        wanted = f"and {size(launching.keep_disk)} are wanted for one more session (launching.keep_disk)"
        return f"{size(room.disk)} of disk are free, {wanted}"
    if 0 < room.inodes < 10_000:
        return f"the disk has only {room.inodes} inodes left"
    return ""


def room_for(running: int, room: Room, launching: LaunchingSettings, session: SessionSettings) -> int | None:
    """For how many more sessions there is room, by memory, disk and `launching.total_quota`; None: nobody knows."""
    if room.disk < launching.keep_disk:
        return 0
    known = [max(0, launching.total_quota - running)] if launching.total_quota else []
    if room.memory is not None:
        known.append(max(0, room.memory - launching.keep_memory) // max(1, session.memory_reserved))
    return min(known, default=None)


def starting(room: Room, launching: LaunchingSettings) -> int | None:
    """How many servers may start at once: more would only be slower together. None: as many as want to."""
    if launching.starting or room.processors is None:
        return launching.starting or None
    return max(1, round(STARTS_A_PROCESSOR * room.processors))
