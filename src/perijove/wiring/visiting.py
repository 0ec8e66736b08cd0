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
from perijove.backends.device_flow import DeviceFlow
from perijove.backends.grants import GrantFolder
from perijove.backends.ground import disk_history, machine
from perijove.backends.host_tokens import HostTokenFolder
from perijove.backends.logins import LoginFolder
from perijove.backends.oidc import OidcProvider
from perijove.backends.pad.client import Pad
from perijove.backends.passwords import PasswordFile
from perijove.certifying.attempts import host_of
from perijove.doctor.own.ground import memory_not_held
from perijove.domain import failures
from perijove.domain.failures import DATA_PLANE_DOWN, Evidence, Fail
from perijove.domain.ground import FreeThen
from perijove.domain.isolation import Isolation
from perijove.domain.listening import listening_origin, own_url
from perijove.domain.nouns import Egress, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.launching.housekeeping import Housekeeping
from perijove.launching.start.sandbox import limits
from perijove.log import log
from perijove.retention import Retention
from perijove.web.admin import Admin
from perijove.web.certificate_admin import CertificateAdmin
from perijove.web.challenge import MARKER, NOBODYS
from perijove.web.class_admin import ClassAdmin
from perijove.web.front import public_app
from perijove.web.identity import People
from perijove.web.metrics import CertificateMetrics, DoctorMetrics
from perijove.web.operator_desk import Desk
from perijove.web.operator_doors import OperatorDoors
from perijove.web.public import Public
from perijove.web.service_admin import ServiceAdmin
from perijove.wiring.doctoring import OwnDoctor
from perijove.wiring.explaining import explainer
from perijove.wiring.given import Given, Tasks
from perijove.wiring.launching import LaunchParts, joined
from perijove.wiring.opening import Opened, telling
from perijove.wiring.sockets import serving

SWEPT = 30.0
"""Seconds within which whoever was removed, or got another password, is let into no session any more."""
NOTED = 3600.0
"""Seconds between notes of what is free on the disk."""
ANSWERS_WITHIN = 15.0
"""Seconds in which our own address must answer after everything has started."""


@asynccontextmanager
async def visited(given: Given, opened: Opened, pad: Pad, stopping: asyncio.Event, tell: Tell) -> AsyncIterator[None]:
    """Visitors and operators are served; launches are drained when the block ends well. Raises Fail: `platform.*`."""
    explain = explainer(given.state, given.settings, given.clock)
    served = opened.certifying.certificates.served

    def certified() -> Collection[str]:
        return {name for certificate in served() for name in certificate.names}

    launching = joined(
        given.state, given.settings, given.journal, given.keys, given.clock, pad, given.group, explain, certified
    )
    given.reloaded.append(launching.reload)
    launching.queue.store = housekeeping = _housekeeping(given, opened, launching)
    service = ServiceAdmin(
        launching.launches, launching.sessions, launching.sessions.sandboxes, given.clock, given.settings,
        lambda: own_url(given.settings().service), OperatorDoors(given.keys, given.clock),
    )  # fmt: skip
    admin = _admin(given, opened, launching, housekeeping, service)
    doctor = OwnDoctor(given.state, given.clock)
    public = _public(given, opened, launching, service, doctor)
    tasks = Tasks(given.group)
    try:
        await _ready(given, launching, tasks, tell)
        tasks.add(housekeeping.run(), "everything that grows, bounded")
        tasks.add(_swept(given, public), "log-ins, ended")
        tasks.add(doctor.run(), "doctor, looking")
        async with serving(admin.app(), given.state.admin_socket):
            opened.door.leads_to = public_app(public)
            await _answers(given.settings(), given.keys.solver_marker())
            yield
            log.info("stopping", launches=launching.launches.in_progress)
            await launching.launches.drain(given.settings().service.drain)
    finally:
        tasks.cancel()
        launching.confined.close()
        if launching.engine:
            await launching.engine.cluster.close()
        elif stopping.is_set() and pad.is_child:
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
        retention, launching.keeping, given.clock, given.settings, lambda: statedir.bound_logs(given.state),
        lambda: launching.pool.environments, lambda: statedir.sizes(given.state),
    )  # fmt: skip


def _admin(
    given: Given, opened: Opened, launching: LaunchParts, housekeeping: Housekeeping, service: ServiceAdmin
) -> Admin:
    """Answers the operator's commands."""
    certifying = opened.certifying
    return Admin(
        launching.launches, launching.links, launching.sessions, launching.environments, housekeeping,
        given.journal, given.keys, given.layered, service,
        CertificateAdmin(
            certifying.certificates, certifying.overview, given.journal, certifying.root_pem
        ),
        ClassAdmin(launching.timetable, launching.queue, launching.pool, launching.preparations),
        GrantFolder(given.state.grants, given.keys),
    )  # fmt: skip


def _public(given: Given, opened: Opened, launching: LaunchParts, service: ServiceAdmin, doctor: OwnDoctor) -> Public:
    """Answers visitors, and counts what has happened and what will."""
    certifying, journal = opened.certifying, given.journal
    public = Public(
        launching.launches, launching.links, launching.sessions, launching.sessions.sandboxes,
        journal, given.keys, given.clock, given.settings,
        launching.keeping, Desk(service, launching.environments, certifying.overview.certificates, doctor),
        certifying.answers.get, certifying.standing, script=launching.environments.largest_script,
        timetable=launching.timetable, pushed=launching.preparations.pushed, people=_people(given),
    )  # fmt: skip
    public.recall()
    DoctorMetrics(public.metrics.registry, doctor)
    metrics = CertificateMetrics(public.metrics.registry, certifying.overview.certificates, given.clock)
    journal.listeners.append(metrics.told)
    journal.listeners.remove(opened.hear)
    for entry in opened.happened:
        public.metrics.told(entry)
        metrics.told(entry)
    return public


def _people(given: Given) -> People:
    """Who logs in, in the state directory."""
    return People(
        PasswordFile(lambda: given.state.people_in(given.settings().auth.password_file)),
        OidcProvider(lambda: given.settings().auth, given.clock),
        LoginFolder(given.state.logins),
        GrantFolder(given.state.grants, given.keys),
        HostTokenFolder(given.state.host_tokens, given.keys),
        DeviceFlow(lambda: given.settings().auth, given.clock),
    )


async def _swept(given: Given, public: Public) -> None:
    """End log-ins that hold no more, for ever."""
    while True:
        try:
            public.gate.identity.sweep(public.sessions.names)
        except Fail as error:
            log.warning("log-ins are not ended", code=error.failure.kind.code, message=error.failure.message)
        await given.clock.sleep(SWEPT)


async def _watch_disk(given: Given) -> None:
    """Note what is free, hour by hour; the doctor makes a forecast of it."""
    while True:
        try:
            disk_history.add(given.state.free_disk, FreeThen(given.clock.now(), machine.room(given.state.root).disk))
        except OSError as error:
            log.warning("free space could not be noted", saw=str(error)[:300])
        await given.clock.sleep(NOTED)


async def _ready(given: Given, launching: LaunchParts, tasks: Tasks, tell: Tell) -> None:
    """Have everything that a launch needs."""
    launching.confined.start()
    async with asyncio.TaskGroup() as both:
        asked = both.create_task(launching.pad.isolation(), name="pad, asked what it holds sessions by")
        both.create_task(launching.environments.look_around(), name="interpreters and caches, looked at")
    isolation = asked.result()
    tell(launching.engine.told if launching.engine else _ground(isolation))
    if failure := memory_not_held(isolation, given.settings()):
        log.warning(failure.kind.title, code=failure.kind.code, message=failure.message)
    tasks.add(launching.pad.supervise(telling("pad")), "pad, supervised")
    if launching.engine:
        tasks.add(launching.engine.sessions.supervise(), "sessions' pods, supervised")
        launching.engine.prepull.classes = launching.pool.for_classes
        tasks.add(launching.engine.prepull.run(), "images in demand, pulled ahead")
        if launching.engine.builds:
            tasks.add(launching.engine.builds.sweep_at_start(), "builds that were left, removed")
    tasks.add(launching.sessions.watch(), "sessions, heard")
    tasks.add(launching.keeping.take_in(), "what sessions leave, taken in")
    await launching.sessions.recover()
    if launching.engine:
        launching.engine.upstreams.keep(launching.sessions.names)
        await launching.engine.sweep()
        base = launching.environments.systems.bases.chosen
        tasks.add(launching.engine.try_policies(base, given.clock), "trial of network policies")
    await launching.environments.prepare(tell)
    launching.repositories.sweep()
    launching.launches.recover()
    tasks.add(launching.sessions.cull(), "sessions, culled")
    tasks.add(launching.sessions.tell(), "troubles of sessions, told")
    tasks.add(launching.home_quota.run(), "homes, held to their quota")
    tasks.add(launching.pool.run(), "sessions, held ready")
    tasks.add(launching.preparations.run(), "classes, prepared")
    tasks.add(_watch_disk(given), "free space, noted")
    if given.settings().session.forked and not launching.engine:
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
    except (Fail, OSError) as error:  # a full disk, for one: sessions are started then
        failure = failures.of(error)
        log.warning("no server is kept to fork from", code=failure.kind.code, message=failure.message)


def _ground(isolation: Isolation) -> str:
    """What holds strangers' code here, in words."""
    if not isolation.sandboxed:
        return "Sessions run without a sandbox"
    uid = "a user each" if isolation.own_uid else "one user for all"
    limits = f"limits by cgroup {isolation.cgroups}" if isolation.cgroups else "limits watched, no cgroups here"
    copied = ", environments copied" if isolation.copied else ""
    return f"Sessions run in bubblewrap: {uid}, {limits}, disk {isolation.disk}{copied}"


async def _answers(settings: Settings, marker: str) -> None:
    """Until our own address really answers, through Caddy. Raises Fail: `platform.data-plane-down`."""
    said, address = "nothing", listening_origin(settings.service) + NOBODYS
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
