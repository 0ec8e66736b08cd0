"""What the egress proxy gives up before a stranger's first byte: every right, and every call that it has no use for.

In: a uid of its own, or none. What it may need of Python later is loaded before: its files may be out of reach then.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - here and below: loaded now, since it is not later
import contextlib
import ctypes
import encodings.idna
import encodings.latin_1
import encodings.punycode  # noqa: F401
import os
import resource
import signal
import socket
import stringprep  # noqa: F401
import threading
import unicodedata  # noqa: F401
from pathlib import Path

from perijove.backends.pad.seccomp import confinement

OPEN_FILES = 16384
DATA = 2 * 1024**3
"""Bytes of memory."""
STACK = 512 * 1024
"""Bytes of a thread that looks a name up."""
TASKS = 8192
"""Threads of its own uid."""
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
CAPABILITY_VERSION_3 = 0x20080522


def load() -> None:
    """Have the system's resolver read what it needs; it gives a name server two seconds, once, from then on."""
    os.environ["RES_OPTIONS"] = "timeout:2 attempts:1"
    threading.stack_size(STACK)
    with contextlib.suppress(OSError):
        socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)


def drop(uid: int) -> int:
    """For ever; the pad's end is ours from then on. Returns how many files may be open. Raises Fail, OSError."""
    libc, confine = ctypes.CDLL(None, use_errno=True), confinement()
    os.chdir("/")
    files = _limited(own=bool(uid))
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused where there is none to give up
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_DUMPABLE, 0), (PR_SET_PDEATHSIG, signal.SIGKILL)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    confine()
    return files


def _limited(own: bool) -> int:
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_DATA: DATA, resource.RLIMIT_NOFILE: OPEN_FILES}
    if own:
        wanted[resource.RLIMIT_NPROC] = TASKS
    for what, most in wanted.items():
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
