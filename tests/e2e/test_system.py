"""The base and apt.txt for real: a Debian from a mirror, sessions on it, packages over it, and what cannot be had."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.backends.environments.system import bootstrap
from perijove.backends.environments.system.bases import NOTE, Base, certificates, choice
from perijove.backends.pad.client import Pad
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.failures import PYTHON_UNAVAILABLE, Fail
from perijove.domain.nouns import (
    Checkout,
    EnvironmentPlan,
    InstallSystem,
    PythonRequest,
    PythonSource,
    RepoAddress,
    ResolvedRepo,
)
from perijove.domain.settings import BuildSettings, FetchPythons
from perijove.domain.state import State
from perijove.domain.system_settings import PlatformSettings, Root
from tests.e2e.service import BASE, furnish, until
from tests.fakes import conda_channel
from tests.fakes.bases import environments_of, merged, shared_base
from tests.fakes.confined import do, spec
from tests.fakes.pads import furnished_pad, running_pad
from tests.fakes.ports import free_port
from tests.fakes.registry import Registry, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
ANY = PythonRequest("", PythonSource.DEFAULT)


@pytest.fixture
async def pad(module_state: State) -> AsyncIterator[Pad]:
    async with furnished_pad(module_state) as pad:
        yield pad


@pytest.fixture
def confined(module_state: State) -> Iterator[ConfinedCalls]:
    with closing(ConfinedCalls()) as confined:
        yield confined


@pytest.fixture
async def environments(module_state: State, pad: Pad, confined: ConfinedCalls) -> UvEnvironments:
    return environments_of(module_state, pad, confined)


@pytest.fixture(scope="module")
def base(module_state: State) -> Base:
    if not module_state.store.exists():
        furnish(module_state)
    return replace(shared_base(), path=module_state.bases / shared_base().key)


@pytest.fixture(autouse=True)
def shared(base: Base) -> None:
    """No test prepares it for itself."""


def plan(*names: str) -> EnvironmentPlan:
    return EnvironmentPlan(ANY, (InstallSystem("apt.txt", names),))


def checkout(state: State, commit: str = "c" * 40) -> Checkout:
    return Checkout(ResolvedRepo(RepoAddress("local", "r", "/r", "", "r"), commit, ""), state.checkouts / "r")


def remains(*folders: Path) -> list[str]:
    """What was begun and not made."""
    return [path.name for folder in folders for path in folder.iterdir() if path.name.startswith(".")]


WALK = """
import os
root = os.lstat("/").st_dev
found = []
for here, folders, names in os.walk("/"):
    folders[:] = [name for name in folders if os.lstat(os.path.join(here, name)).st_dev == root]
    found += [os.path.join(here, name) for name in (*folders, *names)]
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
answer = [found, mounts]
"""


async def test_a_session_on_the_base_sees_no_file_of_this_machine(
    pad: Pad, base: Base, module_state: State, tmp_path: Path
) -> None:
    await pad.start(replace(spec("walks", tmp_path, mounts=certificates()), root=base.root))
    found, mounts = await do(module_state, "walks", WALK, 60)
    ours = {"/home/jovyan", *(str(mount.target) for mount in certificates())}
    made = {"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf", "/root", "/run", *ours}
    there = [Path(path) for path in found]
    strange = [
        path
        for path in there
        if str(path) not in made and not any(os.path.lexists(f"{lay}{path}") for lay in base.root)
    ]
    assert strange == []
    assert len(there) > 1000
    inner = {path for path in mounts if not path.startswith(("/proc", "/dev"))}
    assert inner == {"/", "/tmp", *ours}


@pytest.mark.same_for_any_user
async def test_a_python_that_is_nowhere_here_is_fetched_where_the_operator_allows_it(
    environments: UvEnvironments, module_state: State, tmp_path: Path
) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}.99"
    packages = [conda_channel.cpython(version)]
    await asyncio.to_thread(conda_channel.make, tmp_path / "conda-forge", packages)
    wanted = replace(plan("tree"), python=PythonRequest(f"=={version}", PythonSource.REQUIRES_PYTHON))
    with pytest.raises(Fail) as refused:
        await environments.inputs(wanted, checkout(module_state), print)
    assert refused.value.failure.kind is PYTHON_UNAVAILABLE
    with conda_channel.served(tmp_path) as (address, _):
        mirrored = CondaSettings(mirrors={"conda-forge": f"{address}/conda-forge"})
        environments.apply(BuildSettings(fetch_pythons=FetchPythons.CONDA), mirrored)
        inputs = await environments.inputs(wanted, checkout(module_state), print)
    assert inputs.wanted.conda is not None
    assert inputs.wanted.conda.python == version


@pytest.mark.same_for_any_user
async def test_names_that_there_are_none_of_are_told_with_the_nearest(
    environments: UvEnvironments, module_state: State
) -> None:
    wanted = plan("tree", "openjdk-8-jre-headless", "libgl1-mesa-glx", "mail-transport-agent")
    with pytest.raises(Fail) as caught:
        await environments.inputs(wanted, checkout(module_state), print)
    failure = caught.value.failure
    assert failure.kind.code == "build.no-such-system-package"
    assert "openjdk-8-jre-headless (the nearest that there is: openjdk-2" in failure.cause
    assert "mail-transport-agent" in failure.cause
    assert "tree" not in [evidence.saw for evidence in failure.evidence]


@pytest.mark.same_for_any_user
async def test_packages_that_exclude_one_another_are_refused(environments: UvEnvironments, module_state: State) -> None:
    with pytest.raises(Fail) as caught:
        await environments.inputs(plan("exim4-daemon-light", "postfix"), checkout(module_state), print)
    assert caught.value.failure.kind.code == "build.system-conflict"


async def test_a_commit_stays_as_it_was_decided_and_equal_sets_are_one_layer(
    environments: UvEnvironments, base: Base, module_state: State
) -> None:
    first = (await environments.inputs(plan("tree"), checkout(module_state), print)).system
    told: list[str] = []
    again = (await environments.inputs(plan("tree"), checkout(module_state), told.append)).system
    assert first is not None
    assert first == again
    assert first.packages
    assert told == [], "nothing was asked again"
    other = (await environments.inputs(plan("tree", "dash"), checkout(module_state, "d" * 40), print)).system
    assert other is not None
    assert other.key == first.key, "dash is in the base"
    had = (await environments.inputs(plan("dash"), checkout(module_state), print)).system
    assert had is not None
    assert not had.packages


@pytest.mark.same_for_any_user
async def test_apt_txt_is_refused_where_environments_stand_on_this_machine(
    pad: Pad, confined: ConfinedCalls, module_state: State
) -> None:
    environments = environments_of(module_state, pad, confined, replace(BASE, root=Root.HOST))
    with pytest.raises(Fail) as caught:
        await environments.inputs(plan("tree"), checkout(module_state), print)
    assert caught.value.failure.kind.code == "build.apt-unavailable"
    assert caught.value.failure.evidence[0].saw == "tree"


@pytest.mark.same_for_any_user
async def test_all_environments_stand_on_the_base_where_the_operator_says_so(
    pad: Pad, confined: ConfinedCalls, module_state: State, base: Base
) -> None:
    environments = environments_of(module_state, pad, confined, replace(BASE, root=Root.BASE))
    inputs = await environments.inputs(EnvironmentPlan(ANY, ()), checkout(module_state), print)
    assert inputs.system is not None
    assert inputs.system.base == base.key
    assert not inputs.system.packages
    assert inputs.interpreter == base.interpreter


async def test_a_python_of_this_machine_that_runs_on_the_base_is_taken_where_it_is_asked_for(
    pad: Pad, confined: ConfinedCalls, module_state: State, base: Base, tmp_path: Path
) -> None:
    environments = environments_of(module_state, pad, confined, replace(BASE, root=Root.BASE))
    here = await environments.uv.interpreters.installed()
    ours = next((one for one in here if one.minor == "3.11" and not one.prefix.is_relative_to("/usr")), None)
    if ours is None:
        pytest.skip("this machine has no Python 3.11 outside of /usr")
    wish = PythonRequest("==3.11.*", PythonSource.RUNTIME_TXT)
    await environments.prepare(print)
    inputs = await environments.inputs(EnvironmentPlan(wish, ()), checkout(module_state), print)
    assert inputs.interpreter == replace(ours, glibc=base.glibc)
    environment = await environments.build(inputs, inputs.checkout.repo, print)
    sandbox = replace(
        spec("elsewhere", tmp_path, mounts=environment.mounts), overlays=environment.overlays, root=environment.root
    )
    await pad.start(sandbox)
    ask = "import subprocess; answer = subprocess.check_output([{!r}, '-c', {!r}], text=True)"
    said = "import sys, ssl, ipykernel, platform; print(sys.base_prefix, sys.version[:4], platform.libc_ver()[1])"
    answer = await do(module_state, "elsewhere", ask.format(f"{environment.path}/bin/python", said), 60)
    assert answer.split() == [str(ours.prefix), "3.11", base.glibc]


async def test_a_python_that_does_not_run_on_the_base_is_told_once_and_the_nearest_is_taken(
    environments: UvEnvironments, base: Base, module_state: State, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "python3.9"
    program.parent.mkdir()
    told = json.dumps({"version": "3.9.99", "prefix": str(tmp_path), "name": "cpython", "level": "final"})
    program.write_text(f"#!/bin/sh\ngrep -q trixie /etc/os-release && echo no libssl >&2 && exit 1\necho '{told}'\n")
    program.chmod(0o755)
    environments.apply(BuildSettings(pythons=(str(program),)), None, replace(BASE, root=Root.BASE))
    wanted = EnvironmentPlan(PythonRequest("==3.9.99", PythonSource.RUNTIME_TXT), ())
    lines: list[str] = []
    for _ in range(2):
        inputs = await environments.inputs(wanted, checkout(module_state), lines.append)
        assert inputs.interpreter.version != "3.9.99"
        assert inputs.interpreter.glibc == base.glibc
    assert lines.count("Python 3.9.99 of this machine does not run on the base: no libssl") == 1
    assert sum("(runtime.txt) is not installed here; the nearest" in line for line in lines) == 2


async def test_without_sandboxes_there_is_no_base(state: State, tmp_path: Path) -> None:
    async with running_pad(state, "none") as pad:
        with pytest.raises(Fail) as caught:
            await pad.start(replace(spec("none", tmp_path), root=(tmp_path,)))
    assert caught.value.failure.kind.code == "platform.no-root"


@pytest.mark.same_for_any_user
async def test_a_mirror_that_is_gone_is_told_and_older_lists_are_used(
    pad: Pad, confined: ConfinedCalls, module_state: State, base: Base
) -> None:
    gone = replace(BASE, mirror=f"http://127.0.0.1:{free_port()}/debian", security_mirror="", lists_max_age=0)
    systems = environments_of(module_state, pad, confined, gone).systems
    choice(module_state, gone).write_text(base.key)
    lists = module_state.apt_lists
    aside = lists.with_name("lists-aside")
    try:
        if lists.exists():
            lists.rename(aside)
        lists.mkdir()
        with pytest.raises(Fail) as caught:
            await systems.wanted(plan("tree"), checkout(module_state, "e" * 40), print)
        assert caught.value.failure.kind.code == "build.mirror-unreachable"
        assert remains(lists, module_state.apt) == []
    finally:
        shutil.rmtree(lists)
        if aside.exists():
            aside.rename(lists)
    await environments_of(module_state, pad, confined).systems.wanted(
        plan("tree"), checkout(module_state, "f" * 40), print
    )
    told: list[str] = []
    found = await systems.wanted(plan("tree"), checkout(module_state, "e" * 40), told.append)
    assert found is not None
    assert found.packages
    assert any("What it listed before is used" in line for line in told)


@pytest.mark.parametrize(
    "line", [pytest.param("Fetching", marks=pytest.mark.same_for_any_user), "Unpacking tree"], ids=["fetch", "unpack"]
)
async def test_a_build_that_is_cut_off_leaves_nothing_and_the_next_one_goes_on(
    environments: UvEnvironments, base: Base, module_state: State, line: str
) -> None:
    systems, at = environments.systems, checkout(module_state, "1" * 40)
    system = await systems.wanted(plan("tree"), at, print)
    assert system is not None
    shutil.rmtree(module_state.layers / system.key, ignore_errors=True)
    for one in system.packages:
        (module_state.apt_archives / one.archive).unlink(missing_ok=True)
    reached = asyncio.Event()

    def tell(said: str) -> None:
        if said.startswith(line):
            reached.set()

    making = asyncio.create_task(systems.made(system, at.repo, tell, nullcontext), name="cut off")
    async with asyncio.timeout(120):
        await reached.wait()
    making.cancel()
    await asyncio.wait([making])
    assert not (module_state.layers / system.key).exists()
    assert remains(module_state.layers, module_state.apt) == []
    root = await systems.made(system, at.repo, print, nullcontext)
    standing = systems.standing(root)
    assert standing is not None
    assert (standing.root[-1] / "usr/bin/tree").is_file()


async def test_what_was_decided_is_installed_whatever_the_mirror_lists_by_then(
    environments: UvEnvironments, base: Base, module_state: State
) -> None:
    systems, at = environments.systems, checkout(module_state, "2" * 40)
    system = await systems.wanted(plan("tree"), at, print)
    assert system is not None
    shutil.rmtree(module_state.layers / system.key, ignore_errors=True)
    later = module_state.apt_lists / f"{base.key}-{10**20 - 1}"
    later.mkdir()
    try:
        standing = systems.standing(await systems.made(system, at.repo, print, nullcontext))
    finally:
        later.rmdir()
    assert standing is not None
    assert (standing.root[-1] / "usr/bin/tree").is_file()


async def prepared(state: State, pad: Pad, confined: ConfinedCalls, source: str) -> tuple[Base, list[str]]:
    told: list[str] = []
    settings = replace(BASE, base=source)
    return await environments_of(state, pad, confined, settings).systems.bases.ready(told.append), told


@pytest.mark.same_for_any_user
async def test_a_base_comes_from_an_image_of_a_registry_as_well(
    pad: Pad, confined: ConfinedCalls, module_state: State, base: Base, tmp_path: Path
) -> None:
    """A tar or a folder goes the same way from there on: `test_bases.py`."""
    packed = Path(shutil.make_archive(str(tmp_path / "base"), "tar", merged(base, tmp_path / "merged")))
    with served(Registry([packed.read_bytes()])) as registry:
        found, told = await prepared(module_state, pad, confined, registry.image)
    assert (found.packages, found.python, found.glibc) == (base.packages, base.python, base.glibc)
    assert found.key != base.key
    assert found.path.parent == module_state.bases
    assert told[0].startswith("Preparing the base")
    assert told[-1].startswith("The base is prepared: ")
    assert remains(module_state.bases) == []
    await environments_of(module_state, pad, confined).systems.bases.remove(found.key, [base.key])
    assert not found.path.exists()


@pytest.mark.same_for_any_user
@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (replace(BASE, suite="nonesuch"), "platform.base-failed"),
        (replace(BASE, mirror="http://127.0.0.1:9/debian"), "platform.base-unreachable"),
        (replace(BASE, base="/nowhere/base.tar"), "platform.base-unreachable"),
        (replace(BASE, base=str(Path(__file__).parents[1] / "repos")), "platform.base-unusable"),
    ],
    ids=["suite", "mirror", "path", "no-debian"],
)
async def test_a_base_that_cannot_be_prepared_is_told_and_leaves_nothing(
    pad: Pad, confined: ConfinedCalls, module_state: State, settings: PlatformSettings, code: str
) -> None:
    before = set(os.listdir(module_state.bases))
    with pytest.raises(Fail) as caught:
        await environments_of(module_state, pad, confined, settings).systems.bases.ready(print)
    assert caught.value.failure.kind.code == code, caught.value.failure
    assert set(os.listdir(module_state.bases)) == before


@pytest.mark.same_for_any_user
async def test_what_has_been_removed_is_missing(environments: UvEnvironments) -> None:
    assert environments.systems.standing("nonesuch") is None
    with pytest.raises(Fail) as caught:
        environments.systems.interpreter_of("nonesuch")
    assert caught.value.failure.kind.code == "platform.base-missing"


@pytest.mark.same_for_any_user
async def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    release = bootstrap.Release(BASE.suite, BASE.mirror, {}, "/usr/bin/no-such-mmdebstrap")
    with pytest.raises(Fail) as caught:
        await bootstrap.made(release, tmp_path, tell=print)
    assert caught.value.failure.kind.code == "platform.base-missing"


@pytest.mark.same_for_any_user
async def test_a_base_that_is_cut_off_leaves_nothing(pad: Pad, confined: ConfinedCalls, module_state: State) -> None:
    bases = environments_of(module_state, pad, confined, replace(BASE, packages=("python3", "tree"))).systems.bases
    reached, before = asyncio.Event(), set(os.listdir(module_state.bases))

    def tell(line: str) -> None:
        if "Unpacking" in line or "extracting" in line:
            reached.set()

    making = asyncio.create_task(bases.ready(tell), name="cut off")
    async with asyncio.timeout(300):
        await reached.wait()
    making.cancel()
    await asyncio.wait([making])
    until(lambda: set(os.listdir(module_state.bases)) == before)
    assert bases.chosen() is None


@pytest.mark.same_for_any_user
async def test_a_base_that_environments_stand_on_stays(environments: UvEnvironments, base: Base) -> None:
    with pytest.raises(Fail) as caught:
        await environments.systems.bases.remove(base.key, [base.key])
    assert caught.value.failure.kind.code == "platform.base-in-use"
    assert (base.path / NOTE).is_file()
