"""The doctor before its own service, on the operator's page: as a process, when asked, one look at a time."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from perijove.domain.state import State
from perijove.web.metrics import DoctorMetrics
from perijove.web.operator_desk import Examined
from perijove.wiring.doctoring import OwnDoctor
from tests.fakes.world import FakeClock

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]


async def looked(doctor: OwnDoctor, agreed: str = "") -> Examined:
    doctor.begin(agreed)
    async with asyncio.timeout(120):
        while doctor.busy:
            await asyncio.sleep(0.05)
    assert doctor.last is not None
    return doctor.last


async def test_it_looks_says_what_it_can_mend_and_mends_that_when_asked(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    state.secret.write_bytes(bytes(32))
    state.secret.chmod(0o644)
    doctor = OwnDoctor(state, FakeClock())
    metrics = CollectorRegistry()
    DoctorMetrics(metrics, doctor)
    assert generate_latest(metrics) == b""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(doctor.run())
        found = await looked(doctor)
        codes = [one["code"] for one in found.told]
        assert "platform.not-up" in codes
        assert (found.unseen, found.fixes) == ("", (f"chmod 600 {state.secret}",))
        told = f'perijove_doctor_findings{{code="{codes[0]}",owner="operator"}} 1.0'
        assert told in generate_latest(metrics).decode()
        state.database.touch(0o644)
        other = await looked(doctor, found.planned)
        assert other.fixes == (*found.fixes, f"chmod 600 {state.database}")
        assert state.secret.stat().st_mode & 0o777 == 0o644, "nobody agreed to what it would do now"
        state.database.unlink()
        mended = await looked(doctor, found.planned)
        assert state.secret.stat().st_mode & 0o777 == 0o600
        assert mended.fixes == ()
        assert mended.planned != found.planned
        running.cancel()
    assert caplog.messages == []


async def test_what_ends_while_it_looks_leaves_no_process(state: State) -> None:
    doctor = OwnDoctor(state, FakeClock())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(doctor.run())
        doctor.begin()
        while not (found := children()):
            await asyncio.sleep(0.01)
        running.cancel()
    assert not set(found) & set(children())


def children() -> list[int]:
    """Processes of ours that run the doctor."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "doctor" in child.cmdline():
                found.append(child.pid)
    return found


async def test_it_says_why_it_could_not_look(tmp_path: Path) -> None:
    doctor = OwnDoctor(State(tmp_path / "\0"), FakeClock())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(doctor.run())
        assert (await looked(doctor)).unseen == "embedded null byte"
        running.cancel()
