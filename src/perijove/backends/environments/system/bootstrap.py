"""Has mmdebstrap fetch and unpack the packages that a Debian begins with. Lives in a confined process.

They are unpacked alone, which takes no rights at all: their scripts run in a sandbox afterwards.
Raises Fail: `platform.base-missing`, `platform.base-unreachable`, `platform.base-failed`,
`build.disk-full`. Raises Beyond: it was killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.environments import complaints
from perijove.backends.environments.installer import ends_with_its_parent, lines
from perijove.domain.confinement import Beyond, Limit
from perijove.domain.failures import BUILD_DISK, Evidence, Fail, Failure
from perijove.domain.ports import Tell
from perijove.domain.system_failures import BASE_FAILED, BASE_MISSING, BASE_UNREACHABLE

PROGRAM = "mmdebstrap"
PATHS = "/usr/bin:/usr/local/bin:/bin"
DEBS = "var/cache/apt/archives"
"""Where the packages lie that are still to be configured."""
_UNREACHABLE = (
    "Temporary failure resolving",
    "Could not connect",
    "Connection failed",
    "Unable to connect",
    "timed out",
    "Failed to fetch",
)
_KILLED = re.compile(r"received signal (?:9|15)\b|[Kk]illed by signal|died unexpectedly")
"""A process of its, in its words or apt's."""
_OPTIONS = (
    *("--mode=chrootless", "--variant=extract", "--format=directory", "--include=?essential", "--include=apt"),
    "--skip=check/empty,check/chrootless,cleanup/apt,essential/unlink,output/dev",
    '--aptopt=APT::Sandbox::User "root"',
    '--aptopt=APT::Install-Recommends "false"',
)


@dataclass(frozen=True, slots=True)
class Release:
    """Which release, from where."""

    suite: str
    mirror: str
    environ: dict[str, str]
    """What apt needs to know of this machine's way to the network."""
    program: str = PROGRAM


def program(name: str = PROGRAM) -> str | None:
    """Where it is; None where it is not installed."""
    return shutil.which(name, path=PATHS)


def missing(name: str) -> Failure:
    """It is not installed."""
    return BASE_MISSING(f"platform.base is {PROGRAM}, which is not installed", Evidence(name, f"not in {PATHS}"))


def _killed(said: Sequence[str]) -> bool:
    """Whether a process of its was ended by somebody else: of apt itself mmdebstrap tells just that it failed."""
    if any(_KILLED.search(line) for line in said):
        return True
    failed = [line.startswith(("E: apt-get ", f"E: {PROGRAM} ")) for line in said if line.startswith(("E:", "Err:"))]
    return any(line.startswith("E: apt-get ") for line in said) and all(failed)


async def made(release: Release, work: Path, *, tell: Tell) -> str:
    """The folder `raw` in `work`; what names its content."""
    found = program(release.program)
    if found is None:
        raise Fail(missing(release.program))
    raw = work / "raw"
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(work), "TMPDIR": str(work), "LC_ALL": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        *(found, *_OPTIONS, release.suite, str(raw), release.mirror),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environ | release.environ,
        cwd=work,
        preexec_fn=ends_with_its_parent,
    )
    assert process.stdout is not None
    said: list[str] = []
    async for line in lines(process.stdout):
        said.append(line)
        del said[:-100]
        tell(line)
    status = await process.wait()
    if status < 0 or _killed(said):
        raise Beyond(Limit.KILLED, f"a {PROGRAM} that nobody ends")
    if status:
        unreachable = any(words in line for line in said for words in _UNREACHABLE)
        full = any(complaints.FULL.search(line) for line in said)
        kind = BUILD_DISK if full else BASE_UNREACHABLE if unreachable else BASE_FAILED
        raise Fail(kind(f"{PROGRAM} failed", Evidence(PROGRAM, "\n".join(said[-20:]))))
    for name in ("etc/resolv.conf", "etc/hostname", "etc/apt/sources.list"):  # this machine's
        (raw / name).unlink(missing_ok=True)
    packages = sorted(os.listdir(raw / DEBS))
    return hashlib.sha256("\n".join(packages).encode()).hexdigest()
