"""Who works for a base or an apt.txt is killed, their mirror is gone: it is told, nothing half-made, the next is well.

The base is made of the test run's own, and trusts the key of a repository of ours: all that apt fetches comes from it.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import psutil
import pytest

from perijove.backends.confined.client import ConfinedCalls
from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.e2e.faulty_launches import PAD, Launch, end_stopped, go_on, half_made, kill, repository, stopped
from tests.e2e.service import BASE, Service, furnish, until
from tests.fakes.apt_repository import AptRepository, Deb
from tests.fakes.bases import environments_of, merged, shared_base
from tests.fakes.files_served import Files, How, served
from tests.fakes.foreign import UnconfinedForeignCode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
STOPS = "echo stopped; kill -STOP $$"
NUMBERS = count()
"""Each test has packages of its own: what one has fetched is there for all others."""


def tarred(*members: tuple[str, int, bytes, bytes | str]) -> bytes:
    """A data.tar: paths, modes, types and, after them, content or where a link leads."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, mode, kind, content in members:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.type = mode, kind
            if isinstance(content, str):
                entry.linkname = content
            else:
                entry.size = len(content)
            entry.devmajor, entry.devminor = 8, 0
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return packed.getvalue()


FILE, LINK, HARD, DEVICE, PIPE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
OUTSIDE = "perijove-was-here"
SLEEP = f"sleep {10_000 + os.getpid()}"
"""Tells its processes from those of other tests."""
FORKS = f"n=0; while [ $n -lt 3000 ]; do {SLEEP} & n=$((n+1)); done"
REFUSED = "build.system-install-failed"
HOSTILE = {
    "set-id": (Deb("set-id", data=tarred(("./usr/bin/evil", 0o6755, FILE, b"#!/bin/sh\n"))), ""),
    "device": (Deb("device", data=tarred(("./usr/bin/sda", 0o666, DEVICE, b""))), REFUSED),
    "pipe": (Deb("pipe", data=tarred(("./usr/bin/pipe", 0o666, PIPE, b""))), ""),
    "line": (Deb("line", data=tarred(("./usr/share/two\nlines", 0o644, FILE, b"x"))), REFUSED),
    "out": (Deb("out", data=tarred(("./usr/share/out", 0o777, LINK, "/proc/1/root"))), ""),
    "upwards": (Deb("upwards", data=tarred((f"../../../../../tmp/{OUTSIDE}", 0o644, FILE, b"x"))), ""),
    "through": (
        Deb(
            "through",
            data=tarred(("./usr/share/t", 0o777, LINK, "/tmp"), (f"./usr/share/t/{OUTSIDE}", 0o644, FILE, b"x")),
        ),
        REFUSED,
    ),
    "shadow": (Deb("shadow", data=tarred(("./usr/share/shadow", 0o644, HARD, "./etc/shadow"))), REFUSED),
    "leaves": (Deb("leaves", scripts={"postinst": f"setsid {SLEEP} >/dev/null 2>&1 &"}), ""),
    "fills": (Deb("fills", scripts={"postinst": "cat /dev/zero > /usr/share/zeros"}), "build.too-large"),
    "forks": (Deb("forks", scripts={"postinst": FORKS}), REFUSED),
    "writes": (
        Deb("writes", scripts={"postinst": f"echo x > /var/cache/apt/archives/{OUTSIDE}"}),
        REFUSED,
    ),
    "reaches": (
        Deb(
            "reaches",
            scripts={"postinst": "exec python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 22), 5)'"},
        ),
        REFUSED,
    ),
    "broken": (Deb("broken", data=b"this is no archive"), REFUSED),
}


PACKAGES = [
    Deb("first", scripts={"postinst": STOPS}),
    *(Deb(f"moon{number}", files={f"usr/bin/moon{number}": b"#!/bin/sh\n"}) for number in range(30)),
    *(deb for deb, _ in HOSTILE.values()),
    *(Deb(f"stops{number}", scripts={"postinst": STOPS}) for number in range(10)),
]


@dataclass(frozen=True)
class World:
    """A service whose base comes from a file of ours, and whose mirror is ours."""

    service: Service
    mirror: Files

    def forget_lists(self) -> None:
        """What the mirror listed before is not there."""
        for path in self.service.state.apt_lists.iterdir():
            shutil.rmtree(path)


@pytest.fixture(scope="module")
def world(module_state: State) -> Iterator[World]:
    furnish(module_state)
    for path in (module_state.bases, module_state.layers, module_state.apt):  # nobody else's
        path.unlink()
    root = module_state.root / "served"
    root.mkdir()
    mirror = AptRepository(root, BASE.suite)
    mirror.publish(*PACKAGES)
    base = merged(shared_base(), module_state.root / "base")
    (base / "etc/apt/trusted.gpg.d/tests.gpg").write_bytes(mirror.key)
    packed = shutil.make_archive(str(base), "tar", base)
    shutil.rmtree(base)
    with served(root) as files:
        service = Service(module_state, {"LAUNCHING_RETRIES": "0", "BUILD_DISK": "256 MB"})
        platform = {"base": packed, "packages": [*BASE.packages, "first"], "mirror": files.url}
        told = {**platform, "suite": BASE.suite, "security_mirror": "", "lists_max_age": 0}
        service.config.write_text("\n".join(["[platform]", *(f"{k} = {json.dumps(v)}" for k, v in told.items()), ""]))
        service.up()
        try:
            yield World(service, files)
        finally:
            service.stop()
            mirror.close()


@pytest.fixture
def well(world: World) -> Iterator[None]:
    """There is a base, and nothing is left of a fault for the next test."""
    if not any(path.is_dir() for path in world.service.state.bases.iterdir()):
        launch = Launch(world.service, repository(world.service.state.root / "r", apt__txt="moon0\n"))
        launch.at(lambda: stopped(world.service))
        go_on(world.service)
        launch.ready()
    yield
    world.mirror.be_well()
    end_stopped(world.service)


def test_a_base_is_prepared_whatever_was_killed_before(world: World, tmp_path: Path) -> None:
    service, link = world.service, repository(tmp_path / "r", apt__txt="moon0\n")
    world.mirror.misbehave("InRelease", How.HELD)
    launch = Launch(service, link)
    launch.at(world.mirror.met.is_set)
    kill(service, "apt-get")
    launch.fails("platform.killed")
    assert half_made(service.state) == []
    world.mirror.be_well()
    launch = Launch(service, link)
    launch.at(lambda: stopped(service))
    kill(service, "dpkg")
    launch.fails("platform.killed")
    assert half_made(service.state) == []
    launch = Launch(service, link)
    launch.at(lambda: stopped(service))
    service.kill()
    service.up()
    until(lambda: half_made(service.state) == [])
    launch = Launch(service, link)
    launch.at(lambda: stopped(service))
    go_on(service)
    launch.ready()
    assert half_made(service.state) == []
    assert len([path for path in service.state.bases.iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("victim", ["mmdebstrap", "apt-get", "http"])
async def test_mmdebstrap_that_is_killed_is_told_as_that(state: State, tmp_path: Path, victim: str) -> None:
    with served(tmp_path) as mirror, closing(ConfinedCalls()) as confined:
        mirror.misbehave("InRelease", How.HELD)
        settings = replace(BASE, mirror=mirror.url)
        bases = environments_of(state, UnconfinedForeignCode(), confined, settings).systems.bases
        making = asyncio.create_task(bases.ready(print), name="base")
        assert await asyncio.to_thread(mirror.met.wait, 60)
        for process in psutil.Process().children(recursive=True):
            if process.name() == victim:
                process.kill()
        with pytest.raises(Fail) as caught:
            await making
    assert caught.value.failure.kind.code == "platform.killed", caught.value.failure
    assert list(state.bases.iterdir()) == []


@dataclass(frozen=True)
class Step:
    """Which package is wanted, what is held back of what it needs (or: it stops itself), who is killed, the code."""

    package: str
    held: str
    victim: str
    code: str = "platform.killed"

    def reached(self, world: World, launch: Launch) -> None:
        launch.at(world.mirror.met.is_set if self.held else lambda: stopped(world.service))


STEPS = {
    "apt, as it lists": Step("moon", "InRelease", "apt-get"),
    "its method, as it lists": Step("moon", "InRelease", "http"),
    "apt, as it fetches": Step("moon", ".deb", "apt-helper"),
    "its method, as it fetches": Step("moon", ".deb", "http"),
    "the fetching sandbox": Step("moon", ".deb", "bwrap"),
    "apt, as it installs": Step("stops", "", "apt-get"),
    "dpkg": Step("stops", "", "dpkg"),
    "the installing sandbox": Step("stops", "", "bwrap"),
    "the pad": Step("stops", "", PAD, "platform.pad-down"),
}


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_who_is_killed_is_told_as_that_and_the_next_launch_is_well(world: World, tmp_path: Path, step: Step) -> None:
    world.forget_lists()
    link = repository(tmp_path / "r", apt__txt=f"{step.package}{next(NUMBERS)}\n")
    world.mirror.misbehave(step.held, How.HELD)
    launch = Launch(world.service, link)
    step.reached(world, launch)
    kill(world.service, step.victim)
    launch.fails(step.code)
    world.mirror.be_well()
    until(lambda: not half_made(world.service.state))
    launch = Launch(world.service, link)
    if not step.held:
        step.reached(world, launch)
        go_on(world.service)
    launch.ready()
    assert half_made(world.service.state) == []


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize(
    ("part", "how"),
    [
        ("InRelease", How.BUSY),
        ("InRelease", How.CLOSED),
        ("Packages", How.HALF),
        (".deb", How.BUSY),
        (".deb", How.HALF),
        (".deb", How.ZEROS),
    ],
)
def test_a_mirror_that_fails_is_told_and_the_next_launch_is_well(
    world: World, tmp_path: Path, part: str, how: How
) -> None:
    world.forget_lists()
    link = repository(tmp_path / "r", apt__txt=f"moon{next(NUMBERS)}\n")
    world.mirror.misbehave(part, how)
    Launch(world.service, link).fails("build.mirror-unreachable")
    assert half_made(world.service.state) == []
    world.mirror.be_well()
    Launch(world.service, link).ready()
    assert half_made(world.service.state) == []


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize(("name", "code"), [(name, code) for name, (_, code) in HOSTILE.items()])
def test_a_hostile_package_gets_no_further_than_its_layer(world: World, tmp_path: Path, name: str, code: str) -> None:
    state = world.service.state
    before = set(state.layers.iterdir())
    launch = Launch(world.service, repository(tmp_path / "r", apt__txt=f"{name}\n"))
    if code:
        launch.fails(code)
    else:
        launch.ready()
    assert half_made(state) == []
    found = [*Path("/tmp").glob(OUTSIDE), *state.store.rglob(OUTSIDE)]
    made = set(state.layers.iterdir()) - before
    assert len(made) == (0 if code else 1)
    assert [path for path in found if not any(path.is_relative_to(layer / "root") for layer in made)] == []
    modes = [os.lstat(path) for layer in made for path in layer.rglob("*")]
    assert not any(stat.S_ISREG(one.st_mode) and one.st_mode & 0o6000 for one in modes)
    assert not any(stat.S_ISBLK(one.st_mode) or (stat.S_ISCHR(one.st_mode) and one.st_rdev) for one in modes)
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == SLEEP.split()]
