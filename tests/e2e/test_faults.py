"""Who works for a launch is killed at each step, what it fetches is gone: nothing is half-made, the next one is well.

A step is known by what is asked of a server of the test's, or by a script that has stopped itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from perijove.domain.state import State
from tests.e2e.faulty_launches import PAD, Launch, end_stopped, go_on, half_made, kill, repository, stopped
from tests.e2e.service import Service, until
from tests.fakes.files_served import Files, How, served
from tests.fakes.package_index import wheel

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NUMBERS = count()
"""Each test has packages of its own: what one has fetched is there for all others."""
STOPS = "echo stopped; kill -STOP $$\n"
CONFINED = "perijove.backends.confined.process"


@dataclass(frozen=True)
class World:
    """A service that fetches from a server of ours."""

    service: Service
    files: Files
    index: Path

    def package(self, name: str) -> str:
        """A new package of the index; its requirement."""
        folder = self.index / name
        path = wheel(folder, name, "1.0", "x = 1\n")
        (folder / "index.html").write_text(f"<a href='{path.name}'>{path.name}</a>")
        return f"{name}==1.0\n"


@pytest.fixture(scope="module")
def world(module_state: State) -> Iterator[World]:
    root = module_state.root / "served"
    index = root / "index"
    index.mkdir(parents=True)
    words = [sys.executable, "-m", "tests.fakes.conda_channel", "stopping", str(root)]
    subprocess.run(words, check=True, cwd=Path(__file__).parents[2])
    with served(root) as files:
        service = Service(module_state, {"LAUNCHING_RETRIES": "0"}, environ={"UV_INDEX": f"{files.url}/index"})
        service.config.write_text(f'[conda]\nmirrors = {{"conda-forge" = "{files.url}/conda-forge"}}\n')
        service.up()
        try:
            yield World(service, files, index)
        finally:
            service.stop()


@pytest.fixture(autouse=True)
def well(world: World) -> Iterator[None]:
    """Nothing is left of a fault for the next test."""
    yield
    world.files.be_well()
    end_stopped(world.service)


def packages(world: World, at: Path) -> str:
    return repository(at, requirements__txt=world.package(f"moon{next(NUMBERS)}"))


def conda(_world: World, at: Path, *specs: str) -> str:
    moon = f"moon{next(NUMBERS)}"
    return repository(at, environment__yml=f"dependencies: {json.dumps([moon, *specs])}\n")


def activation(world: World, at: Path) -> str:
    return conda(world, at, "stops")


def post_link(world: World, at: Path) -> str:
    return conda(world, at, "links")


def post_build(_world: World, at: Path) -> str:
    return repository(at, postBuild=STOPS)


@dataclass(frozen=True)
class Step:
    """What is launched, what is held back of what it fetches (or: its script stops itself), who is killed, the code."""

    link: Callable[[World, Path], str]
    held: str
    victim: str
    code: str = "platform.killed"

    def reached(self, world: World, launch: Launch) -> None:
        launch.at(world.files.met.is_set if self.held else lambda: stopped(world.service))

    def goes_on(self, world: World, launch: Launch) -> None:
        """To a session."""
        world.files.be_well()
        if not self.held:
            self.reached(world, launch)
            go_on(world.service)
        launch.ready()


STEPS = {
    "uv, as it fetches": Step(packages, ".whl", "uv"),
    "uv's process": Step(packages, ".whl", CONFINED),
    "rattler, as it decides": Step(conda, "repodata", CONFINED),
    "rattler, as it fetches": Step(conda, "moon", CONFINED),
    "a conda package's post-link script": Step(post_link, "", "bash"),
    "a conda environment's activation": Step(activation, "", "bash"),
    "its sandbox": Step(activation, "", "bwrap"),
    "the pad, meanwhile": Step(activation, "", PAD, "platform.pad-down"),
    "postBuild": Step(post_build, "", "sh"),
    "postBuild's parent": Step(post_build, "", "running.py"),
    "postBuild's sandbox": Step(post_build, "", "bwrap"),
    "postBuild's pad": Step(post_build, "", PAD, "platform.pad-down"),
}


OF_THE_SERVICE = ["uv, as it fetches", "rattler, as it fetches", "a conda environment's activation", "postBuild"]
"""Steps at which the whole service is killed."""


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_who_is_killed_is_told_as_that_and_the_next_launch_is_well(world: World, tmp_path: Path, step: Step) -> None:
    link = step.link(world, tmp_path / "r")
    world.files.misbehave(step.held, How.HELD)
    launch = Launch(world.service, link)
    step.reached(world, launch)
    kill(world.service, step.victim)
    launch.fails(step.code)
    world.files.be_well()
    until(lambda: not half_made(world.service.state))
    step.goes_on(world, Launch(world.service, link))
    assert half_made(world.service.state) == []


@pytest.mark.parametrize("name", OF_THE_SERVICE)
def test_a_service_that_is_killed_leaves_nothing_half_made_and_goes_on(world: World, tmp_path: Path, name: str) -> None:
    step = STEPS[name]
    link = step.link(world, tmp_path / "r")
    world.files.misbehave(step.held, How.HELD)
    step.reached(world, Launch(world.service, link))
    world.service.kill()
    world.files.be_well()
    world.service.up()
    told = json.loads(world.service.cli("get", "launches", "-o", "json"))[0]
    assert told["failure"]["kind"] == "platform.interrupted"
    step.goes_on(world, Launch(world.service, link))  # or what is taken up again does
    until(lambda: not half_made(world.service.state))
