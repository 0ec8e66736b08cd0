"""User namespaces that hold nothing yet: each lives as long as it is open or used. Acts.

In: which ids it maps; out: it, as an open file.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWUSER = 0x10000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def made(uids: str, gids: str, owner: int | None = None) -> int:
    """Open, with these maps (user_namespaces(7)); `owner`, else we, may enter it with all rights in it.

    Raises OSError.
    """
    ready, told = os.pipe2(os.O_CLOEXEC)
    waits, over = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(over)
        if _apart(owner):
            os.write(told, b"x")
            os.read(waits, 1)
        os._exit(0)
    try:
        os.close(told)
        if not os.read(ready, 1):
            raise PermissionError("a user namespace cannot be made")
        if os.geteuid() != 0:  # else the kernel takes no map of groups
            Path(f"/proc/{child}/setgroups").write_text("deny")
        for name, rows in (("uid_map", uids), ("gid_map", gids)):
            Path(f"/proc/{child}/{name}").write_text(rows)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (ready, waits, over):
            os.close(fd)
        os.waitpid(child, 0)


def _apart(owner: int | None) -> bool:
    """Whether this process, which becomes the owner's, is in a namespace of its own now."""
    try:
        if owner is not None:
            become(owner)
    except OSError:
        return False
    return int(_LIBC.unshare(CLONE_NEWUSER)) == 0


def become(uid: int) -> None:
    """This uid and the group of the same number, for good, with no others. Raises OSError."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def enter(namespace: int) -> None:
    """Go there; this process must have one thread. Raises OSError."""
    if _LIBC.setns(namespace, CLONE_NEWUSER) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")
