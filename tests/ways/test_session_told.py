"""What pages of a session are told of it while it runs."""

from __future__ import annotations

import asyncio

from perijove.domain.events import SessionTroubled
from perijove.domain.failures import KERNEL_MEMORY
from perijove.domain.nouns import EndReason
from perijove.domain.server_failures import TOO_MANY_PROCESSES
from tests.ways.conftest import World


async def test_pages_are_told_what_their_session_uses_and_at_once_what_went_wrong_for_a_while(world: World) -> None:
    world.set(session__idle_timeout=0.0, session__max_age=0.0, session__tab_timeout=0.0)
    async with world.up():
        await world.launched()
        (session,) = world.sessions.live
        culling = asyncio.create_task(world.sessions.cull())
        await world.until(lambda: bool(world.sandboxes.told.shares))
        told = {share.setting: (share.used, share.allowed) for share in world.sandboxes.told.shares}
        assert told["session.memory"] == (1, world.settings.session.memory)
        assert told["session.processes"] == (7, world.settings.session.processes)
        culling.cancel()
        telling = asyncio.create_task(world.sessions.tell())
        for number in range(5):
            failure = TOO_MANY_PROCESSES(f"it reached its {number}")
            world.sandboxes.tell(SessionTroubled(session.name, failure))
            await world.until(lambda: failure in [one.failure for one in world.sandboxes.told.troubles])  # noqa: B023
        assert [one.failure.cause[-1] for one in world.sandboxes.told.troubles] == ["2", "3", "4"]
        world.clock.time += 3600
        world.sandboxes.tell(SessionTroubled(session.name, KERNEL_MEMORY("it reached its 2 GB")))
        await world.until(lambda: len(world.sandboxes.told.troubles) == 1)
        telling.cancel()


async def test_a_session_that_is_over_or_starts_has_no_pages_to_tell(world: World) -> None:
    async with world.up():
        await world.launched()
        (session,) = world.sessions.live
        telling = asyncio.create_task(world.sessions.tell())
        world.sandboxes.tell(SessionTroubled(session.name, TOO_MANY_PROCESSES("it reached its 40")))
        await world.sessions.stop(session.name, EndReason.STOPPED)
        await world.until(lambda: not world.sessions.live)
        assert not telling.done()
        telling.cancel()


async def test_the_operator_s_message_is_told_until_it_ends_or_is_taken_back_also_after_a_restart(world: World) -> None:
    world.set(session__idle_timeout=0.0, session__max_age=0.0, session__tab_timeout=0.0)
    async with world.up():
        await world.launched()
        world.sessions.announcing.say("tests\nat <10>", 1e9)
        assert told(world) == "tests at <10>"
    async with world.up():
        culling = asyncio.create_task(world.sessions.cull())
        await world.until(lambda: world.sandboxes.told.message is not None)
        assert told(world) == "tests at <10>"
        world.sessions.announcing.say("", 0)
        await world.until(lambda: world.sandboxes.told.message is None)
        culling.cancel()
        world.sessions.announcing.say("x" * 1000, 600)
        assert told(world) == "x" * 300
        world.clock.time += 600
        assert told(world) == ""


def told(world: World) -> str:
    now = world.sessions.announcing.now
    return now.text if now else ""
