"""The doctor before this service: machine and processes looked at once, all at the same time. In: state, settings.

Nothing is changed. Whether the operator's socket answers is told by whoever asked there.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import httpx

from perijove.backends import sqlite, statedir
from perijove.backends.caddy import Caddy, addresses
from perijove.backends.caddy.program import binary
from perijove.backends.environments import store, uv
from perijove.backends.environments.system import bases
from perijove.backends.ground import disk_history, holding, machine, programs, reaching
from perijove.backends.homes import HomesOnDisk
from perijove.backends.oidc import OidcProvider
from perijove.backends.pad import ground, tools
from perijove.backends.pad.footing import Footing
from perijove.backends.passwords import PasswordFile
from perijove.domain import wire
from perijove.domain.auth_failures import PEOPLE_UNREADABLE
from perijove.domain.auth_settings import AuthMethod
from perijove.domain.engine_settings import EngineKind
from perijove.domain.failures import DATA_PLANE_DOWN, PAD_DOWN, STATE_UNUSABLE, Evidence, Fail, Failure
from perijove.domain.ground import (
    CertificateSeen,
    Damage,
    FreeThen,
    Ground,
    Journal,
    Own,
    Process,
    Reached,
    Service,
    Unseen,
)
from perijove.domain.isolation import Isolation
from perijove.domain.keys import Keys
from perijove.domain.listening import listening_origin, own_url
from perijove.domain.ports import Clock
from perijove.domain.service_failures import NOT_ANSWERING, PAD_SILENT
from perijove.domain.settings import IsolationMode, Settings
from perijove.domain.state import State
from perijove.domain.system_settings import Root
from perijove.routing.table import table
from perijove.web.assets import ASSETS_VERSION, STATIC
from perijove.web.challenge import MARKER, NOBODYS
from perijove.web.opening import OPENING
from perijove.wiring import showing, trying
from perijove.wiring.given import SystemClock

LIMIT = 2.0
"""Seconds for one answer of the service's own."""
REMOUNT = "Look why the kernel mounted it so (`dmesg | tail`), mend that, and mount it again with `rw`."


async def look(state: State, settings: Settings, admin: Failure | None, clock: Clock) -> Own:
    """All facts but a launch; `admin` is why the operator's socket does not answer."""
    # Bubblewrap dies with the thread that starts it: this one waits for it, others look meanwhile.
    async with asyncio.TaskGroup() as group:
        beneath = group.create_task(_ground(state, settings), name="look at the machine")
        service = group.create_task(_service(state, settings, admin), name="look at the service")
        journal = group.create_task(
            asyncio.to_thread(_journal, state.database, answers=admin is None), name="look at the journal"
        )
        shown = group.create_task(_certificates(state, settings, admin), name="look at certificates")
        outside = group.create_task(_outside(state, journal, reaching.PATIENT), name="look outside")
    ground = replace(beneath.result(), reached=outside.result(), resolvers=reaching.resolvers())
    return Own(clock.now(), settings, ground, service.result(), journal.result(), shown.result())


async def beneath(state: State, settings: Settings, clock: Clock) -> Own:
    """The machine and the journal alone."""
    why = Unseen("the machine alone was looked at")
    service = Service(Process(0), None, why, why, why, 0, why, ())
    async with asyncio.TaskGroup() as group:
        ground = group.create_task(_ground(state, settings), name="look at the machine")
        journal = group.create_task(
            asyncio.to_thread(_journal, state.database, answers=False), name="look at the journal"
        )
        outside = group.create_task(_outside(state, journal, reaching.LIMIT), name="look outside")
    seen = replace(ground.result(), reached=outside.result(), resolvers=reaching.resolvers())
    return Own(clock.now(), settings, seen, service, journal.result())


async def _outside(state: State, journal: asyncio.Task[Journal | Unseen], limit: float) -> tuple[Reached, ...]:
    """Whether hosts of repositories of late and the package index are in reach, by the service's own variables."""
    told = await journal
    repositories = () if isinstance(told, Unseen) else told.repositories
    return await reaching.reached(holding.holder(state.run / "up.lock"), repositories, limit)


async def with_launch(own: Own, state: State) -> Own:
    """The same, and whether a launch gets to a kernel."""
    return replace(own, launch=await trying.launch(state, own.settings.service))


async def _certificates(
    state: State, settings: Settings, admin: Failure | None
) -> tuple[CertificateSeen, ...] | Unseen:
    return Unseen("the service does not answer") if admin is not None else await showing.certificates(state, settings)


async def _ground(state: State, settings: Settings) -> Ground:
    sandboxed = settings.session.isolation is IsolationMode.SANDBOX
    where = {"Caddy": binary, "uv": uv.program, "git": lambda: programs.on_path("git")}
    if sandboxed:
        where["bubblewrap"] = lambda: str(tools.bubblewrap(state.pad, copied=False))
    there, missing = await programs.programs(where)
    sandbox = await _sandbox(state) if sandboxed else Unseen("session.isolation is none")
    homes = await _homes(settings)

    def ground() -> Ground:
        unusable, too_open = _files(state)
        return Ground(
            state.root, machine.room(state.root), machine.switches(), machine.cgroups(), there, missing, sandbox,
            unusable, too_open, _base(state, settings), _garbage(state), _past(state), homes, machine.memory(),
        )  # fmt: skip

    return await asyncio.to_thread(ground)  # a service looks too, and may have thousands of environments and keys


async def _homes(settings: Settings) -> Failure | Unseen | None:
    if not settings.home.path:
        return Unseen("home.path is empty")
    try:
        await HomesOnDisk(lambda: settings.home).look()
    except Fail as error:
        return error.failure
    return None


def _base(state: State, settings: Settings) -> Failure | Unseen | None:
    if settings.platform.root is Root.HOST:
        return Unseen("platform.root is host")
    if settings.session.isolation is not IsolationMode.SANDBOX:
        return Unseen("session.isolation is none")
    try:
        return bases.impossible(state, settings.platform)
    except OSError:
        return Unseen("another user's service keeps it to itself")


def _garbage(state: State) -> tuple[Damage, ...]:
    try:
        return tuple(Damage(str(path), saw) for path, saw in store.damaged(state.environments))
    except OSError:
        return ()  # another user's service keeps it to itself


def _past(state: State) -> tuple[FreeThen, ...]:
    try:
        return disk_history.read(state.free_disk)
    except OSError:
        return ()  # another user's service keeps it to itself


async def _sandbox(state: State) -> Failure | None:
    """Why none can be made."""
    try:
        await ground.try_out(Footing(tools.bubblewrap(state.pad, copied=False), None, own_uids=False))
    except Fail as error:
        return error.failure
    return None


def _files(state: State) -> tuple[Failure | None, tuple[tuple[Path, int], ...]]:
    """Why the state directory cannot be used, and files of secrets that others may read."""
    if not state.root.exists():
        return None, ()  # the first start makes it
    where = Evidence(str(state.root), "statvfs: ST_RDONLY")
    try:
        if not state.root.is_dir():
            remedy = "Put the file elsewhere, or choose another path with --state."
            return STATE_UNUSABLE("it is no folder", Evidence(str(state.root), "a file"), remedy=remedy), ()
        if os.statvfs(state.root).f_flag & os.ST_RDONLY:
            return STATE_UNUSABLE("its file system is mounted to be read only", where, remedy=REMOUNT), ()
        statedir.check_passable(state.root)
        return None, machine.too_open(state)
    except Fail as error:
        return error.failure, ()
    except OSError as error:
        where = Evidence(str(error.filename or state.root), str(error))
        return STATE_UNUSABLE("this user may not look into it", where), ()


def _journal(path: Path, *, answers: bool) -> Journal | Unseen:
    """`answers`: whether a service does, which then has a journal."""
    try:
        return replace(sqlite.look(path), held=holding.writer(path))
    except FileNotFoundError:
        anew = "its file was removed, and the service writes it anew, whole, at its next use"
        return Unseen(anew if answers else "there is none yet")
    except OSError as error:
        return Unseen(f"{path}: {error.strerror}")


async def _service(state: State, settings: Settings, admin: Failure | None) -> Service:
    caddy = Caddy(state, LIMIT)
    listens = table(settings, state, STATIC, ASSETS_VERSION)
    silent = Unseen("the service does not answer")
    async with asyncio.TaskGroup() as group:
        served = group.create_task(caddy.look(), name="look at Caddy")
        login = group.create_task(_login(settings, state), name="look at how people log in")
        answering = None if admin else group.create_task(_answering(state, settings), name="ask the service")
        opening = group.create_task(_asked("http://perijove/", state.control_socket), name="ask whether it starts")
    control, led, same_secret = answering.result() if answering else (silent, silent, silent)
    isolation, pad = await _sandboxes(state, settings) if admin is None else (silent, silent)
    holder = holding.process_of(state.run / "up.lock")
    began = holding.since(holder.pid)
    return Service(
        holder=holder,
        held_for=max(0.0, time.time() - began) if began else 0.0,
        opening=OPENING in opening.result()[0].saw,
        admin=admin,
        control=control,
        same_secret=same_secret,
        data_plane=served.result() or led,
        caddy=caddy.pid() or 0,
        ports=Unseen("Caddy has them") if caddy.pid() is not None else _ports(settings, state),
        listeners=holding.listeners((*listens.http, *listens.https)),
        login=login.result(),
        isolation=isolation,
        pad=pad,
        pad_process=holding.process_of(state.pad_lock),
    )


async def _answering(state: State, settings: Settings) -> tuple[Failure | None, Failure | Unseen | None, bool | Unseen]:
    """Why the socket behind Caddy does not answer, why Caddy does not lead there, whether the secret is the same."""
    async with asyncio.TaskGroup() as group:
        behind = group.create_task(_asked("http://perijove" + NOBODYS, state.control_socket), name="ask behind Caddy")
        before = group.create_task(_asked(listening_origin(settings.service) + NOBODYS), name="ask as visitors do")
    (answered, marker), (through, seen) = behind.result(), before.result()
    if not marker:
        why = Unseen("nobody answers behind it")
        return NOT_ANSWERING("the socket behind Caddy does not answer", answered), why, why
    led = None if seen else DATA_PLANE_DOWN("our own address does not lead to us", through)
    known = _marker(state)
    return None, led, marker == known if known else Unseen("the secret on disk cannot be read")


async def _sandboxes(state: State, settings: Settings) -> tuple[Isolation | Unseen, Failure | Unseen | None]:
    """What whoever holds the sandboxes has for limits, and why the service has no answer from there."""
    transport = httpx.AsyncHTTPTransport(uds=str(state.admin_socket), verify=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://perijove", timeout=LIMIT) as operator:
            told = (await operator.get("/status")).raise_for_status().json()
    except httpx.TimeoutException:
        why = Unseen(f"the service does not say within {LIMIT:g} s")
        pad, asked = holding.process_of(state.pad_lock), Evidence(f"{state.admin_socket}, /status", "no answer")
        if settings.engine.kind is EngineKind.KUBERNETES or not pad.pid:
            return why, why
        cause = f"process {pad.pid} is {pad.doing or 'there'}, and the service has waited {LIMIT:g} s for its answer"
        return why, PAD_SILENT(cause, Evidence(str(state.pad_lock), f"held by process {pad.pid}"), asked)
    except (httpx.HTTPError, ValueError) as error:
        why = Unseen(f"the service did not tell: {str(error)[:200]}")
        return why, why
    if told["pad"]:
        # A service of before says it in words alone.
        failure: Failure = wire.decode(Failure, told["failure"]) if "failure" in told else PAD_DOWN(str(told["pad"]))
        return Unseen(failure.message), failure
    isolation: Isolation = wire.decode(Isolation, told["isolation"])
    return isolation, None


async def _login(settings: Settings, state: State) -> Failure | Unseen | None:
    """Why people cannot log in, as far as can be seen without one of them."""
    auth = settings.auth
    try:
        if auth.method is AuthMethod.PASSWORD:
            if not PasswordFile(lambda: state.people_in(auth.password_file)).entries():
                where = Evidence(str(state.people_in(auth.password_file)), "nobody")
                return PEOPLE_UNREADABLE(
                    "there is nobody in it", where, remedy="Add somebody: `perijove user add NAME`."
                )
        elif auth.method is AuthMethod.OIDC:
            await OidcProvider(lambda: auth, SystemClock()).check(f"{own_url(settings.service)}login/back")
        else:
            return Unseen(
                "nobody logs in here" if auth.method is AuthMethod.NONE else "the web server in front does it"
            )
    except Fail as error:
        if isinstance(error.__cause__, PermissionError):
            return Unseen("another user's service keeps it to itself")
        return error.failure
    return None


def _ports(settings: Settings, state: State) -> Failure | None:
    """Why the service's addresses cannot be listened on."""
    listens = addresses.present(table(settings, state, STATIC, ASSETS_VERSION), ipv6=addresses.has_ipv6())
    try:
        addresses.check(listens, held=())
    except Fail as error:
        return error.failure
    return None


def _marker(state: State) -> str:
    """What the secret on disk marks answers with; `` where it cannot be read."""
    try:
        secret = state.secret.read_bytes()
    except PermissionError:
        return ""
    except OSError:
        secret = b""
    return Keys(secret).solver_marker()


async def _asked(url: str, socket: Path | None = None) -> tuple[Evidence, str]:
    """What stood there, and the marker of the service that answered."""
    where = str(socket or url)
    transport = httpx.AsyncHTTPTransport(uds=str(socket) if socket else None, verify=False)  # either speaks http
    try:
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=LIMIT) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        return Evidence(where, (str(error) or repr(error))[:500]), ""
    return Evidence(where, f"{answer.status_code} {answer.text[:200]}"), answer.headers.get(MARKER, "")
