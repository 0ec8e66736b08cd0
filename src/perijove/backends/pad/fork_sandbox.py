"""How a fork server's own sandbox looks from inside: what a session's server runs on, and nothing of any session. Pure.

Its processes are in the pad's process namespace, since those they fork go on from there to the sandboxes'.
"""

from __future__ import annotations

from dataclasses import dataclass

from perijove.backends.pad.sandbox import HOME, system_arguments
from perijove.backends.pad.wire import Order

RIGHTS = ("CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE")
"""What setns(2) asks for, in the user namespace of sessions' uids and in those below it."""
SCRIPT = "/run/forking.py"
ENVIRON = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": HOME,
    "USER": "jovyan",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
}
"""As sessions have it: some modules look for their folders when they are imported."""
ROOM = 16384
"""Bytes that a session's command line, and its variables, may take where /proc shows them."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers of the open files that bubblewrap reads, and of the socket that it hands on."""

    namespace: int
    seccomp: int
    files: tuple[tuple[str, int], ...]
    """(path inside, descriptor), the script among them."""
    control: int


def arguments(order: Order, fds: Descriptors) -> bytes:
    """What `bwrap --args FD` reads, NUL after each."""
    args = ["--userns", f"{fds.namespace}", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    args += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for right in RIGHTS:
        args += ["--cap-add", right]
    args += [word for layer in order.root for word in ("--overlay-src", str(layer))]
    args += ["--ro-overlay", "/"] if order.root else []
    args += system_arguments(hosts=not order.root)
    args += ["--dir", "/proc", "--ro-bind", "/proc/self", "/proc/self", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
    for path, fd in fds.files:
        args += ["--perms", "0644", "--file", f"{fd}", path]
    args += ["--tmpfs", HOME]
    for mount in order.server:
        args += ["--ro-bind", str(mount.source), str(mount.target)]
    args += ["--remount-ro", "/", "--chdir", "/", "--clearenv"]
    for name, value in {**ENVIRON, "PERIJOVE_ROOM": " " * ROOM}.items():
        args += ["--setenv", name, value]
    args += ["--seccomp", f"{fds.seccomp}"]
    return b"".join(text.encode() + b"\0" for text in args)


def command(order: Order, fds: Descriptors) -> tuple[str, ...]:
    """argv inside."""
    python, option, program = order.command[:3]
    return (python, option, SCRIPT, program, f"{fds.control}", " " * ROOM)
