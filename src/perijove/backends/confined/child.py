"""One call, in a process of its own: all rights given up first, then the caller's request read and answered.

Lives in a fork of `process`, which waits for its end; never returns.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import inspect
import json
import os
import resource
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from perijove.backends.confined import landlock
from perijove.backends.confined.frames import Call, Frame, arguments, function_of, pack, write_failure
from perijove.domain import wire
from perijove.domain.confinement import Beyond, Bounds, Limit
from perijove.domain.failures import BUG, Evidence, Fail

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
LAST_CAPABILITY = 63
OPEN_FILES = 4096
FIRST_TO_DIE = "900"
"""Where memory ends, before sessions (500): see `backends/pad`."""
PROCESSES = 512
"""Of one identity; where it has a uid of its own."""
_libc = ctypes.CDLL(None, use_errno=True)


def do(line: socket.socket, uid: int | None, gid: int, niceness: int) -> NoReturn:
    """Answer the one request on `line` as `uid`, or as ourselves where there is no other."""
    status = 1
    try:
        give_up_rights(uid, gid, niceness)
        stream = line.makefile("rwb", buffering=1 << 16)
        call: Call = wire.decode(Call, json.loads(stream.readline()))

        def say(frame: Frame) -> None:
            stream.write(pack(frame))
            stream.flush()

        limit(call.bounds, processes=uid is not None)
        if call.bounds.writes is not None:
            landlock.confine(call.bounds.writes, call.bounds.reads)
        say(_done(call, say))
        status = 0
    except BrokenPipeError:
        status = 0  # nobody waits for it any more
    except BaseException:  # noqa: BLE001 - a fork that returned into its parent's code would do its parent's work
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(status)


def give_up_rights(uid: int | None, gid: int, niceness: int) -> None:
    """For ever, and for all that is started from here."""
    os.setsid()
    os.nice(niceness)
    with suppress(OSError):  # the kernel may weigh whole sessions of processes against one another (sched(7))
        Path("/proc/self/autogroup").write_text(f"{os.nice(0)}")
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_DIE)
    if uid is not None:
        for capability in range(LAST_CAPABILITY):
            _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.chdir("/")


def limit(bounds: Bounds, *, processes: bool) -> None:
    """Its own bounds and its children's (setrlimit(2))."""
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CPU: bounds.cpu,
        resource.RLIMIT_FSIZE: bounds.file_size,
        resource.RLIMIT_DATA: bounds.memory,
    }
    if processes:
        wanted[resource.RLIMIT_NPROC] = PROCESSES
    for what, most in wanted.items():
        _, hard = resource.getrlimit(what)
        lowest = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # At its hard limit of processor time a process is killed without a word, at its soft one by SIGXCPU.
        highest = lowest + 2 if what == resource.RLIMIT_CPU and lowest == most else lowest
        resource.setrlimit(what, (lowest, min(highest, hard) if hard != resource.RLIM_INFINITY else highest))


def _done(call: Call, say: Any) -> Frame:
    try:
        function = function_of(call)
        given = arguments(function, call.given)
        more = {"tell": lambda line: say({"line": line})} if call.tells else {}
        if inspect.iscoroutinefunction(function):
            answer = asyncio.run(function(*given, **more))
        else:
            answer = function(*given, **more)
        return {"ok": wire.encode(answer)}
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - told to whoever called
        return _told(error)


def _told(error: BaseException) -> Frame:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Fail):
        return write_failure(error.failure)
    if isinstance(error, Beyond):
        return {"beyond": error.limit, "words": str(error)}
    if isinstance(error, MemoryError):
        return {"beyond": Limit.MEMORY, "words": ""}
    if isinstance(error, RecursionError):
        return {"beyond": Limit.DEPTH, "words": ""}
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return {"beyond": Limit.SIZE, "words": ""}
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.name}, line {last.lineno}"
    with suppress(ValueError):
        where = f"{os.path.relpath(last.filename, os.path.dirname(os.path.dirname(__file__)))}: {where}"
    return write_failure(BUG(f"{type(error).__name__} in {where}", Evidence(where, str(error)[:2000])))
