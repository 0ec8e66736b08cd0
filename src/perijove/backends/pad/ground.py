"""Do sandboxes work here at all? One is really made; when it fails, the switch that forbids it is looked for.

In: the footing; out: nothing, or a failure that names the switch, what it says, and how to set it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from perijove.backends.pad.footing import Footing
from perijove.backends.pad.sandbox import system
from perijove.backends.pad.seccomp import program
from perijove.backends.pad.spawning import run_tool
from perijove.domain.failures import NAMESPACES_FORBIDDEN, SANDBOX_FAILED, Evidence, Fail, Failure

SYSCTL = Path("/proc/sys")
LIMIT = 20.0
"""Seconds for a sandbox that does nothing."""


async def try_out(footing: Footing) -> None:
    """Make a sandbox that does nothing. Raises Fail: `platform.namespaces-forbidden`, `platform.seccomp-missing`."""
    if footing.bwrap is None:
        return
    seccomp = os.memfd_create("seccomp")
    try:
        os.write(seccomp, program())
        os.lseek(seccomp, 0, os.SEEK_SET)
        status, words = await run_tool(_argv(footing.bwrap, seccomp), LIMIT, (seccomp,), footing.proxy_uid)
    except (OSError, subprocess.SubprocessError) as error:
        where = Evidence(str(footing.bwrap), str(error))
        raise Fail(SANDBOX_FAILED("bubblewrap cannot be started", where)) from error
    finally:
        os.close(seccomp)
    if status != 0:
        raise Fail(diagnosis(words.strip()[-500:], footing.bwrap, SYSCTL, _in_container()))


def _argv(bwrap: Path, seccomp: int) -> list[str]:
    argv = [str(bwrap), "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"]
    argv += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--seccomp", f"{seccomp}"]
    for path in system().binds:
        argv += ["--ro-bind", path, path]
    for target, path in system().links:
        argv += ["--symlink", target, path]
    return [*argv, "--proc", "/proc", "--dev", "/dev", "--", "/usr/bin/true"]


def _value(sysctl: Path, name: str) -> str:
    try:
        return sysctl.joinpath(*name.split(".")).read_text().strip()
    except OSError:
        return ""


def diagnosis(words: str, bwrap: Path, sysctl: Path, container: bool) -> Failure:
    """Why a sandbox could not be made, from bubblewrap's words and this machine's switches."""
    said = Evidence("bwrap", words or "it said nothing")

    def forbidden(name: str, cause: str, remedy: str) -> Failure:
        return NAMESPACES_FORBIDDEN(cause, said, Evidence(name, _value(sysctl, name)), remedy=remedy)

    if _value(sysctl, "kernel.apparmor_restrict_unprivileged_userns") not in {"", "0"}:
        return forbidden(
            "kernel.apparmor_restrict_unprivileged_userns",
            "AppArmor lets only programs with a profile make user namespaces",
            "Give bubblewrap a profile: write "
            f"`abi <abi/4.0>, profile perijove-bwrap {bwrap} flags=(unconfined) {{ userns, }}` "
            "to /etc/apparmor.d/perijove-bwrap and run `apparmor_parser -r /etc/apparmor.d/perijove-bwrap`; "
            "or, for every program, `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`.",
        )
    if _value(sysctl, "kernel.unprivileged_userns_clone") == "0":
        return forbidden(
            "kernel.unprivileged_userns_clone",
            "the kernel lets only root make user namespaces",
            "Set it: `sysctl -w kernel.unprivileged_userns_clone=1`, and in a file of /etc/sysctl.d to keep it.",
        )
    if _value(sysctl, "user.max_user_namespaces") in {"0", "1", "2"}:
        return forbidden(
            "user.max_user_namespaces",
            "the kernel allows too few user namespaces",
            "Set it: `sysctl -w user.max_user_namespaces=65536`, and in a file of /etc/sysctl.d to keep it.",
        )
    if "ermission denied" not in words and "not permitted" not in words and "Read-only" not in words:
        return SANDBOX_FAILED("a sandbox that does nothing fails", said)
    if container:
        return NAMESPACES_FORBIDDEN(
            "the container around this service forbids namespaces",
            said,
            Evidence("/proc/1/cgroup, /.dockerenv, /run/.containerenv", "this is a container"),
            remedy="Run outside a container, or start it with a seccomp profile and AppArmor profile that allow user "
            "namespaces and an unmasked /proc (docker: --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined).",
        )
    return NAMESPACES_FORBIDDEN("the kernel refused bubblewrap, by no switch that is known", said)


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
