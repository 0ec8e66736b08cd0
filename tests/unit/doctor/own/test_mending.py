"""What --fix would do: steps that one can do by hand too, and nothing that takes a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perijove.doctor.own.diagnosis import diagnosed
from perijove.doctor.own.mending import Clean, Close, EndCaddy, Remove, Step, plan
from perijove.domain.failures import DATA_PLANE_DOWN, NAMESPACES_FORBIDDEN, NOT_UP
from perijove.domain.ground import Damage, Own, Process
from tests.unit.doctor.own.test_own import ROOM, ROOT, WELL, with_ground, with_service

GARBAGE, SECRET = ROOT / "store/environments/x", ROOT / "control/secret"
NOT_RUNNING = with_service(
    admin=NOT_UP("no"), holder=Process(0), caddy=0, data_plane=DATA_PLANE_DOWN("dead"), ports=None
)
CASES: dict[str, tuple[Own, tuple[Step, ...], str]] = {
    "well": (WELL, (), ""),
    "an open key": (with_ground(too_open=((SECRET, 0o644),)), (Close(SECRET, 0o600),), f"chmod 600 {SECRET}"),
    "garbage": (with_ground(garbage=(Damage(str(GARBAGE), "no note"),)), (Remove(GARBAGE),), f"rm -r {GARBAGE}"),
    "a full disk": (with_ground(room=replace(ROOM, disk=0)), (Clean(),), "perijove clean"),
    "a Caddy that hangs": (
        with_service(data_plane=DATA_PLANE_DOWN("hangs")), (EndCaddy(13),),
        "kill -9 13   # Caddy, which the service starts again",
    ),
    "nothing runs": (NOT_RUNNING, (), ""),
    "what takes a person": (with_ground(sandbox=NAMESPACES_FORBIDDEN("off")), (), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_would_be_done(case: str) -> None:
    own, steps, words = CASES[case]
    planned = plan(own, diagnosed(own))
    assert planned == steps
    assert "\n".join(step.words for step in planned) == words


def test_a_full_disk_of_a_service_that_does_not_run_takes_a_person() -> None:
    assert plan(replace(NOT_RUNNING, ground=replace(WELL.ground, room=replace(ROOM, disk=0))), diagnosed(WELL)) == ()
