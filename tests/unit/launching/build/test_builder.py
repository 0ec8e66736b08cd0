import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs
from perijove.domain.events import BuildStarted, Built, Logged, Noted, Phase
from perijove.domain.failures import Fail
from perijove.domain.nouns import Checkout, Environment, EnvironmentPlan, RepoAddress, ResolvedRepo
from perijove.domain.ports import Place, Tell
from perijove.launching.build.builder import NOTES, Builds
from perijove.launching.build.near_misses import SPELLINGS
from tests.fakes.in_process import InProcess
from tests.fakes.world import INPUTS, FakeEnvironments

KEY = INPUTS.name


def checkout(folder: Path) -> Checkout:
    return Checkout(ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, ""), folder)


Told = list[BuildStarted | Logged | Noted | Built]


async def told(builds: Builds, folder: Path, into: Told | None = None) -> Told:
    events = [] if into is None else into
    async for event in builds.built(checkout(folder)):
        events.append(event)
    return events


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_an_environment_that_is_not_there_is_built_with_its_log(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        started, line, built = await told(Builds(FakeEnvironments(), InProcess(), 1, group), tmp_path)
    assert started == BuildStarted(KEY, shared=False)
    assert line == Logged(Phase.BUILDING, "building")
    assert isinstance(built, Built)
    assert not built.found


async def test_an_environment_that_stands_is_found(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        builds = Builds(FakeEnvironments(), InProcess(), 1, group)
        await told(builds, tmp_path)
        assert await told(builds, tmp_path) == [Built(KEY, found=True, seconds=0.0)]


async def test_what_is_not_followed_is_told_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch()
    async with asyncio.TaskGroup() as group:
        first, *_ = await told(Builds(FakeEnvironments(), InProcess(), 1, group), tmp_path)
    assert isinstance(first, Noted)
    assert "uv.lock" in first.line


async def test_notes_are_bounded_and_say_no_more_than_text(tmp_path: Path) -> None:
    for name in SPELLINGS:
        (tmp_path / name.swapcase()).touch()
    async with asyncio.TaskGroup() as group:
        events = await told(Builds(FakeEnvironments(), InProcess(), 1, group), tmp_path)
    assert [type(event) for event in events[: NOTES + 1]] == [*[Noted] * NOTES, Logged]


async def test_a_note_says_no_more_than_text(tmp_path: Path) -> None:
    (tmp_path / "evil\x1b[1m").mkdir()
    (tmp_path / "evil\x1b[1m" / "requirements.txt").touch()
    async with asyncio.TaskGroup() as group:
        events = await told(Builds(FakeEnvironments(), InProcess(), 1, group), tmp_path)
    notes = [event.line for event in events if isinstance(event, Noted)]
    assert notes == ["evil/requirements.txt is not read: only the root's and binder/'s are"]


async def test_two_launches_share_one_build_and_both_read_its_whole_log(tmp_path: Path) -> None:
    environments = FakeEnvironments(gate=asyncio.Event())
    async with asyncio.TaskGroup() as group:
        builds = Builds(environments, InProcess(), 1, group)
        first = group.create_task(told(builds, tmp_path))
        await until(lambda: environments.builds)
        second: Told = []
        group.create_task(told(builds, tmp_path, second))
        await until(lambda: second)
        assert environments.gate is not None
        environments.gate.set()
    assert environments.builds == 1
    assert first.result()[1:] == second[1:]
    assert second[0] == BuildStarted(KEY, shared=True)


async def test_a_build_goes_on_when_its_follower_leaves(tmp_path: Path) -> None:
    environments = FakeEnvironments(gate=asyncio.Event())
    async with asyncio.TaskGroup() as group:
        builds = Builds(environments, InProcess(), 1, group)
        follower = group.create_task(told(builds, tmp_path))
        await until(lambda: environments.builds)
        follower.cancel()
        assert environments.gate is not None
        environments.gate.set()
    assert KEY in environments.built


async def test_a_failure_is_told_to_all_followers_and_the_next_launch_builds_again(tmp_path: Path) -> None:
    failure = failures.CONFLICT("a and b")
    environments = FakeEnvironments(fails=[failure], gate=asyncio.Event())
    async with asyncio.TaskGroup() as group:
        builds = Builds(environments, InProcess(), 1, group)

        async def failing(heard: Told) -> failures.Failure:
            with pytest.raises(Fail) as caught:
                await told(builds, tmp_path, heard)
            return caught.value.failure

        first = group.create_task(failing([]))
        await until(lambda: environments.builds)
        heard: Told = []
        second = group.create_task(failing(heard))
        await until(lambda: heard)
        assert environments.gate is not None
        environments.gate.set()
        assert [await first, await second] == [failure, failure]
        assert isinstance((await told(builds, tmp_path))[-1], Built)
    assert environments.builds == 2


@dataclass
class OneEach(FakeEnvironments):
    """Each folder has an environment of its own; counts how many are built at the same time."""

    running: int = 0
    most: int = 0
    keys: list[str] = field(default_factory=list)

    async def inputs(
        self, plan: EnvironmentPlan, checkout: Checkout, tell: Tell, *, again: bool = False
    ) -> BuildInputs:
        return replace(INPUTS, maker=checkout.path.name)

    async def build(
        self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell, place: Place = nullcontext
    ) -> Environment:
        async with place():
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            try:
                return await super().build(inputs, made_for, tell)
            finally:
                self.running -= 1


async def test_no_more_builds_run_at_once_than_allowed_and_the_others_are_told_to_wait(tmp_path: Path) -> None:
    environments = OneEach()
    async with asyncio.TaskGroup() as group:
        builds = Builds(environments, InProcess(), 2, group)
        logs = []
        for number in range(5):
            folder = tmp_path / str(number)
            folder.mkdir()
            logs.append(group.create_task(told(builds, folder)))
    assert environments.most == 2
    assert len(environments.built) == 5
    waited = [any(getattr(e, "line", "").startswith("Waiting for other builds") for e in log.result()) for log in logs]
    assert sum(waited) == 3


class Mistaken(FakeEnvironments):
    """Has a bug."""

    async def build(
        self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell, place: Place = nullcontext
    ) -> Environment:
        raise ZeroDivisionError


async def test_a_mistake_of_ours_ends_one_build_and_not_the_service(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        with pytest.raises(Fail) as caught:
            await told(Builds(Mistaken(), InProcess(), 1, group), tmp_path)
    assert caught.value.failure.kind is failures.BUG
