"""A look at homes, as a program of its own: on a stale mount any call may wait for ever, and no signal ends it.

`python -I -S looking.py PATH PERSON`; without a person, at PATH alone. Prints one object of JSON. Needs the standard
library alone.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time

COUNTED_FOR = 2.0
"""Seconds that counting may take; the sum is not known then."""


def looked(path: str, person: str) -> dict[str, object]:
    """What stands there; the home is made where it is missing. Raises OSError."""
    base = os.stat(path)
    if os.geteuid() == 0 and base.st_uid == 0:
        return {"wrong": f"{path} belongs to root"}
    facts = os.statvfs(path)
    if facts.f_flag & os.ST_RDONLY:
        return {"wrong": f"{path} is mounted to be read only"}
    if not person:
        return {"wrong": "" if os.access(path, os.W_OK | os.X_OK) else f"{path} cannot be written to"}
    home = os.path.join(path, person)
    try:
        os.mkdir(home, 0o700)
        if os.geteuid() == 0:
            give(home, base)
    except FileExistsError:
        pass
    found = os.lstat(home)
    if not stat.S_ISDIR(found.st_mode):
        return {"wrong": f"{home} is no folder"}
    if found.st_uid == 0 or os.geteuid() not in (0, found.st_uid):
        return {"wrong": f"{home} belongs to user {found.st_uid}"}
    return {"wrong": "", "used": used(home), "free": facts.f_bavail * facts.f_frsize}


def give(home: str, base: os.stat_result) -> None:
    """To whom all homes belong, who may lay a link to root's files in its place meanwhile. Raises OSError."""
    opened = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(opened, base.st_uid, base.st_gid)
    finally:
        os.close(opened)


def used(home: str) -> int:
    """Bytes on its disk; -1 where that takes too long."""
    total, pending, until = 0, [home], time.monotonic() + COUNTED_FOR
    while pending:
        if time.monotonic() > until:
            return -1
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except (FileNotFoundError, PermissionError):  # changed meanwhile, or closed by whose it is
            continue
    return total


if __name__ == "__main__":
    try:
        told = looked(*sys.argv[1:3])
    except OSError as error:
        told = {"wrong": f"{error.filename}: {error.strerror}", "stale": error.errno in (errno.ESTALE, errno.EIO)}
    print(json.dumps(told))  # noqa: T201
