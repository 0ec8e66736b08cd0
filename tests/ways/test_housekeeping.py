"""Everything that grows is kept within its bounds, by itself and when it is asked for; what is in use stays."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace

from perijove.domain.classes import ClassSettings
from perijove.domain.events import Failed, Queued, Ready
from perijove.domain.failures import Evidence
from perijove.domain.nouns import Room, StoredEnvironment
from perijove.launching.housekeeping import EVERY, FIRST, Housekeeping
from perijove.launching.start.queue import NothingStored
from perijove.retention import Retention
from tests.fakes.world import FakeEnvironments, FakeSessions
from tests.ways.conftest import ADDRESS, World

SHORT = Room(8 * 1024**3, 2 * 1024**3, 1_000_000, 8)
"""More than launches need, less than build.keep_free."""


class Full(FakeEnvironments):
    """There are more environments than the sessions'."""

    def __init__(self) -> None:
        super().__init__()
        self.tidied, self.gone = 0, list[str]()

    async def stored(self) -> list[StoredEnvironment]:
        others = [
            StoredEnvironment(key, "3.12.1", "x", 1000, 1.0, 1.0) for key in ("old", "older") if key not in self.gone
        ]
        return [*await super().stored(), *others]

    async def remove(self, key: str) -> None:
        self.gone.append(key)
        await super().remove(key)

    async def tidy(self) -> None:
        self.tidied += 1


def kept(world: World, logs: list[str], *, fails: bool = False) -> Housekeeping:
    def bound_logs() -> None:
        logs.append("bounded")
        if fails:
            raise OSError(errno.ENOSPC, "No space left on device")

    retention = Retention(world.journal, world.clock, lambda: world.settings.journal, lambda _: False)
    return Housekeeping(
        world.launches, world.sessions, world.sandboxes, world.repositories, world.environments, retention,
        world.keeping, world.clock, lambda: world.settings, bound_logs, lambda: world.way.pool.environments,
    )  # fmt: skip


async def test_what_was_prepared_for_a_class_stays_while_the_disk_is_short(world: World) -> None:
    world.sandboxes = FakeSessions(SHORT)
    world.set(launching__classes=(ClassSettings("term", ("gh/owner/repo/HEAD",), ready=1),))
    async with world.up():
        world.preparations.look()
        await world.until(lambda: not world.launches.running)
        assert world.environments.built
        assert not (await kept(world, []).clean()).environments
        world.set(launching__classes=())
        await world.way.pool.renew()
        assert (await kept(world, []).clean()).environments


async def test_what_nobody_uses_goes_while_the_disk_is_short_and_what_runs_stays(world: World) -> None:
    environments = world.environments = Full()
    world.sandboxes = FakeSessions(SHORT)
    logs: list[str] = []
    async with world.up():
        assert isinstance((await world.launched())[-1], Ready)
        would = await kept(world, logs).clean(dry_run=True)
        assert [one.key for one in would.environments] == ["old", "older"]
        assert (environments.gone, environments.tidied, logs) == ([], 0, [])
        done = await kept(world, logs).clean()
        assert [one.key for one in done.environments] == environments.gone == ["old", "older"]
        assert (environments.tidied, logs) == (1, ["bounded"])
        assert len(environments.built) == 1, "that of the session"


class Layered(Full):
    """One that a session uses is a layer over a base, and so is one that nobody uses, over a base of its own."""

    async def stored(self) -> list[StoredEnvironment]:
        (used,) = self.built
        ages = {"base": ("", 1.0), used: ("base", 9.0), "old-base": ("", 2.0), "old-layer": ("old-base", 3.0)}
        return [
            StoredEnvironment(key, "3.12.1", "x", 1000, 1.0, used_at, base)
            for key, (base, used_at) in ages.items()
            if key not in self.gone
        ]


async def test_what_a_layer_that_is_used_stands_on_stays_and_layers_go_before_their_base(world: World) -> None:
    environments = world.environments = Layered()
    world.sandboxes = FakeSessions(SHORT)
    async with world.up():
        assert isinstance((await world.launched())[-1], Ready)
        await kept(world, []).clean()
        assert environments.gone == ["old-layer", "old-base"]


class OnDisk(Full):
    """What is removed is free again."""

    def __init__(self, sandboxes: FakeSessions) -> None:
        super().__init__()
        self._sandboxes = sandboxes

    async def remove(self, key: str) -> None:
        await super().remove(key)
        self._sandboxes.left = replace(self._sandboxes.left, disk=self._sandboxes.left.disk + 1024**3)


class NeverFreed(NothingStored):
    async def make_room(self) -> bool:
        await asyncio.Event().wait()
        raise AssertionError


NO_DISK = Room(8 * 1024**3, 100 * 1024**2, 1_000_000, 8)


WANTED = "100 MB of disk are free, and 1 GB are wanted for one more session (launching.keep_disk)"


async def test_unused_environments_go_for_a_launch_that_has_no_disk_and_is_told_so_meanwhile(world: World) -> None:
    world.sandboxes = FakeSessions(NO_DISK)
    environments = world.environments = OnDisk(world.sandboxes)
    async with world.up():
        world.queue.store = kept(world, [])
        events = await world.launched()
        assert isinstance(events[-1], Ready)
        assert [event.why for event in events if isinstance(event, Queued)] == [WANTED]
        assert environments.gone == ["old", "older"]


async def test_who_waits_for_disk_in_vain_is_told_what_takes_it_and_what_to_do(world: World) -> None:
    world.sandboxes = FakeSessions(NO_DISK)
    environments = world.environments = Full()
    world.set(launching__queue_timeout=0.2)
    async with world.up():
        held = (Evidence("store/environments", "11.7 GB"),)
        world.queue.store, world.queue.look_again = replace(kept(world, []), sizes=lambda: held), 0.01
        events = await world.launched()
        queued = [event for event in events if isinstance(event, Queued)]
        assert [event.why for event in queued] == [WANTED]
        assert isinstance(events[-1], Failed)
        failure = events[-1].failure
        assert (failure.kind.code, failure.cause) == ("start.no-room", "it waited 0 seconds for disk")
        assert failure.evidence == (Evidence("this machine", WANTED), *held)
        assert "`perijove clean`" in failure.remedy
        assert environments.tidied == 1, "it is looked once a minute whether disk can be freed"


async def test_a_launch_whose_disk_is_being_freed_without_end_is_over_in_time_and_others_go_on(world: World) -> None:
    world.sandboxes = FakeSessions(NO_DISK)
    world.set(launching__queue_timeout=0.5)
    async with world.up():
        world.queue.store = NeverFreed()
        first, second = world.launches.begin(ADDRESS, "a"), world.launches.begin(ADDRESS, "b")
        for number in (first, second):
            events = await world.events(number)
            assert [event.why for event in events if isinstance(event, Queued)][:1] == [WANTED]
            assert isinstance(events[-1], Failed)
            assert events[-1].failure.kind.code == "start.no-room"


async def test_a_launch_waits_where_nothing_can_be_removed_now(world: World) -> None:
    world.sandboxes = FakeSessions(NO_DISK)
    async with world.up():
        world.queue.store = kept(world, [], fails=True)
        number = world.launches.begin(ADDRESS, "a")
        await world.until(lambda: bool(world.queue.positions))
        world.sandboxes.left = SHORT
        world.queue.sessions.over()
        assert isinstance((await world.events(number))[-1], Ready)


async def test_it_is_done_hour_by_hour_whatever_went_wrong_the_last_time(world: World) -> None:
    logs: list[str] = []
    async with world.up():
        running = asyncio.create_task(kept(world, logs, fails=True).run())
        await world.until(lambda: len(logs) >= 3)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
    slept = [seconds for seconds in world.clock.slept if seconds >= FIRST]
    assert slept[:3] == [FIRST, EVERY, EVERY]
