"""Is Caddy running, and with this configuration? A process that outlives us, found again by its admin socket.

In: a DataPlaneTable. Out: a configuration that is loaded only when it differs from what runs, since a reload closes
idle connections. Its sockets are bound here and inherited, so that nobody in their queues is lost by a reload.
Implements `DataPlane`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from typing import Any

import httpx

from perijove.backends.caddy import addresses, probe
from perijove.backends.caddy.configuration import FIRST_DESCRIPTOR, bare, configuration, inherited, listens
from perijove.backends.caddy.program import binary, death, listener, send, spawn
from perijove.domain import failures
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.listening import here
from perijove.domain.parsing import split_address
from perijove.domain.state import State
from perijove.log import last_words

START_LIMIT = 10.0
"""Seconds until a new Caddy's admin socket answers."""
ADMIN_LIMIT = 10.0
"""Seconds for one admin request."""
STOP_LIMIT = 5.0
"""Seconds to end after SIGTERM, before SIGKILL."""
GARBAGE = "50"
"""Percent by which Go's heap may grow until it is collected, 100 by itself: 3 MB less under traffic."""
ANSWERED = 2000
"""Characters of an answer that go into a failure."""
KILLED = "Caddy was killed or crashed; another takes its place"


class Caddy:
    """One Caddy for one state directory. Adopts the one that runs, else starts one that outlives this process."""

    def __init__(self, state: State, admin_limit: float = ADMIN_LIMIT) -> None:
        self._state = state
        self._admin_limit = admin_limit
        self._lock = asyncio.Lock()
        self._log = state.logs / "caddy.log"
        self._listener: tuple[str, int, str] | None = None
        """Where it answers by itself: host, port, path."""
        self._stopped: int | None = None
        """The last process that we ended ourselves."""
        self._served: int | None = None
        """The last process that answered us."""
        self._begun: tuple[int, tuple[str, ...]] | None = None
        """A process that nobody has waited for yet, and the addresses of its sockets."""

    def begin(self, table: DataPlaneTable) -> None:
        """Start one where none runs, without waiting for it: `ensure` does, and tells it the table. Raises as it."""
        if self.pid() is None:
            self._begun = self._spawned(addresses.present(table, ipv6=addresses.has_ipv6()))

    async def ensure(self, table: DataPlaneTable) -> None:
        """Have Caddy run with this table; nothing where it does already.

        What ran before may answer a few connections more: caddyhttp's `App.Stop` (Caddy 2) does not wait until its
        servers have stopped to accept.

        Raises Fail: `platform.port-taken`, `platform.port-forbidden`, `platform.data-plane-down`,
        `platform.tool-missing`, `platform.bad-settings`.
        """
        table = addresses.present(table, ipv6=addresses.has_ipv6())
        async with self._lock:
            self._listener = _listener(table)
            runs = None if self._begun else await self._running()
            if runs is not None and runs == configuration(table, self._state, inherited(runs)):
                return
            if runs is not None:
                addresses.check(table, held=listens(runs))
                # A socket that it was given stays open as long as it runs: without a server, whoever connects there
                # would wait for ever, and nobody else could have the port.
                if not set(inherited(runs)) <= {*table.http, *table.https, *table.quic}:
                    await self._stop()
                    runs = None
            given = await self._start(table) if runs is None else inherited(runs)
            try:
                await self._load(configuration(table, self._state, given), table)
            except Fail:
                if runs is None:
                    await self._stop()
                raise

    async def look(self) -> Failure | None:
        """Why it does not serve; None where it runs and answers. Nothing is changed."""
        pid = self.pid()
        if pid is None:
            return self._down("nothing listens on its admin socket")
        try:
            (await self._ask("GET", "/config/")).raise_for_status()
        except httpx.HTTPError as error:
            seen = Evidence(str(self._state.caddy_socket), str(error) or repr(error))
            return self._down(f"process {pid}, {probe.state(pid)}, does not answer at its admin socket", seen)
        return None

    async def ended(self) -> None:
        """Return as soon as no Caddy runs.

        Raises Fail: `platform.data-plane-down` where one hung, which is ended then, or ended without our doing.
        """
        pid = self.pid()
        if pid is None:
            if self._served != self._stopped:
                raise Fail(self._down(KILLED))
            return
        hangs = asyncio.create_task(
            probe.hangs(pid, self._state.caddy_socket, self._listener, self._lock.locked), name="probe Caddy"
        )
        dies = asyncio.create_task(death(pid), name="watch Caddy")
        try:
            await asyncio.wait([hangs, dies], return_when=asyncio.FIRST_COMPLETED)
            if not dies.done():
                failure = self._down("Caddy hung and was ended; another takes its place", hangs.result())
                send(pid, signal.SIGKILL)
                await dies
                raise Fail(failure)
            if pid != self._stopped:
                raise Fail(self._down(KILLED))
        finally:
            hangs.cancel()
            dies.cancel()
            await asyncio.wait([hangs, dies])

    async def close(self) -> None:
        """Stop Caddy; nothing where none runs."""
        async with self._lock:
            await self._stop()

    def pid(self) -> int | None:
        """The process that listens on the admin socket, as the kernel knows it."""
        return listener(self._state.caddy_socket)

    async def _stop(self) -> None:
        pid = self._begun[0] if self._begun else self.pid()
        self._begun = None
        if pid is None:
            self._stopped = self._served
            return
        self._stopped = pid
        send(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await death(pid)
        except TimeoutError:
            send(pid, signal.SIGKILL)
            await death(pid)

    async def _running(self) -> dict[str, Any] | None:
        """The configuration that runs; None where no Caddy does. One that hangs is ended."""
        pid = self.pid()
        if pid is None:
            return None
        try:
            answer = await self._ask("GET", "/config/")
            config: dict[str, Any] = answer.raise_for_status().json() or {}
        except (httpx.HTTPError, ValueError):
            self._stopped = self._served = pid
            send(pid, signal.SIGKILL)
            await death(pid)
            return None
        self._served = pid
        return config

    async def _start(self, table: DataPlaneTable) -> tuple[str, ...]:
        """Have one that answers, begun before or now. Returns the addresses of its sockets."""
        self._begun = pid, given = self._begun or self._spawned(table)  # `close` finds it there until it answers
        try:
            await self._comes_up(pid)
        except Fail:
            self._begun = None  # it has ended
            raise
        self._begun, self._served = None, pid
        return given

    def _spawned(self, table: DataPlaneTable) -> tuple[int, tuple[str, ...]]:
        """One with an admin socket and listening sockets, in a session of its own, so that it outlives us.

        Returns its process and the addresses of the sockets.
        """
        sockets = addresses.bind(table)
        with contextlib.ExitStack() as ours:
            for one in sockets.values():
                ours.enter_context(one)
            program, home = binary(), self._state.caddy
            home.mkdir(mode=0o700, exist_ok=True)
            homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(home))
            config = json.dumps(bare(self._state, tuple(sockets))).encode()
            given = dict(enumerate(sockets.values(), FIRST_DESCRIPTOR))
            try:
                pid = spawn(program, {**homes, "GOGC": GARBAGE}, config, self._log, given)
            except OSError as error:
                failure = failures.DATA_PLANE_DOWN("Caddy could not be started", Evidence(program, str(error)))
                raise Fail(failure) from error
        return pid, tuple(sockets)

    async def _comes_up(self, pid: int) -> None:
        watch = asyncio.create_task(death(pid), name="watch Caddy start")
        try:
            async with asyncio.timeout(START_LIMIT):
                while self.pid() != pid:
                    if watch.done():
                        raise Fail(self._down("Caddy ended as soon as it started"))
                    await asyncio.wait([watch], timeout=0.02)
        except TimeoutError as error:
            send(pid, signal.SIGKILL)
            await death(pid)
            raise Fail(self._down(f"Caddy did not answer within {START_LIMIT:g} s")) from error
        finally:
            watch.cancel()

    async def _load(self, wanted: dict[str, Any], table: DataPlaneTable) -> None:
        try:
            answer = await self._ask("POST", "/load", wanted)
        except httpx.HTTPError as error:
            raise Fail(self._down("Caddy did not take its configuration", Evidence("/load", repr(error)))) from error
        if answer.is_success:
            return
        said = Evidence("Caddy, asked to load its configuration", answer.text[:ANSWERED])
        if "address already in use" in answer.text:
            raise Fail(addresses.taken(*addresses.named(answer.text, table), said))
        raise Fail(self._down("Caddy refused its configuration", said))

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(uds=str(self._state.caddy_socket), verify=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=self._admin_limit
        ) as client:
            return await client.request(method, path, json=body)

    def _down(self, cause: str, *evidence: Evidence) -> Failure:
        try:
            words = last_words(self._log) or "(nothing)"
        except OSError as error:
            words = str(error)
        return failures.DATA_PLANE_DOWN(cause, *evidence, Evidence(str(self._log), words))


def _listener(table: DataPlaneTable) -> tuple[str, int, str] | None:
    """One that speaks without encryption, and an address that no other process answers."""
    if not table.http:
        return None
    host, port = split_address(here(table.http[0]))
    return host, port, f"{table.base}-/{table.assets_version}/"
