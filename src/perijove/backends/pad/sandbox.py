"""How a sandbox looks from inside: an order becomes bubblewrap's arguments. Pure but for `system()`.

All goes to bubblewrap by file descriptor: its command line and environment, which PID 1 shows inside, say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from perijove.backends.pad.overlays import Laid
from perijove.backends.pad.wire import Order
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.nouns import PERSON_HOME

HOME = "/home/jovyan"
SYSTEM_HOME = "/root"
"""Of a run that makes a system."""
UID = 1000
PROXY_PORT = 3128
IN_MEMORY = ("/tmp", "/dev/shm")  # noqa: S108
"""Folders whose files lie in memory."""
PASSWD = (
    f"root:x:0:0:root:/root:/usr/sbin/nologin\njovyan:x:{UID}:{UID}:jovyan:{HOME}:/bin/bash\nnobody:x:65534:65534::/:\n"
)
GROUP = f"root:x:0:\njovyan:x:{UID}:\nnogroup:x:65534:\n"
HOSTS = "127.0.0.1 localhost perijove\n::1 localhost\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files\n"
FILES = {
    "/etc/passwd": PASSWD,
    "/etc/group": GROUP,
    "/etc/hosts": HOSTS,
    "/etc/nsswitch.conf": NSSWITCH,
    "/etc/resolv.conf": "",
}
SHOWN = (
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/fonts",
    "/etc/mime.types",
    "/etc/bash.bashrc",
    "/etc/profile",
    "/etc/os-release",
)
"""Parts of the host's /etc that programs need and that hold no secrets."""
PROXY = f"http://127.0.0.1:{PROXY_PORT}"
PROXY_ENVIRON = tuple((name, PROXY) for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")) + tuple(
    (name, "localhost,127.0.0.1,::1") for name in ("no_proxy", "NO_PROXY")
)


@dataclass(frozen=True, slots=True)
class System:
    """How the host's system folders are shown: bound, or as the symlinks they are."""

    binds: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    """(target, path)"""


@cache
def system() -> System:
    """Look at this host's root folder."""
    binds, links = ["/usr"], []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            links.append((str(path.readlink()), str(path)))
        elif path.is_dir():
            binds.append(str(path))
    binds += [path for path in ("/nix/store", "/gnu/store") if Path(path).is_dir()]
    return System(tuple(binds), tuple(links))


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers of the open files that bubblewrap reads."""

    seccomp: int
    files: tuple[tuple[str, int], ...]
    """(path inside, descriptor) of the files of `FILES`."""
    info: int
    status: int
    block: int


def system_arguments(*, hosts: bool) -> list[str]:
    """The host's system, where it is the host's."""
    args: list[str] = []
    for path in system().binds if hosts else ():
        args += ["--ro-bind", path, path]
    for target, path in system().links if hosts else ():
        args += ["--symlink", target, path]
    for path in SHOWN if hosts else ():
        args += ["--ro-bind-try", path, path]
    return args


def _system(order: Order, laid: Sequence[Laid]) -> list[str]:
    """Its own, or the host's."""
    args: list[str] = []
    for stack in laid:
        args += stack.arguments if stack.is_root else []
    args += system_arguments(hosts=not order.root)
    args += ["--proc", "/proc", "--dev", "/dev", "--dir", "/run", "--dir", "/root"]
    return args if order.system else [*args, "--symlink", "/tmp", "/var/tmp"]  # noqa: S108


def arguments(
    order: Order, home: Path, laid: Sequence[Laid], fds: Descriptors, environ: Sequence[tuple[str, str]]
) -> bytes:
    """What `bwrap --args FD` reads, NUL after each. Raises Fail: `start.sandbox-failed` for a text with a NUL in it."""
    uid, home_at = (0, SYSTEM_HOME) if order.system else (UID, HOME)
    args = ["--unshare-all", "--unshare-user", "--uid", f"{uid}", "--gid", f"{uid}", "--disable-userns"]
    args += ["--die-with-parent", "--new-session", "--hostname", "perijove", "--cap-drop", "ALL"]
    args += _system(order, laid)
    for path in IN_MEMORY:
        args += ["--perms", "1777", "--size", f"{order.limits.tmp}", "--tmpfs", path]
    for path, fd in () if order.system else fds.files:
        args += ["--perms", "0644", "--file", f"{fd}", path]
    args += ["--bind", str(home), home_at]
    if order.person_home is not None:
        args += ["--bind", str(order.person_home), f"{home_at}/{PERSON_HOME}"]
    for mount in order.mounts:
        args += ["--ro-bind", str(mount.source), str(mount.target)]
    for stack in laid:
        args += [] if stack.is_root else stack.arguments
    for path in ("/dev",) if order.system else ("/", "/dev"):  # a tmpfs without a size, or its system
        args += ["--remount-ro", path]
    args += ["--chdir", home_at, "--clearenv"]
    for name, value in environ:
        args += ["--setenv", name, value]
    args += ["--seccomp", f"{fds.seccomp}", "--info-fd", f"{fds.info}", "--json-status-fd", f"{fds.status}"]
    args += ["--block-fd", f"{fds.block}"]
    return packed(args, order.command)


def packed(args: Sequence[str], command: Sequence[str]) -> bytes:
    """Arguments as a file, for a command that follows. Raises Fail: `start.sandbox-failed` for a NUL in any of both."""
    for text in (*args, *command):
        if "\0" in text:
            saw = text.replace("\0", "\\0")[:200]
            raise Fail(SANDBOX_FAILED("an argument of the sandbox holds a NUL", Evidence("sandbox arguments", saw)))
    return b"".join(text.encode() + b"\0" for text in args)
