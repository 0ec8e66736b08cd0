"""`perijove doctor`: what is wrong with this service and its machine. Prints; returns the exit status."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from perijove.cli import examination, places, service
from perijove.cli.client import Client
from perijove.cli.examination import Looked, Status
from perijove.doctor.own.diagnosis import diagnosed
from perijove.domain import wire
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.ground import Own
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.wiring import examining
from perijove.wiring.given import SystemClock


def examine(at: Path | None, config: Path | None, *, as_json: bool) -> Status:
    """The service of that state directory, by the settings that it runs with, else those the next one would have."""
    state = places.state_at(at)
    asked = f"service {state.root}"
    with examination.looking(asked, as_json=as_json):
        settings, admin = _settings(state, config)
        own = asyncio.run(examining.look(state, settings, admin, SystemClock()))
        came_of_it = diagnosed(own)
        examination.show(asked, came_of_it, looked(own), as_json=as_json)
    return examination.status(came_of_it)


def _settings(state: State, config: Path | None) -> tuple[Settings, Failure | None]:
    """Those of the running service; else the next one's, and why none answers."""
    try:
        rows = Client(state).call("GET", "/settings")
    except Fail as error:
        return service.loader(config, {})()[0], error.failure
    tables: dict[str, dict[str, Any]] = {}
    for row in rows:
        table, _, name = row["name"].partition(".")
        tables.setdefault(table, {})[name] = row["value"]
    settings: Settings = wire.decode(Settings, tables)
    return settings, None


def looked(own: Own) -> list[Looked]:
    """What there is, well or not."""
    ground = own.ground
    steps = [Evidence(one.name, f"{one.version} ({one.path})") for one in ground.programs]
    steps += [Evidence(name, value) for name, value in ground.switches if value]
    steps.append(Evidence("control groups", ground.cgroups or "none: limits are watched"))
    room = f"{ground.room.disk >> 20:,} MB of disk, {ground.room.memory >> 20:,} MB of memory"
    steps.append(Evidence("free", room))
    steps += [Evidence(one.address, one.holder or "somebody this user may not see") for one in own.service.listeners]
    return [Looked("This machine", tuple(steps))]
