"""A person's own folder in the sandbox of their session: shown as the session's uid's, in that sandbox alone. Acts.

Its file system may be another machine's, and hang: it is touched by processes that nobody waits for without a limit.
"""

from __future__ import annotations

import os
import stat
from errno import EPERM
from functools import partial
from pathlib import Path

from perijove.backends.pad import mounting
from perijove.backends.pad.master import Master
from perijove.backends.pad.sandbox import HOME
from perijove.backends.pad.spawning import in_child
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import PERSON_HOME
from perijove.domain.people_failures import HOME_COVERED, HOME_NOT_MAPPED, HOME_SILENT, HOME_UNUSABLE

LIMIT = 10.0
"""Seconds; it has just answered the service."""
NOT_THEIRS = EPERM


def place(folder: Path | None, home: Path, uid: int | None) -> None:
    """Where it will be shown in a session's home, nothing of which runs yet. Raises OSError, Fail: `home.covered`."""
    if folder is None:
        return
    at = home / PERSON_HOME
    try:
        at.mkdir(mode=0o755)
    except FileExistsError as error:
        if not stat.S_ISDIR(at.lstat().st_mode):
            raise Fail(HOME_COVERED("it is no folder", Evidence(PERSON_HOME, "a file or a link"))) from error
        return
    if uid is not None:
        os.chown(at, uid, uid, follow_symlinks=False)


async def show(folder: Path | None, first: int, uid: int | None, master: Master) -> None:
    """There, in the mounts of the sandbox whose first process is `first`; without a uid of its own it has it already.

    Raises Fail: `home.silent`, `home.unusable`, `home.not-mapped`.
    """
    if folder is None or uid is None:
        return
    try:
        await in_child(partial(_show, folder, first, uid, master), LIMIT)
    except TimeoutError as error:
        cause = f"it gave no answer within {LIMIT:g} seconds"
        raise Fail(HOME_SILENT(cause, Evidence(str(folder), "no end"))) from error
    except PermissionError as error:
        seen = Evidence(str(folder), "it is root's, or not the service's user's")
        raise Fail(HOME_UNUSABLE("root shows sessions what is the service's alone", seen)) from error
    except FileNotFoundError as error:
        raise Fail(HOME_UNUSABLE("it is gone", Evidence(str(folder), str(error)))) from error
    except OSError as error:
        raise Fail(HOME_NOT_MAPPED("the system refuses to map its users", Evidence(str(folder), str(error)))) from error


def _show(folder: Path, first: int, uid: int, master: Master) -> None:
    """Raises OSError. What is not the master's would be given away to it: its sessions run what it says."""
    namespace = os.open(f"/proc/{first}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    facts = os.fstat(opened)
    if facts.st_uid == 0 or (master.other and (facts.st_uid, facts.st_gid) != (master.uid, master.gid)):
        raise PermissionError(NOT_THEIRS, os.strerror(NOT_THEIRS))
    mounting.show_inside(opened, namespace, Path(HOME, PERSON_HOME), uid)
