"""How a fork server's own sandbox looks from inside: what a session's server runs on, and nothing of any session.

Its processes are in the pad's process namespace, since those they fork go on from there to the sandboxes'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.pad.sandbox import HOME, packed, system_arguments
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
    """What `bwrap --args FD` reads, NUL after each. Raises Fail: `start.sandbox-failed` for a text with a NUL in it."""
    args = ["--userns", f"{fds.namespace}", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    args += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for right in RIGHTS:
        args += ["--cap-add", right]
    args += _root(order.root) if order.root else system_arguments(hosts=True)
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
    return packed(args, command(order, fds))


def _root(layers: Sequence[Path]) -> list[str]:
    """What programs need of a system that is not the host's: only read, its owner need be nobody here."""
    args: list[str] = []
    for name in ("usr", "etc", "bin", "sbin", "lib", "lib64"):
        found = [layer / name for layer in layers if (layer / name).is_dir()]
        if found and found[-1].is_symlink():
            args += ["--symlink", str(found[-1].readlink()), f"/{name}"]
        elif len(found) == 1:
            args += ["--ro-bind", str(found[0]), f"/{name}"]
        elif found:
            args += [word for folder in found for word in ("--overlay-src", str(folder))]
            args += ["--ro-overlay", f"/{name}"]
    return args


def command(order: Order, fds: Descriptors) -> tuple[str, ...]:
    """argv inside."""
    python, option, program = order.command[:3]
    return (python, option, SCRIPT, program, f"{fds.control}", " " * ROOM)
