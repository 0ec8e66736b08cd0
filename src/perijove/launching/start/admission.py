"""Who may launch, and whether there is room now. Pure: values in, an answer with its reason out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from perijove.domain.failures import NOT_ALLOWED, Evidence, Failure
from perijove.domain.nouns import RepoAddress, Room
from perijove.domain.settings import LaunchingSettings, SessionSettings

STARTS_A_PROCESSOR = 2
"""A server starts on one processor at a time, and waits for the disk now and then."""


@dataclass(frozen=True, slots=True)
class Load:
    """What runs or is about to: one repository address a session, and how many of them use no memory yet."""

    repositories: Collection[str]
    starting: int


def refusal(address: RepoAddress, settings: LaunchingSettings) -> Failure | None:
    """Why this repository may not be launched here; None when it may. The operator's own folders always may."""
    if address.provider == "local":
        return None
    launch = f"{address.provider}/{address.spec}"
    for pattern in settings.banned:
        if re.match(pattern, launch, re.IGNORECASE):
            return NOT_ALLOWED(
                "it is on this service's list of banned repositories", Evidence("launching.banned", pattern)
            )
    if settings.allowed and not any(re.match(pattern, launch, re.IGNORECASE) for pattern in settings.allowed):
        return NOT_ALLOWED(
            "it is not on this service's list of allowed repositories", Evidence("launching.allowed", launch[:200])
        )
    return None


def shortage(url: str, load: Load, room: Room, launching: LaunchingSettings, session: SessionSettings) -> str:
    """What is missing for one more session of the repository at `url`, in words; `` when there is room."""
    if load.starting >= (most := starting(room, launching)):
        crowd = f"{load.starting} servers start now, and {most} at once are what the processors carry"
    else:
        crowd = ""
    return quota_reached(url, load, launching) or lack_of_room(load, room, launching, session) or crowd


def quota_reached(url: str, load: Load, launching: LaunchingSettings) -> str:
    """Which of the operator's numbers allows no more sessions of the repository at `url`, in words; `` when none."""
    running = len(load.repositories)
    if launching.total_quota and running >= launching.total_quota:
        return f"{running} sessions run, and this service allows {launching.total_quota}"
    if launching.per_repo_quota and Counter(load.repositories)[url] >= launching.per_repo_quota:
        return f"{Counter(load.repositories)[url]} sessions of this repository run, and this service allows no more"
    return ""


def lack_of_room(load: Load, room: Room, launching: LaunchingSettings, session: SessionSettings) -> str:
    """What the machine has too little of for one more session, in words; `` when it has enough."""
    promised = load.starting * session.memory_reserved
    if room.memory - promised < launching.keep_memory + session.memory_reserved:
        return (
            f"{_megabytes(max(room.memory - promised, 0))} of memory are free, which is too little for one more session"
        )
    if room.disk < launching.keep_disk:
        return f"{_megabytes(room.disk)} of disk are free, which is too little for one more session"
    if 0 < room.inodes < 10_000:
        return f"the disk has only {room.inodes} inodes left"
    return ""


def starting(room: Room, launching: LaunchingSettings) -> int:
    """How many servers may start at once: more would only be slower together."""
    return launching.starting or max(1, round(STARTS_A_PROCESSOR * room.processors))


def _megabytes(size: int) -> str:
    return f"{size // 1024**2:,} MB"
