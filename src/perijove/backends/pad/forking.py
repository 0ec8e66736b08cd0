"""A fork server: imports what a session's server needs, once, and becomes a server inside a sandbox for each request.

Runs in a mount namespace of its own that shows what the server runs on and nothing else: the standard library only.
`forking.py PROGRAM FD`: the program's `prepare` is called once, its `main` in each child; requests come by socket FD.
A request is a socket for the child alone. What the session is told, its token too, comes by that, after the fork.
"""

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import resource
import signal
import socket
import sys
import types
from typing import Any

NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET, entered at once by the pidfd of the sandbox's first process."""
PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_SECCOMP = 4, 15, 22
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 24, 38, 47
SECCOMP_MODE_FILTER, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
CAPABILITY_VERSION = 0x20080522
MESSAGE = 4096
SOCKET = 3
"""The session's listening socket; there is nothing else open but the standard three."""
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> None:
    """Call into the C library. Raises OSError."""
    if getattr(LIBC, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def prctl(option: int, *arguments: Any) -> None:
    padded = [*arguments, 0, 0, 0, 0][:4]
    call("prctl", option, *(ctypes.c_ulong(one) if isinstance(one, int) else one for one in padded))


def received(line: socket.socket) -> "tuple[bytes, list[int]]":
    """One message with its descriptors; empty at the other end's end."""
    message, fds, _, _ = socket.recv_fds(line, MESSAGE, 16, socket.MSG_CMSG_CLOEXEC)
    return message, fds


def loaded(program: str) -> Any:
    """A program as a module, its `main` not yet called."""
    module = types.ModuleType("perijove_server")
    module.__file__ = program
    with open(program, "rb") as file:
        exec(compile(file.read(), program, "exec"), module.__dict__)  # noqa: S102 - ours, as this file is
    return module


def main() -> None:
    """Import, say so, and fork for each request until the pad has gone. A child returns once its server has ended."""
    control = socket.socket(fileno=int(sys.argv[2]))
    moved(dict(os.environ))
    shown(sys.orig_argv[:5], {})  # without the room that is kept for others
    module = loaded(sys.argv[1])
    module.prepare()
    threads = os.listdir("/proc/self/task")
    if len(threads) != 1:
        sys.exit(f"{len(threads)} threads run after the imports, of which a child has one")
    gc.collect()
    uncount()
    gc.freeze()  # what is imported stays in pages that are shared
    with contextlib.suppress(AttributeError):  # another C library than glibc
        LIBC.malloc_trim(0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(b"ready")
    while (request := received(control))[0]:
        line = socket.socket(fileno=request[1][0])
        try:
            child = os.fork()
        except OSError:  # whoever asked sees the end of the line
            child = -1
        if child == 0:
            control.close()
            served(module, became(line))
            return
        line.close()


def uncount() -> None:
    """Have Python count no more who refers to what is there now: each count is a write, and a page less that is shared.

    Since 3.12 it counts for nothing whose count is as None's (PEP 683), by the four bytes where an object begins. Where
    they are no count, as in a Python without the global lock, nothing is done.
    """
    count = ctypes.c_uint32.from_address
    never = count(id(None)).value
    if sys.hexversion < 0x030C0000 or never != sys.getrefcount(None):
        return
    left = gc.get_objects()
    while left:
        one = left.pop()
        counted = count(id(one))
        if counted.value != never:
            counted.value = never
            left.extend(gc.get_referents(one))
            if isinstance(one, types.CodeType):  # which is no matter for the collector
                left.extend((one.co_consts, one.co_names, one.co_filename, one.co_name, one.co_qualname))
                left.extend((one.co_linetable, one.co_exceptiontable))


def became(line: socket.socket) -> "dict[str, Any]":
    """What a session's server is told, once all is done for it; whoever fails or is not wanted any more ends here."""
    try:
        order, streams = entered(line)
        line = alone(line, streams)
        confined(order)
        named(order)
        tell(line, b"confined")
        expect(line, b"go")  # the pad has looked at it
    except OSError as error:
        with contextlib.suppress(OSError):  # nobody listens any more
            line.send(f"failed: {error}".encode()[:MESSAGE])
        os._exit(1)
    line.close()
    return order


def tell(line: socket.socket, word: bytes) -> None:
    """A word, with this process."""
    process = os.pidfd_open(os.getpid())
    socket.send_fds(line, [word], [process])
    os.close(process)


def expect(line: socket.socket, word: bytes) -> "list[int]":
    """The descriptors that come with a word. Raises OSError where it does not come."""
    message, fds = received(line)
    if message != word:
        raise ConnectionAbortedError(f"not wanted any more before {word.decode()}")
    return fds


def entered(line: socket.socket) -> "tuple[dict[str, Any], list[int]]":
    """Join the control group, enter the sandbox, and fork again, into its process namespace. Raises OSError."""
    for fd in expect(line, b"join"):
        os.write(fd, b"0")
    tell(line, b"joined")
    sandbox, told, *streams = expect(line, b"enter")
    with open(told, "rb") as file:
        order = json.load(file)
    for limit, value in order["rlimits"]:
        resource.setrlimit(limit, (value, value))
    call("setns", sandbox, NAMESPACES)
    if os.fork() != 0:
        os._exit(0)
    return order, streams


def alone(line: socket.socket, streams: "list[int]") -> socket.socket:
    """Keep its words, its socket and the line, and nothing else of what is open."""
    os.setsid()
    os.umask(0o022)
    output, *listener = streams
    above = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in (line.fileno(), *listener)]
    for standard, fd in enumerate((os.open("/dev/null", os.O_RDONLY), output, output)):
        os.dup2(fd, standard)
    if listener:
        os.dup2(above[1], SOCKET, inheritable=False)
    line.detach()
    for name in os.listdir("/proc/self/fd"):
        if int(name) > (SOCKET if listener else 2) and int(name) != above[0]:
            with contextlib.suppress(OSError):  # that of the look itself
                os.close(int(name))
    return socket.socket(fileno=above[0])


def confined(order: "dict[str, Any]") -> None:
    """No capability, none to be had, the session's uid, and its filter of system calls. Raises OSError."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(int(order["last_capability"]) + 1):
        prctl(PR_CAPBSET_DROP, capability)
    os.setresgid(order["gid"], order["gid"], order["gid"])
    os.setresuid(order["uid"], order["uid"], order["uid"])
    call("capset", (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)())
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    rules = bytes.fromhex(order["seccomp"])
    kept = ctypes.create_string_buffer(rules, len(rules))

    class Program(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = Program(len(rules) // 8, ctypes.cast(kept, ctypes.c_void_p))
    prctl(PR_SET_DUMPABLE, 1)  # as after exec: the session's own processes may look at it in /proc
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))


def served(module: Any, order: "dict[str, Any]") -> None:
    """Be the server, as if it had been started."""
    command = order["command"]
    os.chdir(order["folder"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.argv[:], sys.orig_argv[:] = command[2:], command
    sys.modules["__main__"] = module
    module.main()


def named(order: "dict[str, Any]") -> None:
    """Its command, variables and name, as whoever looks is told them. Raises OSError."""
    command, environ = order["command"], order["environ"]
    moved(environ)
    shown(command, environ)
    prctl(PR_SET_NAME, ctypes.create_string_buffer(os.path.basename(command[0]).encode()[:15]))


def moved(environ: "dict[str, str]") -> None:
    """Have these variables and no others, on the heap: `shown` writes to where the first ones were."""
    os.environ.clear()
    os.environ.update(environ)


def shown(command: "list[str]", environ: "dict[str, str]") -> None:
    """Write both where /proc/PID/cmdline and environ read: over those that we were started with."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    begin, end, variables, over = (int(field) for field in fields[45:49])
    texts = (command, [f"{name}={value}" for name, value in environ.items()])
    for words, start, stop in zip(texts, (begin, variables), (end, over)):  # noqa: B905 - Python 3.9
        fits = b"".join(os.fsencode(word) + b"\0" for word in words)[: stop - start - 1]
        ctypes.memmove(start, fits.ljust(stop - start, b"\0"), stop - start)


if __name__ == "__main__":
    main()
