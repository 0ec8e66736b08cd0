"""Kept work is given back to a session: into its home, with the session's rights, by the rules of `perijove.giving`.

In: a sealed file with its key, and a home in which others may write meanwhile. Out: what became of it.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

from perijove.backends.pad.master import Master
from perijove.backends.pad.spawning import in_child
from perijove.backends.pad.trees import NO_LINKS
from perijove.domain import wire
from perijove.domain.failures import Evidence, Fail
from perijove.domain.keeping import GivenBack, shown
from perijove.domain.keeping_failures import KEPT_UNREADABLE
from perijove.giving import FOLDER, Giving

LIMIT = 90.0
"""Seconds that it may take."""
LARGEST_ANSWER = 64 * 1024


async def give_back(
    archive: Path, opens: bytes, home: Path, room: int, uid: int | None, master: Master, same_commit: bool
) -> GivenBack:
    """In a process that has the session's rights; the archive is one that its master can read.

    Raises Fail: `session.kept-unreadable`; OSError.
    """
    told = os.memfd_create("given back")
    try:
        with master.rights():
            sealed = os.open(archive, NO_LINKS)
        try:
            await in_child(partial(_given, sealed, opens, home, room, uid, same_commit, told), LIMIT)
        finally:
            os.close(sealed)
        answer = json.loads(os.pread(told, LARGEST_ANSWER, 0))
    except (OSError, TimeoutError) as error:
        where = Evidence(archive.name, str(error) or f"not done after {LIMIT:.0f} s")
        raise Fail(KEPT_UNREADABLE("the files could not be given back", where)) from error
    finally:
        os.close(told)
    if "unreadable" in answer:
        raise Fail(KEPT_UNREADABLE(answer["unreadable"], Evidence(archive.name, answer["unreadable"])))
    found: GivenBack = wire.decode(GivenBack, answer)
    return found


def _given(sealed: int, opens: bytes, home: Path, room: int, uid: int | None, same_commit: bool, told: int) -> None:
    from perijove.kept_files import files  # noqa: PLC0415  only where it is needed, and while it can be read

    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.umask(0o022)
    giving = Giving(os.open(home, FOLDER), room, same_commit)
    try:
        with os.fdopen(os.dup(sealed), "rb") as file:
            for kept in files(file, opens):
                giving.give(kept)
        beside = tuple(map(shown, giving.beside))
        answer = wire.encode(GivenBack(giving.files, beside, giving.no_room, giving.refused))
    except ValueError as error:
        answer = {"unreadable": str(error)[:500]}
    os.write(told, json.dumps(answer).encode())
