"""What visitors and operators use, built while certificates are on their way already. Acts.

In: what stands first. Out: launches and both applications, for as long as the block lasts.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import httpx

from perijove.backends import statedir
from perijove.backends.ground import machine, past
from perijove.certifying.attempts import host_of
from perijove.doctor.own.ground import memory_not_held
from perijove.domain.failures import DATA_PLANE_DOWN, Evidence, Fail
from perijove.domain.ground import FreeThen
from perijove.domain.isolation import Isolation
from perijove.domain.listening import listening_url, own_url
from perijove.domain.nouns import Egress, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.launching.housekeeping import Housekeeping
from perijove.launching.start.sandbox import limits
from perijove.log import log
from perijove.retention import Retention
from perijove.web.admin import Admin
from perijove.web.certificate_admin import CertificateAdmin
from perijove.web.certificate_metrics import CertificateMetrics
from perijove.web.challenge import MARKER, NOBODYS
from perijove.web.front import public_app
from perijove.web.public import Public
from perijove.wiring.explaining import explainer
from perijove.wiring.given import Given, Tasks
from perijove.wiring.launching import LaunchParts, joined
from perijove.wiring.opening import Opened
from perijove.wiring.sockets import serving

NOTED = 3600.0
"""Seconds between notes of what is free on the disk."""
ANSWERS_WITHIN = 15.0
"""Seconds in which our own address must answer after everything has started."""


@asynccontextmanager
async def visited(given: Given, opened: Opened, stopping: asyncio.Event, tell: Tell) -> AsyncIterator[None]:
    """Visitors and operators are served; launches are drained when the block ends well. Raises Fail: `platform.*`."""
    explain = explainer(given.state, given.settings, given.clock)
    served = opened.certifying.certificates.served

    def certified() -> Collection[str]:
        return {name for certificate in served() for name in certificate.names}

    launching = joined(
        given.state, given.settings, given.journal, given.keys, given.clock, given.group, explain, certified
    )
    given.reloaded.append(launching.reload)
    housekeeping = _housekeeping(given, opened, launching)
    admin, public = _admin(given, opened, launching, housekeeping), _public(given, opened, launching)
    tasks = Tasks(given.group)
    try:
        await _ready(given, launching, tasks, tell)
        tasks.add(housekeeping.run(), "everything that grows, bounded")
        async with serving(admin.app(), given.state.admin_socket):
            opened.door.leads_to = public_app(public)
            await _answers(given.settings(), given.keys.solver_marker())
            yield
            log.info("stopping", launches=launching.launches.in_progress)
            await launching.launches.drain(given.settings().service.drain)
    finally:
        tasks.cancel()
        launching.confined.close()
        if await launching.pad.close(stop=stopping.is_set()):
            launching.sessions.told_stopped()


def _housekeeping(given: Given, opened: Opened, launching: LaunchParts) -> Housekeeping:
    """Keeps everything that grows within its bounds."""
    attempts = opened.certifying.certificates.attempts

    def needed(subject: str) -> bool:
        """Whether the ways read it still: what a session that runs was launched by, a host's last attempts."""
        kind, _, name = subject.partition("/")
        if kind == "launch":
            return any(str(session.launch) == name for session in launching.sessions.live)
        return kind == "order" and name in attempts.names(host_of(name))

    retention = Retention(given.journal, given.clock, lambda: given.settings().journal, needed)
    return Housekeeping(
        launching.launches, launching.sessions, launching.pad, launching.repositories, launching.environments,
        retention, given.clock, given.settings, lambda: statedir.bound_logs(given.state),
    )  # fmt: skip


def _admin(given: Given, opened: Opened, launching: LaunchParts, housekeeping: Housekeeping) -> Admin:
    """Answers the operator's commands."""
    certifying = opened.certifying
    return Admin(
        launching.launches, launching.sessions, launching.pad, launching.environments, housekeeping,
        given.journal, given.keys, given.clock, given.layered, lambda: own_url(given.settings().service),
        CertificateAdmin(
            certifying.certificates, certifying.overview, given.journal, certifying.local_ca.root_pem
        ),
    )  # fmt: skip


def _public(given: Given, opened: Opened, launching: LaunchParts) -> Public:
    """Answers visitors, and counts what has happened and what will."""
    certifying, journal = opened.certifying, given.journal
    public = Public(
        launching.launches, launching.sessions, launching.pad, journal, given.keys, given.clock, given.settings,
        certifying.answers.get, certifying.standing,
    )  # fmt: skip
    metrics = CertificateMetrics(public.metrics.registry, certifying.overview.certificates, given.clock)
    journal.listeners.append(metrics.told)
    journal.listeners.remove(opened.hear)
    for entry in opened.happened:
        public.metrics.told(entry)
        metrics.told(entry)
    return public


async def _watch_disk(given: Given) -> None:
    """Note what is free, hour by hour; the doctor makes a forecast of it."""
    while True:
        try:
            past.add(given.state.free_disk, FreeThen(given.clock.now(), machine.room(given.state.root).disk))
        except OSError as error:
            log.warning("free space could not be noted", saw=str(error)[:300])
        await given.clock.sleep(NOTED)


async def _ready(given: Given, launching: LaunchParts, tasks: Tasks, tell: Tell) -> None:
    """Have everything that a launch needs."""
    launching.confined.start()
    await launching.pad.ensure()
    isolation = await launching.pad.isolation()
    tell(_ground(isolation))
    if failure := memory_not_held(isolation, given.settings().service):
        log.warning(failure.kind.title, code=failure.kind.code, message=failure.message)
    tasks.add(launching.pad.supervise(), "pad, supervised")
    tasks.add(launching.sessions.watch(), "sessions, heard")
    await launching.sessions.recover()
    await launching.environments.prepare(tell)
    launching.repositories.sweep()
    launching.launches.recover()
    tasks.add(launching.sessions.cull(), "sessions, culled")
    tasks.add(launching.pool.run(), "sessions, held ready")
    tasks.add(_watch_disk(given), "free space, noted")
    if given.settings().session.forked:
        tasks.add(_warmed(given, launching), "fork server, warmed")


async def _warmed(given: Given, launching: LaunchParts) -> None:
    """Have the first session's server forked too, where it comes late enough."""
    try:
        served = await launching.environments.served()
        bounds = limits(given.settings())
        await launching.pad.warm(
            SandboxSpec("fork-server", served.command, (), served.mounts, given.state.root, bounds, Egress.NONE,
                        server=served.server)
        )  # fmt: skip
    except Fail as error:
        log.warning("no server is kept to fork from", code=error.failure.kind.code, message=error.failure.message)


def _ground(isolation: Isolation) -> str:
    """What holds strangers' code here, in words."""
    if not isolation.sandboxed:
        return "Sessions run without a sandbox"
    uid = "a user each" if isolation.own_uid else "one user for all"
    limits = f"limits by cgroup {isolation.cgroups}" if isolation.cgroups else "limits watched, no cgroups here"
    copied = ", environments copied" if isolation.layers == "copy" else ""
    return f"Sessions run in bubblewrap: {uid}, {limits}, disk {isolation.disk}{copied}"


async def _answers(settings: Settings, marker: str) -> None:
    """Until our own address really answers, through Caddy. Raises Fail: `platform.data-plane-down`."""
    said, address = "nothing", listening_url(settings.service) + NOBODYS.lstrip("/")
    # By http: a context without authorities spares the event loop the 30 ms of reading them.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with httpx.AsyncClient(trust_env=False, timeout=2, verify=context) as client:
        deadline = time.monotonic() + ANSWERS_WITHIN
        while time.monotonic() < deadline:
            try:
                answer = await client.get(address)
            except httpx.HTTPError as error:
                said = repr(error)
            else:
                said = f"{answer.status_code} {answer.text[:200]}"
                if answer.headers.get(MARKER) == marker:
                    return
            await asyncio.sleep(0.05)
    raise Fail(DATA_PLANE_DOWN("our own address does not answer", Evidence(address, said)))
