"""Which system calls a sandbox may make: all but those that reach beyond it. In: nothing; out: a BPF program.

Allowed by default, since repositories run anything; denied is what has no use inside and a history of holes.
Numbers are compared whole or by their low 32 bits, as the kernel reads them, so that high bits do not slip past.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import EACCES, EAFNOSUPPORT, EINVAL, ENOSYS, EPERM, EPROTONOSUPPORT
from functools import cache
from socket import AF_INET, AF_INET6, AF_NETLINK, AF_UNIX
from typing import Any

from perijove.domain.failures import SECCOMP_MISSING, Evidence, Fail

DENIED = (
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "unshare",
    "setns",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "swapon",
    "swapoff",
    "reboot",
    "acct",
    "quotactl",
    "quotactl_fd",
    "syslog",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vm86",
    "vm86old",
    "uselib",
    "ustat",
    "sysfs",
    "lookup_dcookie",
    "nfsservctl",
    "open_by_handle_at",
    "fanotify_init",
    "clock_settime",
    "clock_adjtime",
    "settimeofday",
    "adjtimex",
    "stime",
    "sethostname",
    "setdomainname",
    "vhangup",
)
YOUNG = {
    "quotactl_fd": 443,
    "mount_setattr": 442,
    "open_tree_attr": 467,
    "pidfd_getfd": 438,
    "clone3": 435,
    "memfd_secret": 447,
}
"""Calls that an old libseccomp may not know by name; their numbers are the same on every architecture."""

STARTING = ("execve", "execveat", "fork", "vfork")
SIGNALLING = ("kill", "tkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
CHANGING = (
    *("unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "creat", "truncate"),
    *("link", "linkat", "symlink", "symlinkat", "mknod", "mknodat"),
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "utimensat", "futimesat"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
)
"""What a proxy of ours has no use for beside `DENIED`."""
CLONE_THREAD = 0x00010000

NEW_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""clone's flags CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET; NEWTIME is unshare's and clone3's alone."""
LOW = 0xFFFFFFFF
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
HIGHEST_PROTOCOL = 17
"""UDP; above it SCTP, DCCP and others load modules into the host's kernel (ICMPv6 needs privilege anyhow)."""


UNCOUNTED = ("memfd_create", "memfd_secret", "msgget", "semget")
"""What makes memory that may be in no process and no folder: only a control group counts it. Programs do without."""
LARGEST_SEGMENT = 4096
"""Bytes of a System V segment without a control group; there are 4096 at most (shmget(2)). PostgreSQL needs 56."""


FAKED = (
    *("chown", "fchown", "lchown", "fchownat"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups"),
    *("capset", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
)
"""What whoever makes a system does for users that are not there: said to be done."""
DEVICES = (stat.S_IFCHR, stat.S_IFBLK)


@cache
def program(counted: bool = True, faked: bool = False, entering: bool = False) -> bytes:
    """The filter as `bwrap --seccomp` reads it; `counted` where a control group counts the memory of what it filters.

    `faked`: for a run that is its system's only user. `entering`: for a fork server.
    Raises Fail: `platform.seccomp-missing`.
    """
    rules, deny, sc = _beginning(DENIED if not entering else tuple(name for name in DENIED if name != "setns"))
    if not counted:
        for name in UNCOUNTED:
            deny(name, ENOSYS)
        deny("shmget", EINVAL, sc.Arg(1, sc.GT, LARGEST_SEGMENT))
    for flag in NEW_NAMESPACES:
        deny("clone", EPERM, sc.Arg(0, sc.MASKED_EQ, flag, flag))
    for name in FAKED if faked else ():
        deny(name, 0)
    for kind in DEVICES if faked else ():
        deny("mknod", 0, sc.Arg(1, sc.MASKED_EQ, stat.S_IFMT(LOW), kind))
        deny("mknodat", 0, sc.Arg(2, sc.MASKED_EQ, stat.S_IFMT(LOW), kind))
    return _exported(rules)


def confinement() -> Callable[[], None]:
    """What has this process, for ever, make no call of those, start no program, signal nobody, and change no file.

    It must have one thread then; those it starts later are confined too. Raises Fail: `platform.seccomp-missing`.
    """
    rules, deny, sc = _beginning()
    for name in (*STARTING, *SIGNALLING, *CHANGING):
        deny(name, EPERM)
    deny("clone", EPERM, sc.Arg(0, sc.MASKED_EQ, CLONE_THREAD, 0))
    deny("tgkill", EPERM, sc.Arg(0, sc.NE, os.getpid()))
    for name, argument in (("open", 1), ("openat", 2)):
        for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT):
            deny(name, EACCES, sc.Arg(argument, sc.MASKED_EQ, flag, flag))
    deny("openat2", ENOSYS)  # as clone3
    load: Callable[[], None] = rules.load
    return load


def _beginning(denied: tuple[str, ...] = DENIED) -> tuple[Any, Callable[..., None], Any]:
    """A filter that denies what all are denied, how to deny more, and the library."""
    try:
        import pyseccomp as sc  # noqa: PLC0415 - loads libseccomp, which may be missing
    except (RuntimeError, OSError, AttributeError) as error:
        raise Fail(SECCOMP_MISSING("libseccomp cannot be loaded", Evidence("import pyseccomp", str(error)))) from error

    rules = sc.SyscallFilter(sc.ALLOW)

    def deny(name: str, error: int, *conditions: object) -> None:
        number = sc.resolve_syscall(sc.Arch.NATIVE, name)
        number = YOUNG.get(name, -1) if number < 0 else number
        if number >= 0:
            rules.add_rule(sc.ERRNO(error), number, *conditions)

    for name in denied:
        deny(name, EPERM)
    deny("clone3", ENOSYS)  # its flags lie in memory where no filter can look; libc then uses clone
    for request in (TIOCSTI, TIOCLINUX):
        deny("ioctl", EPERM, sc.Arg(1, sc.MASKED_EQ, LOW, request))
    deny("socket", EAFNOSUPPORT, sc.Arg(0, sc.GT, AF_NETLINK))
    for family in set(range(AF_NETLINK)) - {AF_UNIX, AF_INET, AF_INET6}:
        deny("socket", EAFNOSUPPORT, sc.Arg(0, sc.EQ, family))
    deny("socket", EPROTONOSUPPORT, sc.Arg(0, sc.EQ, AF_NETLINK), sc.Arg(2, sc.NE, 0))  # only routes
    for family in (AF_INET, AF_INET6):
        deny("socket", EPROTONOSUPPORT, sc.Arg(0, sc.EQ, family), sc.Arg(2, sc.GT, HIGHEST_PROTOCOL))
    deny("socketpair", EAFNOSUPPORT, sc.Arg(0, sc.NE, AF_UNIX))
    return rules, deny, sc


def _exported(rules: object) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    with os.fdopen(fd, "w+b") as file:
        rules.export_bpf(file)  # type: ignore[attr-defined]
        file.seek(0)
        return file.read()
