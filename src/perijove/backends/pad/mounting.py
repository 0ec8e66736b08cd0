"""Mounts of the pad's own: its mount namespace, and folders shown in it as another user's, read-only.

The latter are idmapped mounts (mount_setattr(2)), which an overlay can stand on since Linux 5.19.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perijove.backends.pad import userns

CLONE_NEWNS = 0x20000
MS_REC, MS_SLAVE = 0x4000, 0x80000
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
"""Numbers of calls that the C library may not know yet; the same on every architecture."""
OPEN_TREE_CLONE, AT_EMPTY_PATH, AT_FDCWD, MOVE_MOUNT_F_EMPTY_PATH = 1, 0x1000, -100, 4
RDONLY, NOSUID, NODEV, IDMAP = 1, 2, 4, 0x100000
MNT_DETACH, UMOUNT_NOFOLLOW = 0x2, 0x8
_LIBC = ctypes.CDLL(None, use_errno=True)


def call(function: Callable[..., int], *arguments: object) -> int:
    """Call into the C library. Raises OSError."""
    result = int(function(*arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{os.strerror(error)} ({getattr(function, '__name__', '')})")
    return result


def move_apart() -> None:
    """Move this process to a mount namespace of its own, for good. Raises OSError.

    What is mounted on the host later is seen here too, but never the other way round.
    """
    call(_LIBC.unshare, CLONE_NEWNS)
    call(_LIBC.mount, None, b"/", None, ctypes.c_ulong(MS_REC | MS_SLAVE), None)


def show(folder: int, at: Path, uid: int) -> None:
    """An open folder at `at`, an empty one; what is its owner's is `uid`'s there. Raises OSError."""
    with _mapped(folder, uid, RDONLY) as tree:
        _attach(tree, at)


def show_inside(folder: int, namespace: int, at: Path, uid: int) -> None:
    """The same, to be written to, in another mount namespace alone, where this process stays. Raises OSError.

    Nothing of it is on the host: what removes the sandbox's files never meets it.
    """
    with _mapped(folder, uid, 0) as tree:
        call(_LIBC.setns, namespace, CLONE_NEWNS)
        _attach(tree, at)


@contextmanager
def _mapped(folder: int, uid: int, attributes: int) -> Iterator[int]:
    facts = os.fstat(folder)
    syscall = _LIBC.syscall
    tree = call(syscall, OPEN_TREE, folder, b"", OPEN_TREE_CLONE | os.O_CLOEXEC | AT_EMPTY_PATH)
    try:
        namespace = userns.made(f"{facts.st_uid} {uid} 1", f"{facts.st_gid} {uid} 1")
        try:
            packed = struct.pack("=4Q", attributes | NOSUID | NODEV | IDMAP, 0, 0, namespace)
            call(syscall, MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, packed, ctypes.c_size_t(len(packed)))
        finally:
            os.close(namespace)
        yield tree
    finally:
        os.close(tree)


def _attach(tree: int, at: Path) -> None:
    call(_LIBC.syscall, MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(at), MOVE_MOUNT_F_EMPTY_PATH)


def hide(at: Path) -> None:
    """Take it away again; nothing where nothing is mounted."""
    with suppress(OSError):
        call(_LIBC.umount2, os.fsencode(at), MNT_DETACH | UMOUNT_NOFOLLOW)
