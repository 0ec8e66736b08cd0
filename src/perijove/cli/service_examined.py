"""`perijove doctor`: what is wrong with this service and its machine. Prints; returns the exit status."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perijove.certifying.formatting import moment
from perijove.cli import announce, examination, printing, service
from perijove.cli.client import Client
from perijove.cli.examination import Looked, Status
from perijove.doctor.engine import Examination
from perijove.doctor.own import mending
from perijove.doctor.own.diagnosis import diagnosed, launchable
from perijove.domain import wire
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.ground import CertificateSeen, Own, Unseen
from perijove.domain.settings import Settings
from perijove.domain.sizes import size
from perijove.domain.state import State
from perijove.wiring import examining
from perijove.wiring.given import SystemClock
from perijove.wiring.mending import mend


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    state: State
    config: Path | None
    launch: bool
    as_json: bool

    @property
    def title(self) -> str:
        return f"service {self.state.root}"


def examine(asked: Asked) -> Status:
    """The service of that state directory, by the settings that it runs with, else those the next one would have."""
    with examination.looking(asked.title, as_json=asked.as_json):
        own, came_of_it = _examined(asked)
        fixes = [step.words for step in mending.plan(own, came_of_it)]
        examination.show(asked.title, came_of_it, looked(own), as_json=asked.as_json, fixes=fixes)
    return examination.status(came_of_it)


def fix(asked: Asked, *, sure: bool) -> Status:
    """Look, show the plan, ask, change, look again. What takes a person is left as it is, and told."""
    with examination.looking(asked.title, as_json=asked.as_json):
        own, came_of_it = _examined(asked)
        steps = mending.plan(own, came_of_it)
        if not steps or not asked.as_json:
            examination.show(asked.title, came_of_it, looked(own), as_json=asked.as_json, fixes=())
        if not steps:
            return examination.status(came_of_it)
        examination.agreed([step.words for step in steps], sure=sure, quiet=asked.as_json)
        asyncio.run(mend(asked.state, steps))
    return examine(asked)


def _examined(asked: Asked) -> tuple[Own, Examination]:
    running, admin = _settings(asked.state)
    configured = None if running is not None and asked.config is None else service.loader(asked.config, {})()[0]
    settings = running or configured
    assert settings is not None, "no service answers: the next one's were read"
    own = asyncio.run(_looked(asked.state, settings, admin, launch=asked.launch))
    if running is not None and configured is not None:
        own = replace(own, service=replace(own.service, unlike=_unlike(running, configured)))
    return own, diagnosed(own)


async def _looked(state: State, settings: Settings, admin: Failure | None, *, launch: bool) -> Own:
    """All facts; a launch only where nothing is found that would break it."""
    own = await examining.look(state, settings, admin, SystemClock())
    if not launch or not launchable(own):
        return own
    printing.err.print("Launching a tiny repository …", style="dim")
    return await examining.with_launch(own, state)


def _settings(state: State) -> tuple[Settings | None, Failure | None]:
    """Those of the running service, or why none answers."""
    try:
        rows = Client(state).call("GET", "/settings", limit=examining.LIMIT)
    except Fail as error:
        return None, error.failure
    tables: dict[str, dict[str, Any]] = {}
    for row in rows:
        table, _, name = row["name"].partition(".")
        tables.setdefault(table, {})[name] = row["value"]
    settings: Settings = wire.decode(Settings, tables)
    return settings, None


def _unlike(running: Settings, configured: Settings) -> tuple[str, ...]:
    """`table.name: …` of each setting that differs. What the file leaves out may be of flags and variables."""
    usual = wire.encode(Settings())
    has, wants = wire.encode(running), wire.encode(configured)
    return tuple(
        f"{table}.{name}: the file says {value}, the service has {has[table][name]}"
        for table, values in wants.items()
        for name, value in values.items()
        if value not in (has[table][name], usual[table][name])
    )


def looked(own: Own) -> list[Looked]:
    """What there is, well or not."""
    ground = own.ground
    steps = [Evidence(one.name, f"{one.version} ({one.path})") for one in ground.programs]
    steps += [Evidence(name, value) for name, value in ground.switches if value]
    isolation = own.service.isolation
    groups = ground.cgroups if isinstance(isolation, Unseen) else isolation.cgroups
    steps.append(Evidence("control groups", groups or "none: limits are watched"))
    room = f"{size(ground.room.disk)} of disk, {size(ground.room.memory or 0)} of memory"
    steps.append(Evidence("free", room))
    steps += [Evidence(one.address, one.holder or "somebody this user may not see") for one in own.service.listeners]
    if hint := announce.quic(own.settings.service):
        steps.append(Evidence("service.http3", f"{hint} Whether it is let through cannot be seen from here."))
    told = [Looked("This machine", tuple(steps))]
    if not isinstance(own.certificates, Unseen):
        told += [_certificate(one) for one in own.certificates]
    if not isinstance(own.launch, Unseen):
        steps = [Evidence(f"launch {own.launch.number}", f"{own.launch.seconds:.1f} s to a kernel and its end")]
        told += [Looked("A launch of a tiny repository", tuple(steps))] if own.launch.failure is None else []
    return told


def _certificate(one: CertificateSeen) -> Looked:
    state = one.state
    ends = f"ends {moment(state.not_after)}, SHA-256 {state.fingerprint}" if state.fingerprint else "there is none yet"
    steps = [Evidence("the service has", ends)]
    for port in one.shown:
        shows = port.certificate
        saw = f"{shows.called}, signed by {shows.signed_by}" if shows else port.words
        steps.append(Evidence(port.address, saw))
    return Looked(f"Certificate {state.host}", tuple(steps))
