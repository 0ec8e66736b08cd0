"""The sockets that Caddy inherits: a real one, reloaded, adopted, killed and told other addresses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from perijove.backends.caddy import Caddy
from perijove.backends.caddy.configuration import FIRST_DESCRIPTOR
from perijove.backends.caddy.process import KILLED
from perijove.backends.caddy.program import death
from perijove.domain.failures import DATA_PLANE_DOWN, PORT_TAKEN, Fail
from perijove.domain.parsing import split_address
from perijove.domain.state import State
from tests.fakes.ports import free_port, listening
from tests.fakes.tls_front import LIMIT, TlsFront, tls_front

pytestmark = pytest.mark.e2e
CHALLENGE = "/.well-known/acme-challenge/token"
RELOADS = 30
AT_LEAST = 3
"""Connections of each client between two reloads."""


@pytest.fixture
async def front(state: State) -> AsyncIterator[TlsFront]:
    async with tls_front(state) as front:
        yield front


@dataclass
class Hammer:
    """Connects without a pause, each time anew, and keeps what went wrong."""

    connect: Callable[[], object]
    stopped: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                self.connect()
            except (OSError, AssertionError) as error:
                self.wrong.append(repr(error))
            self.connections += 1


@contextlib.asynccontextmanager
async def hammering(*connects: Callable[[], object]) -> AsyncIterator[list[Hammer]]:
    """A thread for each."""
    hammers = [Hammer(connect) for connect in connects]
    threads = [asyncio.create_task(asyncio.to_thread(hammer.run)) for hammer in hammers]
    try:
        yield hammers
    finally:
        for hammer in hammers:
            hammer.stopped.set()
        await asyncio.gather(*threads)


def asks(address: str) -> bool:
    """As a CA: one connection, one request, read to its end. Whether it was answered.

    Where a request comes just as a server shuts down, Go closes its connection in order, and without an answer
    (golang/go#75591); whoever is reset was lost by the kernel.
    """
    with socket.create_connection(split_address(address), timeout=LIMIT) as there:
        there.sendall(f"GET {CHALLENGE} HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: there.recv(65536), b""))
    assert not answer or answer.startswith(b"HTTP/1.1 200 "), answer[:80]
    return answer != b""


def shakes(address: str, context: ssl.SSLContext) -> None:
    """A handshake, with the certificate verified."""
    with socket.create_connection(split_address(address), timeout=LIMIT) as there:
        context.wrap_socket(there, server_hostname="one.test").close()


def port_of(address: str) -> int:
    return split_address(address)[1]


def listeners(address: str) -> set[str]:
    """The kernel's sockets (inodes) that listen on this IPv4 address's port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {line[9] for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == port_of(address)}


async def answered(address: str) -> bool:
    """Whether a request is: the first one, or after a reload another."""
    return await asyncio.to_thread(lambda: any(asks(address) for _ in range(5)))


async def test_a_reload_resets_no_connection(front: TlsFront) -> None:
    revisions = [front.certificate("one.test") for _ in range(2)]
    await front.ensure(certificates=(revisions[0],))
    http, https = front.table.http[0], front.table.https[0]
    contexts = [front.trusting() for _ in range(2)]
    visitors = [partial(shakes, https, context) for context in contexts]
    async with hammering(partial(asks, http), partial(asks, http), *visitors) as hammers, asyncio.timeout(LIMIT):
        for reload in range(1, RELOADS + 1):
            before = [hammer.connections for hammer in hammers]
            await front.ensure(certificates=(revisions[reload % 2],))
            while any(h.connections < count + AT_LEAST for h, count in zip(hammers, before, strict=True)):
                await asyncio.sleep(0.005)
    assert [hammer.wrong for hammer in hammers] == [[], [], [], []]


async def test_whoever_adopts_it_reloads_it_with_the_sockets_it_was_given(front: TlsFront) -> None:
    one, other = (front.certificate("one.test") for _ in range(2))
    await front.ensure(certificates=(one,))
    http, https = front.table.http[0], front.table.https[0]
    pid, before = front.caddy.pid(), (listeners(http), listeners(https))
    front.caddy = Caddy(front.state)
    await front.ensure(certificates=(other,))
    assert front.caddy.pid() == pid
    assert (listeners(http), listeners(https)) == before
    assert [len(found) for found in before] == [1, 1]
    assert await answered(http)
    assert await front.shows("one.test", other)


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "before anybody watches"])
async def test_one_that_was_killed_is_told_and_given_sockets_anew(front: TlsFront, watched: bool) -> None:
    one = front.certificate("one.test")
    await front.ensure(certificates=(one,))
    http, https = front.table.http[0], front.table.https[0]
    pid, before = front.caddy.pid(), listeners(http) | listeners(https)
    assert pid is not None
    async with asyncio.timeout(LIMIT):
        ended = asyncio.create_task(front.caddy.ended()) if watched else None
        while watched and "watch Caddy" not in {task.get_name() for task in asyncio.all_tasks()}:
            await asyncio.sleep(0)
        with socket.create_connection(split_address(http)):
            os.kill(pid, signal.SIGKILL)
            if ended is None:
                await death(pid)
            with pytest.raises(Fail) as raised:
                await (ended or front.caddy.ended())
            await front.ensure()
    assert (raised.value.failure.kind, raised.value.failure.cause) == (DATA_PLANE_DOWN, KILLED)
    assert front.caddy.pid() not in (None, pid)
    assert not before & (listeners(http) | listeners(https))
    assert await answered(http)
    assert await front.shows("one.test", one)


async def test_an_address_comes_and_goes_while_it_runs(front: TlsFront) -> None:
    await front.ensure()
    given, added, pid = front.table.http[0], f"127.0.0.1:{free_port()}", front.caddy.pid()
    await front.ensure(http=(given, added))
    assert await answered(given)
    assert await answered(added)
    await front.ensure(http=(given,))
    async with asyncio.timeout(LIMIT):  # Caddy closes what it opened after it has said that it is reloaded
        while listeners(added):
            await asyncio.sleep(0.005)
    assert await answered(given)
    assert front.caddy.pid() == pid


async def test_an_address_it_was_given_is_free_when_it_is_no_longer_wanted(front: TlsFront) -> None:
    await front.ensure()
    given, pid = front.table.http[0], front.caddy.pid()
    await front.ensure(http=(f"0.0.0.0:{port_of(given)}",))
    assert await answered(given)
    await front.ensure(http=(f"127.0.0.1:{free_port()}",))
    assert front.caddy.pid() not in (None, pid)
    assert not listeners(given)
    assert await answered(front.table.http[0])


async def test_it_goes_on_where_the_address_it_should_move_to_is_taken(front: TlsFront) -> None:
    await front.ensure()
    given, pid = front.table.http[0], front.caddy.pid()
    with listening() as port, pytest.raises(Fail) as raised:
        await front.ensure(http=(f"127.0.0.1:{port}",))
    assert raised.value.failure.kind is PORT_TAKEN
    assert front.caddy.pid() == pid
    assert await answered(given)


async def test_sockets_arrive_whatever_numbers_they_have_with_us(front: TlsFront) -> None:
    """In a process with many files open, theirs are those that others should have in Caddy."""
    http = tuple(f"127.0.0.1:{port}" for port in [free_port() for _ in range(8)])
    with contextlib.ExitStack() as files:
        while (number := os.open(os.devnull, os.O_RDONLY)) < FIRST_DESCRIPTOR:
            files.callback(os.close, number)
        os.close(number)
        await front.ensure(http=http)
    assert [await answered(address) for address in http] == [True] * len(http)
    assert await front.refuses("one.test")
