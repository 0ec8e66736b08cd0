"""A server that does not answer: told by what kept it, in its own time and not in the machine's."""

from __future__ import annotations

import pytest

from perijove.domain.activity import Activity, ServerStatus
from perijove.domain.events import Failed, Retrying, SessionEnded, SessionLogged
from perijove.domain.failures import PAD_DOWN, Fail, Retry
from perijove.domain.nouns import EndReason, SandboxSpec
from perijove.launching.start.judging import PATIENCE
from perijove.launching.start.watch import KEPT_LINES
from tests.fakes.world import FakeSessions, SilentSessions
from tests.ways.conftest import World

DOWN = Fail(PAD_DOWN("it was killed"))
LIMITS = {"session__start_timeout": 60.0, "session__stall_timeout": 10.0}


class Paced(SilentSessions):
    """Never answers; of each second it runs `used`, stands in line for `waited`, and is said to be `queued`."""

    used = waited = 0.0
    queued = False
    says = False

    def __init__(self, world: World) -> None:
        super().__init__()
        self._clock = world.clock
        self._began = 0.0

    async def start(self, spec: SandboxSpec) -> None:
        await super().start(spec)
        self._began = self._clock.now()
        for number in range(KEPT_LINES):
            self.tell(SessionLogged(spec.session, f"line {number}"))

    async def activity(self, session: str) -> Activity:
        if self.says:
            self.tell(SessionLogged(session, "still here"))
        ran = self._clock.now() - self._began
        return Activity(self.used * ran, self.waited * ran, self.queued, "as it is")

    @property
    def took(self) -> float:
        return self._clock.now() - self._began


class Idle(Paced):
    pass


class IdleOnABusyMachine(Paced):
    waited = 0.5


class Talkative(Paced):
    says = True


class Working(Paced):
    used, queued = 1.0, True


class WorkingOnABusyMachine(Paced):
    used, waited, queued = 0.5, 0.5, True


class Starved(Paced):
    waited, queued = 1.0, True


class NeverGivenATurn(Paced):
    queued = True


PACES = [
    pytest.param(Idle, "start.server-hangs", 10, id="does nothing"),
    pytest.param(IdleOnABusyMachine, "start.server-hangs", 20, id="does nothing in its own half of the time"),
    pytest.param(Talkative, "start.too-slow", 60, id="says something now and then, however much it said"),
    pytest.param(Working, "start.too-slow", 60, id="works all the time"),
    pytest.param(WorkingOnABusyMachine, "start.too-slow", 120, id="works in its own half of the time"),
    pytest.param(Starved, "start.starved", PATIENCE * 60, id="stands in line all the time"),
    pytest.param(NeverGivenATurn, "start.starved", PATIENCE * 60, id="stands in line, uncounted until it has a turn"),
]


@pytest.mark.parametrize(("persona", "code", "after"), PACES)
async def test_a_server_is_given_time_in_which_it_can_run(
    world: World, persona: type[Paced], code: str, after: float
) -> None:
    world.sandboxes = paced = persona(world)
    world.set(**LIMITS)
    async with world.up():
        failed = (await world.launched())[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.kind.code == code
    assert after <= paced.took <= after + 1
    assert failed.failure.evidence[0].saw == "as it is"
    assert [reason for _, reason in paced.stopped] == [EndReason.FAILED_START]


async def test_the_looks_say_why_also_where_the_question_is_given_up_first(world: World) -> None:
    class GivenUp(Working):
        async def status(self, session: str, base_url: str, token: str, limit: float) -> ServerStatus:
            raise TimeoutError

    world.sandboxes = GivenUp(world)
    world.set(**LIMITS)
    async with world.up():
        failed = (await world.launched())[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.kind.code == "start.too-slow"


async def test_the_machine_s_fault_is_told_in_numbers_and_may_be_tried_again(world: World) -> None:
    world.sandboxes = Starved(world)
    world.set(**LIMITS)
    async with world.up():
        failed = (await world.launched())[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.kind.retry is Retry.AFTER
    assert failed.failure.after > 0
    assert failed.failure.cause == (
        "in 300 seconds it used 0.0 seconds of processor time and waited 300 for a processor or the disk"
    )


class Ending(FakeSessions):
    """Servers that end so before they answer; the socket closes a moment before the end is told."""

    def __init__(self, reason: EndReason, exit_code: int | None, times: int = 1) -> None:
        super().__init__()
        self._end = reason, exit_code
        self._times = times

    async def start(self, spec: SandboxSpec) -> None:
        await super().start(spec)
        if self._times > 0:
            del self.specs[spec.session]

    async def status(self, session: str, base_url: str, token: str, limit: float) -> ServerStatus:
        if session in self.specs:
            return await super().status(session, base_url, token, limit)
        self._times -= 1
        reason, exit_code = self._end
        self.tell(SessionEnded(session, reason, "in words", exit_code))
        raise ConnectionResetError


@pytest.mark.parametrize(
    ("reason", "exit_code"),
    [
        pytest.param(EndReason.PAD_LOST, None, id="the pad was killed"),
        pytest.param(EndReason.EXITED, -9, id="the kernel killed it"),
    ],
)
async def test_what_the_machine_ended_is_tried_again(world: World, reason: EndReason, exit_code: int | None) -> None:
    world.sandboxes = Ending(reason, exit_code)
    async with world.up():
        events = await world.launched()
    assert [type(event).__name__ for event in events if isinstance(event, Retrying)] == ["Retrying"]
    assert type(events[-1]).__name__ == "Ready"


async def test_a_pad_that_is_away_while_it_is_asked_is_the_machine_s_fault(world: World) -> None:
    class Away(SilentSessions):
        async def activity(self, session: str) -> Activity:
            raise DOWN

    world.sandboxes = Away()
    world.set(launching__retries=0)
    async with world.up():
        failed = (await world.launched())[-1]
    assert failed == Failed(DOWN.failure)
