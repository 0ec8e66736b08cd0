"""Packages of apt.txt over the base, beside apt-get in a chroot of a copy of it, with the same packages, in turns."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import closing, nullcontext
from pathlib import Path

from bench import machine
from bench.figures import Part, Row
from perijove.backends import statedir
from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments.system.bases import Base
from perijove.backends.environments.system.systems import Systems
from perijove.domain.nouns import (
    Checkout,
    EnvironmentPlan,
    InstallSystem,
    PythonRequest,
    PythonSource,
    RepoAddress,
    ResolvedRepo,
)
from perijove.domain.state import State
from tests.fakes.bases import environments_of, merged
from tests.fakes.pads import running_pad

NAMES = ("tree", "jq", "graphviz", "gnuplot-nox", "pandoc")
"""From one package to a hundred, with fonts and triggers."""
LIMIT = 900.0
APT = ("apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0")


def system(patience: float) -> Part:
    """Each package once by us, once by apt-get, as root; the base and the lists stand before."""
    part = Part("system", "Packages of the system, seconds until they stand", "apt-get in a chroot")
    root = Path(tempfile.mkdtemp(prefix="perijove-bench-system-"))
    root.chmod(0o711)
    try:
        asyncio.run(_measured(part, State(root / "state"), root / "chroot", patience))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return part


async def _measured(part: Part, state: State, chroot: Path, patience: float) -> None:
    state.root.mkdir(mode=0o711)
    statedir.prepare(state)
    async with running_pad(state) as pad:
        with closing(ConfinedCalls()) as confined:
            systems = environments_of(state, pad, confined).systems
            began = time.monotonic()
            base = await systems.bases.ready(_unheard)
            part.rows.append(Row("the base, by mmdebstrap", [time.monotonic() - began]))
            await _ours(systems, state, "bc")  # the lists come
            if apart := os.geteuid() == 0:
                await asyncio.to_thread(_copy, base, chroot)
            for name in NAMES:
                machine.quiet(patience)
                ours, count = await _ours(systems, state, name)
                theirs = [await asyncio.to_thread(_alone, chroot, chroot.with_name(name), name)] if apart else []
                part.rows.append(Row(f"{name}: {count} packages", [ours], theirs))


async def _ours(systems: Systems, state: State, name: str) -> tuple[float, int]:
    """Decided, fetched, installed; seconds, and how many packages came."""
    plan = EnvironmentPlan(PythonRequest("", PythonSource.DEFAULT), (InstallSystem("apt.txt", (name,)),))
    repo = ResolvedRepo(RepoAddress("local", name, f"/{name}", "", name), "c" * 40, "")
    began = time.monotonic()
    wanted = await systems.wanted(plan, Checkout(repo, state.checkouts / name), _unheard)
    assert wanted is not None
    await systems.made(wanted, repo, _unheard, nullcontext)
    return time.monotonic() - began, len(wanted.packages)


def _copy(base: Base, chroot: Path) -> None:
    """The base as one folder that apt-get alone can work in."""
    merged(base, chroot)
    shutil.copy("/etc/resolv.conf", chroot / "etc/resolv.conf")
    _chroot(chroot, *APT, "update")


def _alone(chroot: Path, copy: Path, name: str) -> float:
    """In a copy of its own, which is made before the clock starts."""
    subprocess.run(["cp", "-a", chroot, copy], check=True)
    began = time.monotonic()
    _chroot(copy, *APT, "install", "--no-install-recommends", name)
    return time.monotonic() - began


def _chroot(chroot: Path, *command: str) -> None:
    proxies = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", **proxies}
    command = ("chroot", str(chroot), *command)
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT)


def _unheard(line: str) -> None:
    """Nobody waits for it here."""
