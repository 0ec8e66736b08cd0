"""Do sandboxes work here at all? One is really made; when it fails, the switch that forbids it is looked for.

In: the footing; out: nothing, or a failure that names the switch, what it says, and how to set it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from perijove.backends.pad import home, overlays
from perijove.backends.pad.footing import Footing
from perijove.backends.pad.quota import TRIED
from perijove.backends.pad.sandbox import system
from perijove.backends.pad.seccomp import program
from perijove.backends.pad.spawning import run_tool
from perijove.domain.failures import NAMESPACES_FORBIDDEN, SANDBOX_FAILED, Evidence, Fail, Failure
from perijove.domain.nouns import Overlay

SYSCTL = Path("/proc/sys")
LIMIT = 20.0
"""Seconds for a sandbox that does nothing."""
TRIAL = "cd /tried && echo y >> file && rm file && mkdir folder && mv folder another"


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


async def why_copied(footing: Footing, folder: Path) -> str:
    """Why no sandbox can write over folders of the service's, as the pad's log says too; `` where it can."""
    if footing.bwrap is None:
        return footing.copied
    here, why = folder / "overlay", ""
    await home.remove(here)
    try:
        here.mkdir(mode=0o755)
        why = await _over(footing, footing.bwrap, here)
    except (OSError, subprocess.SubprocessError, TimeoutError) as error:
        why = str(error)
    finally:
        overlays.clear(here)
        await home.remove(here)
    if why:
        print(f"environments are copied, for nothing can be laid over them: {why}", file=sys.stderr, flush=True)  # noqa: T201
    return why


async def _over(footing: Footing, bwrap: Path, here: Path) -> str:
    """Have a sandbox write over a folder; why that failed. Raises OSError."""
    uid, lower, own = footing.proxy_uid, here / "lower", here / "own"
    lower.mkdir(mode=0o755)
    for path in (lower / "file", lower):
        path.touch()
        footing.master.give(path)
    disk = await footing.disks.make(TRIED, own, uid) if footing.disks is not None else None
    try:
        own.mkdir(exist_ok=True)
        stack = Overlay((lower,), Path("/tried"))
        laid = await overlays.lay([stack], here, own, uid, footing.master, copied=False)
        argv = [*_beginning(bwrap), *laid[0].arguments, "--", "/bin/sh", "-c", TRIAL]
        status, words = await run_tool(argv, LIMIT, uid=uid)
        return words.strip()[-500:] or "it said nothing" if status else ""
    finally:
        if disk is not None:
            await disk.close()


def _argv(bwrap: Path, seccomp: int) -> list[str]:
    argv = [*_beginning(bwrap), "--seccomp", f"{seccomp}"]
    return [*argv, "--proc", "/proc", "--dev", "/dev", "--", "/usr/bin/true"]


def _beginning(bwrap: Path) -> list[str]:
    argv = [str(bwrap), "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"]
    argv += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for path in system().binds:
        argv += ["--ro-bind", path, path]
    for target, path in system().links:
        argv += ["--symlink", target, path]
    return argv


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
