"""The doctor before this service: machine and processes looked at once, all at the same time. In: state, settings.

Nothing is changed. Whether the operator's socket answers is told by whoever asked there.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx

from perijove.backends import sqlite, statedir
from perijove.backends.caddy import Caddy, addresses
from perijove.backends.caddy.program import binary
from perijove.backends.environments import store, uv
from perijove.backends.environments.system import bases
from perijove.backends.ground import holding, machine, past, programs
from perijove.backends.pad import ground, tools
from perijove.backends.pad.footing import Footing
from perijove.domain import wire
from perijove.domain.failures import DATA_PLANE_DOWN, STATE_UNUSABLE, Evidence, Fail, Failure
from perijove.domain.ground import CertificateSeen, Damage, FreeThen, Ground, Journal, Own, Service, Unseen
from perijove.domain.isolation import Isolation
from perijove.domain.keys import Keys
from perijove.domain.listening import listening_url
from perijove.domain.ports import Clock
from perijove.domain.service_failures import NOT_ANSWERING
from perijove.domain.settings import IsolationMode, Settings
from perijove.domain.state import State
from perijove.domain.system_settings import Root
from perijove.routing.table import table
from perijove.web.assets import ASSETS_VERSION, STATIC
from perijove.web.challenge import MARKER, NOBODYS
from perijove.wiring import showing, trying

LIMIT = 2.0
"""Seconds for one answer of the service's own."""


async def look(state: State, settings: Settings, admin: Failure | None, clock: Clock) -> Own:
    """All facts but a launch; `admin` is why the operator's socket does not answer."""
    # Bubblewrap dies with the thread that starts it: this one waits for it, others look meanwhile.
    async with asyncio.TaskGroup() as group:
        beneath = group.create_task(_ground(state, settings), name="look at the machine")
        service = group.create_task(_service(state, settings, admin), name="look at the service")
        journal = group.create_task(asyncio.to_thread(_journal, state.database), name="look at the journal")
        shown = group.create_task(_certificates(state, settings, admin), name="look at certificates")
    return Own(clock.now(), settings, beneath.result(), service.result(), journal.result(), shown.result())


async def beneath(state: State, settings: Settings, clock: Clock) -> Own:
    """The machine and the journal alone."""
    why = Unseen("the machine alone was looked at")
    service = Service(0, None, why, why, why, 0, why, ())
    async with asyncio.TaskGroup() as group:
        ground = group.create_task(_ground(state, settings), name="look at the machine")
        journal = group.create_task(asyncio.to_thread(_journal, state.database), name="look at the journal")
    return Own(clock.now(), settings, ground.result(), service, journal.result())


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
    unusable, too_open = _files(state)
    return Ground(
        state.root, machine.room(state.root), machine.switches(), machine.cgroups(), there, missing, sandbox,
        unusable, too_open, _base(state, settings), _garbage(state), _past(state),
    )  # fmt: skip


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
        return past.read(state.free_disk)
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
    try:
        statedir.check_passable(state.root)
        return None, machine.too_open(state)
    except Fail as error:
        return error.failure, ()
    except OSError as error:
        where = Evidence(str(error.filename or state.root), str(error))
        return STATE_UNUSABLE("this user may not look into it", where), ()


def _journal(path: Path) -> Journal | Unseen:
    try:
        return sqlite.look(path)
    except FileNotFoundError:
        return Unseen("there is none yet")
    except OSError as error:
        return Unseen(f"{path}: {error.strerror}")


async def _service(state: State, settings: Settings, admin: Failure | None) -> Service:
    caddy = Caddy(state, LIMIT)
    listens = table(settings, state, STATIC, ASSETS_VERSION)
    dead = await caddy.look()
    answered, marker = await _asked("http://perijove" + NOBODYS, state.control_socket)
    through, seen = await _asked(listening_url(settings.service) + NOBODYS.lstrip("/"))
    if dead is None and not seen:
        dead = DATA_PLANE_DOWN("our own address does not lead to us", through)
    known = marker and _marker(state)
    return Service(
        holder=holding.holder(state.run / "up.lock"),
        admin=admin,
        control=None if marker else NOT_ANSWERING("the socket behind Caddy does not answer", answered),
        same_secret=marker == known if known else Unseen("the secret on disk cannot be read"),
        data_plane=dead,
        caddy=caddy.pid() or 0,
        ports=Unseen("Caddy has them") if caddy.pid() is not None else _ports(settings, state),
        listeners=holding.listeners((*listens.http, *listens.https)),
        isolation=await _isolation(state) if admin is None else Unseen("the service does not answer"),
    )


async def _isolation(state: State) -> Isolation | Unseen:
    transport = httpx.AsyncHTTPTransport(uds=str(state.admin_socket))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://perijove", timeout=LIMIT) as operator:
            told = (await operator.get("/status")).raise_for_status().json()
    except httpx.HTTPError as error:
        return Unseen(f"the service did not tell: {str(error)[:200]}")
    isolation: Isolation = wire.decode(Isolation, told["isolation"])
    return isolation


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
    transport = httpx.AsyncHTTPTransport(uds=str(socket) if socket else None)
    try:
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=LIMIT) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        return Evidence(where, (str(error) or repr(error))[:500]), ""
    return Evidence(where, f"{answer.status_code} {answer.text[:200]}"), answer.headers.get(MARKER, "")
