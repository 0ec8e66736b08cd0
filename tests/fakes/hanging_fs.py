"""A file system that never answers, as a stale mount of NFS: FUSE's handshake is made, and nothing is said after it.

In: a folder. Out: it is mounted there for as long as the block lasts. Needs root and /dev/fuse.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
INIT_IN, MAJOR, MINOR, MNT_DETACH = 40, 7, 31, 2


def possible() -> bool:
    return os.geteuid() == 0 and Path("/dev/fuse").exists()


@contextmanager
def hanging(at: Path) -> Iterator[None]:
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if _LIBC.mount(b"hanging", os.fsencode(at), b"fuse", ctypes.c_ulong(0), options) != 0:
        error = ctypes.get_errno()
        os.close(fd)
        raise OSError(error, f"mount: {os.strerror(error)}")
    try:
        request = os.read(fd, 1 << 17)
        unique = struct.unpack_from("=Q", request, 8)[0]
        body = struct.pack("=IIIIHHIIHHI", MAJOR, MINOR, 0, 0, 0, 0, 4096, 1, 0, 0, 0) + bytes(24)
        os.write(fd, struct.pack("=IiQ", 16 + len(body), 0, unique) + body)
        over = threading.Event()
        thread = threading.Thread(target=_deaf, args=(fd, over), name="a file system that hangs")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
    finally:
        _LIBC.umount2(os.fsencode(at), MNT_DETACH)
        os.close(fd)  # the connection ends, and with it all that waits


def _deaf(fd: int, over: threading.Event) -> None:
    """Take requests and answer none: whoever waits for one that was taken is ended by no signal."""
    while not over.is_set():
        if select.select([fd], [], [], 0.05)[0]:
            os.read(fd, 1 << 17)
