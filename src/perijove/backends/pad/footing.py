"""What sandboxes stand on here: bubblewrap, uids of their own, control groups. In: this machine; out: a `Footing`."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from perijove.backends.pad import cgroups, tools
from perijove.backends.pad.cgroups import Groups
from perijove.backends.pad.master import Master, ourselves
from perijove.backends.pad.master import name as master_name
from perijove.backends.pad.quota import Disks
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.isolation import Isolation
from perijove.domain.state import State

FIRST_UID = 200_000
FEW_UIDS = 30_000
"""The first uid where a user namespace around us has no high ones."""
UIDS = 1000
"""Uids of one pad; pads of other state directories most likely have others, by the hash of their path."""


def kernel() -> tuple[int, int]:
    """Major and minor version of the running kernel."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def mark(state: State) -> str:
    """Tells this state directory from others, in names of things outside it."""
    return f"{zlib.crc32(os.fsencode(state.root.absolute())):08x}"


@dataclass(slots=True)
class Footing:
    """The means of this pad."""

    bwrap: Path | None
    """None with `isolation = none`."""
    groups: Groups | None
    own_uids: bool
    first_uid: int = FIRST_UID
    master: Master = field(default_factory=ourselves)
    """Whom the sandboxes are made for."""
    disks: Disks | None = None
    """None where what a sandbox writes is watched."""
    copied: str = "there are no sandboxes"
    """Why folders are copied for it; `` where they can be laid over one another."""
    _taken: set[int] = field(default_factory=set)
    _next: int = 0

    @property
    def sandboxed(self) -> bool:
        return self.bwrap is not None

    @property
    def proxy_uid(self) -> int | None:
        """Whom the egress proxy runs as."""
        return self.first_uid if self.own_uids else None

    @property
    def fork_uid(self) -> int | None:
        """Whom fork servers run as: the last of ours."""
        return self.first_uid + UIDS - 1 if self.own_uids else None

    @property
    def session_ids(self) -> tuple[str, str]:
        """The uids and gids of sessions and fork servers as maps of a user namespace."""
        if self.own_uids:
            first = self.first_uid + 1
            return (f"{first} {first} {UIDS - 1}",) * 2
        uid, gid = os.getuid(), os.getgid()
        return f"{uid} {uid} 1", f"{gid} {gid} 1"

    def take_uid(self) -> int | None:
        """A uid that no other sandbox has, the longest unused first; None where all run as us."""
        if not self.own_uids:
            return None
        for _ in range(UIDS - 2):
            self._next = self._next % (UIDS - 2) + 1
            uid = self.first_uid + self._next
            if uid not in self._taken:
                self._taken.add(uid)
                return uid
        raise OSError("every uid for sandboxes is taken")

    def hold_uid(self, uid: int | None) -> None:
        """Give it to no sandbox until it is given back: files of an earlier one's are still there."""
        if uid is not None:
            self._taken.add(uid)

    def give_back(self, uid: int | None) -> None:
        self._taken.discard(uid if uid is not None else -1)

    def isolation(self) -> Isolation:
        label = self.groups.label if self.groups is not None else ""
        disk = "quota" if self.disks is not None else "watched"
        return Isolation(self.sandboxed, self.own_uids, label, disk, self.copied)


def find(state: State, sandboxed: bool, master: Master) -> Footing:
    """What there is here. Raises Fail: `platform.tool-missing`, and `start.sandbox-failed` where it is too little."""
    preferred = FIRST_UID + int(mark(state), 16) % 1000 * UIDS
    ranges = mapped(Path("/proc/self/uid_map").read_text())
    first = next((uid for uid in (preferred, FEW_UIDS) if _inside(uid, ranges)), None)
    own_uids = sandboxed and os.geteuid() == 0 and first is not None
    if master.other and not own_uids:  # they would run as root, and do what the master says
        seen = Evidence("--isolation", "sandbox" if sandboxed else "none")
        remedy = f"Run the pad as {master_name(master.uid)}, or where uids from {FEW_UIDS} on exist."
        cause = "root runs sandboxes for another user only where each has a uid of its own"
        raise Fail(SANDBOX_FAILED(cause, seen, Evidence("/proc/self/uid_map", f"{ranges}"), remedy=remedy))
    bwrap = tools.bubblewrap(state.pad, copied=own_uids) if sandboxed else None
    return Footing(bwrap, cgroups.find(mark(state)), own_uids, first or FIRST_UID, master)


def mapped(uid_map: str) -> list[range]:
    """Uids that exist in our user namespace, from its uid_map."""
    rows = [[int(field) for field in line.split()] for line in uid_map.splitlines()]
    return [range(inside, inside + count) for inside, _, count in rows]


def _inside(first: int, ranges: list[range]) -> bool:
    return any(first in held and first + UIDS - 1 in held for held in ranges)
