"""How the end of a session that people were using is told: in its own log, with cause and remedy."""

from __future__ import annotations

import asyncio

import pytest

from perijove.domain.events import Event, Ready, SessionEnded, SessionLogged, SessionTroubled
from perijove.domain.failures import PAD_DOWN, Fail
from perijove.domain.nouns import EndReason
from tests.ways.conftest import World


async def ended(world: World, reason: EndReason, detail: str, exit_code: int | None) -> list[Event]:
    """A session that answered says something and ends; its log from then on."""
    ready = (await world.launched())[-1]
    assert isinstance(ready, Ready)
    subject = f"session/{ready.session}"
    before = world.journal.read(subject)[-1].seq
    world.sandboxes.tell(SessionLogged(ready.session, "last words"))
    world.sandboxes.tell(SessionEnded(ready.session, reason, detail, exit_code))
    await world.until(lambda: not world.sessions.live)
    return [entry.event for entry in world.journal.read(subject, before)]


@pytest.mark.parametrize(
    ("reason", "exit_code", "code"),
    [
        pytest.param(EndReason.MEMORY, -9, "session.out-of-memory", id="killed for memory"),
        pytest.param(EndReason.EXITED, 1, "session.server-died", id="exit code 1"),
        pytest.param(EndReason.EXITED, -11, "session.server-died", id="signal 11"),
    ],
)
async def test_a_death_is_told_as_a_failure_with_its_last_words(
    world: World, reason: EndReason, exit_code: int, code: str
) -> None:
    async with world.up():
        _, trouble, end = await ended(world, reason, "its server ended", exit_code)
    assert isinstance(trouble, SessionTroubled)
    assert trouble.failure.kind.code == code
    assert trouble.failure.cause == "its server ended"
    assert trouble.failure.evidence[-1].saw == "last words"
    assert isinstance(end, SessionEnded)
    assert end.reason is reason


@pytest.mark.parametrize(
    ("reason", "exit_code"),
    [
        pytest.param(EndReason.STOPPED, -15, id="stopped"),
        pytest.param(EndReason.IDLE, -15, id="idle"),
        pytest.param(EndReason.OLD, -15, id="old"),
        pytest.param(EndReason.DISK, -9, id="its disk, which was told as it filled up"),
    ],
)
async def test_an_end_that_was_wished_or_told_is_no_failure(world: World, reason: EndReason, exit_code: int) -> None:
    async with world.up():
        told = await ended(world, reason, "in words", exit_code)
    assert [type(event).__name__ for event in told] == ["SessionLogged", "SessionEnded"]


async def test_a_server_that_somebody_shut_down_is_told_so(world: World) -> None:
    async with world.up():
        _, end = await ended(world, EndReason.EXITED, "its server ended with exit code 0", 0)
    assert isinstance(end, SessionEnded)
    assert (end.reason, end.detail, end.exit_code) == (EndReason.SHUT_DOWN, "it was shut down", 0)


async def test_a_session_whose_end_fails_when_nobody_waits_for_it_is_told_in_words(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, fails = asyncio.Event(), asyncio.Event()

    async def stop() -> None:
        asked.set()
        await fails.wait()
        raise Fail(PAD_DOWN("it did not answer within 15 s"))

    world.sandboxes.before_stop = stop
    async with world.up(), asyncio.timeout(10):
        leaving = asyncio.create_task(world.sessions.abandon("hello-1"), name="abandon")
        await asked.wait()
        leaving.cancel()
        await asyncio.wait({leaving})
        fails.set()
        said = ""
        while "was not ended" not in said:
            await asyncio.sleep(0)
            said += capsys.readouterr().err
        world.sandboxes.before_stop = None
    assert "it did not answer within 15 s" in said
