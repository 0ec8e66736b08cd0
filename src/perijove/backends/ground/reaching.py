"""Can this machine resolve names, and does it get to the hosts that launches need? In: URLs. Out: facts. Acts.

A connection is made and closed, by the operator's proxy where there is one, which resolves names itself then.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psutil

from perijove import proxies
from perijove.domain.ground import PACKAGE_INDEX, Reached
from perijove.domain.way_out import WayOut, way_out

LIMIT = 3.0
"""Seconds for a name, and for a connection: a launch that failed waits 5 s for all that is looked at."""
PATIENT = 11.0
"""Seconds for whoever has time: glibc waits 5 s for an answer and asks twice (resolv.conf(5), `timeout`, `attempts`).

One lost packet alone takes longer than `LIMIT`."""
TURNS = 10
INDEX = "https://pypi.org"
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""Variables of uv's and pip's, in the order in which they count for builds."""
_CONFIGURED = (Path("/etc/uv/uv.toml"), Path.home() / ".config/uv/uv.toml")
"""uv's own files, of which any may name another index."""
RESOLVERS = Path("/etc/resolv.conf")
_LOOKUPS = ThreadPoolExecutor(4, "names")
"""A resolver that is silent holds a thread for half a minute: no other work of the service waits behind these."""

T = TypeVar("T")


async def reached(service: int, repositories: Sequence[str], limit: float = LIMIT) -> tuple[Reached, ...]:
    """The package index, and hosts that repositories came from; `service` is the process whose variables count.

    `limit`: seconds for each name, and for each connection.
    """
    told = _environ(service)
    way = way_out(told)
    index = next((told[name] for name in _INDEXES if told.get(name)), "")
    asked = [(index or INDEX, PACKAGE_INDEX)] if index or not any(map(os.path.exists, _CONFIGURED)) else []
    asked += [(await _fetched_from(url, told), "repositories") for url in repositories]
    hosts = {parts.hostname: (parts, what) for url, what in asked if (parts := urlsplit(url)).hostname}
    async with asyncio.TaskGroup() as group:
        looks = [
            group.create_task(
                _reach(host or "", parts.port or {"http": 80}.get(parts.scheme, 443), what, way, limit),
                name=f"reach {host}",
            )
            for host, (parts, what) in hosts.items()
        ]
    return tuple(look.result() for look in looks)


async def _fetched_from(url: str, environ: Mapping[str, str]) -> str:
    """Where git goes for it: to a mirror, where its configuration names one (`url.<mirror>.insteadOf`)."""
    words = ("git", "ls-remote", "--get-url", url)  # asks nobody
    quiet = asyncio.subprocess.DEVNULL
    try:
        git = await asyncio.create_subprocess_exec(
            *words, stdin=quiet, stdout=asyncio.subprocess.PIPE, stderr=quiet, env=environ, cwd="/"
        )
    except OSError:  # without git nothing is fetched, and that is told
        return url
    try:
        async with asyncio.timeout(LIMIT):
            said, _ = await git.communicate()
    except TimeoutError:
        git.kill()
        await git.wait()
        return url
    return said.decode(errors="replace").strip() or url


def resolvers() -> tuple[str, ...]:
    """The name servers of /etc/resolv.conf."""
    try:
        lines = [line.split() for line in RESOLVERS.read_text(errors="replace").splitlines()]
    except OSError:
        return ()
    return tuple(words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1)


def _environ(process: int) -> Mapping[str, str]:
    """That process's variables, else this one's own."""
    try:
        return psutil.Process(process).environ() if process else os.environ
    except psutil.Error:
        return os.environ


async def _reach(host: str, port: int, what: str, way: WayOut, limit: float) -> Reached:
    by = urlsplit(way.proxy("http" if port == 80 else "https", host))
    peer, at = (by.hostname, by.port or proxies.PORTS.get(by.scheme, 80)) if by.hostname else (host, port)
    seen = Reached(f"{host}:{port}", what, f"{peer}:{at}" if by.hostname else "")
    try:
        address = await _within(limit, found(peer, at))
    except socket.gaierror as error:
        lasting = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        return replace(seen, words=str(error), unresolved=True, no_resolver=not lasting)
    except TimeoutError:
        return replace(seen, words=f"no answer within {limit:g} s", unresolved=True, no_resolver=True)
    try:
        await _within(limit, _connected(address, at, (by.geturl(), host, port)))
    except (OSError, TimeoutError) as error:
        return replace(seen, words=str(error) or f"no answer within {limit:g} s")
    return seen


async def _within(limit: float, look: Coroutine[None, None, T]) -> T:
    """What it came to. Raises TimeoutError.

    It is waited for by turns: while this process itself was held up, as on a busy machine, no more than one goes by.
    """
    task = asyncio.create_task(look, name="reach")
    try:
        for _ in range(TURNS):
            done, _ = await asyncio.wait((task,), timeout=limit / TURNS)
            if done:
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def found(host: str, port: int) -> str:
    """An address of a host. Raises socket.gaierror."""
    look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    rows = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, look)
    return str(rows[0][4][0])


async def _connected(address: str, at: int, beyond: tuple[str, str, int]) -> None:
    """Raises OSError, TimeoutError."""
    streams = await asyncio.open_connection(address, at)
    try:
        proxy, host, port = beyond
        if proxy:
            await proxies.lead_on(streams, urlsplit(proxy), host, port)
    finally:
        streams[1].close()
