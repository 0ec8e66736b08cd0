"""Which uids confined processes have where the service is root. In: the ids that exist here. Out: a uid each."""

from __future__ import annotations

import os
from pathlib import Path

from perijove.domain.confinement import Identity

FIRST = (199_990, 29_990)
"""The first uid, and the one where a user namespace around us has no high ones: beside those of sandboxes."""
NOBODY = 65_534


def uids(euid: int | None = None, uid_map: Path = Path("/proc/self/uid_map")) -> dict[Identity, int]:
    """One each for root, or `nobody` where there is no other; none for other users, which have no uid to give."""
    if (os.geteuid() if euid is None else euid) != 0:
        return {}
    rows = [[int(field) for field in line.split()] for line in uid_map.read_text().splitlines()]
    exist = [range(inside, inside + count) for inside, _, count in rows]
    for first in FIRST:
        if any(first in held and first + len(Identity) in held for held in exist):
            return {identity: first + number for number, identity in enumerate(Identity, 1)}
    return dict.fromkeys(Identity, NOBODY) if any(NOBODY in held for held in exist) else {}


def gid(of: dict[Identity, int]) -> int:
    """The group that all of them have: folders that they pass through are open to it."""
    return min(of.values(), default=os.getegid())
