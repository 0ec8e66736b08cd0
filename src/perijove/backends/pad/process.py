"""The pad process: `python -m perijove.backends.pad.process --state DIR [--for USER] [--isolation …] [--child]`.

Listens on the state directory's pad socket for its master (and root), one JSON object a line (`wire`), and holds all
sandboxes. One thread only: bubblewrap dies with the thread that started it. `--child` marks a pad that `perijove up`
started and may end; one that a service manager started outlives it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from perijove import durable
from perijove.backends.pad import footing, mounting, quota
from perijove.backends.pad.backlog import Backlog
from perijove.backends.pad.holder import Holder
from perijove.backends.pad.master import Master, named, settle
from perijove.backends.pad.spawning import adopt_orphans, keep_rights_to_ourselves
from perijove.backends.pad.wire import LINE_LIMIT, Message, checked_name, pack, read_order, unpack
from perijove.domain import failures, wire
from perijove.domain.activity import Activity
from perijove.domain.failures import Fail
from perijove.domain.isolation import Isolation
from perijove.domain.keeping import GivenBack, KeepTerms
from perijove.domain.nouns import EndReason, Room, RunningSandbox
from perijove.domain.state import State

LONELY = 600.0
"""Seconds after which a child without sessions and without a client ends by itself."""
OUTSTANDING = 64 * 1024 * 1024
"""Bytes a client may leave unread before it is cut off."""
ALREADY_UP = 3
"""Exit status when another pad holds this state directory."""


class Clients:
    """Answers clients."""

    def __init__(self, holder: Holder, backlog: Backlog, master: Master, child: bool) -> None:
        self.closed = asyncio.Event()
        self._welcome = {0, os.getuid(), master.uid}
        self._holder = holder
        self._backlog = backlog
        self._child = child
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._born = time.time()
        self._heard_of_us = time.monotonic()
        self._asks: dict[str, Callable[[Message], Awaitable[object]]] = {
            "start": self._start,
            "stop": self._stop,
            "running": self._running,
            "activity": self._activity,
            "room": self._room,
            "isolation": self._isolation,
            "warm": self._warm,
            "fill": self._fill,
            "keep": self._keep,
            "give_back": self._give_back,
            "kept": self._kept,
            "fetched": self._fetched,
            "quit": self._quit,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it goes."""
        peer: socket.socket = writer.get_extra_info("socket")
        _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in self._welcome:
            writer.close()
            return

        def send(message: Message) -> None:
            if writer.transport.get_write_buffer_size() > OUTSTANDING:
                writer.transport.abort()
            elif not writer.is_closing():
                writer.write(pack(message))

        hello = {"hello": f"{os.getpid()}-{self._born}", "child": self._child, "sessions": self._holder.names}
        send({**hello, "sandboxed": self._holder.sandboxed})
        self._backlog.join(send)
        runs: dict[int, asyncio.Task[None]] = {}
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                self._take(unpack(line), send, runs)
        except (ValueError, ConnectionError) as error:
            print(f"a client was cut off: {error}", file=sys.stderr, flush=True)  # noqa: T201
        finally:
            self._heard_of_us = time.monotonic()
            self._backlog.leave(send)
            self._writers.discard(writer)
            writer.close()
            for run in list(runs.values()):  # nobody waits for what they make
                run.cancel()

    def _take(self, message: Message, send: Callable[[Message], None], runs: dict[int, asyncio.Task[None]]) -> None:
        if "seen" in message:
            self._backlog.heard(message["seen"])
            return
        if "forget" in message:  # whoever asked no longer waits for the answer
            if message["forget"] in runs:
                runs[message["forget"]].cancel()
            return
        task = asyncio.create_task(self._answer(message, send), name=f"{message.get('ask')}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if message.get("ask") == "run":
            runs[message["id"]] = task
            task.add_done_callback(lambda _: runs.pop(message["id"], None))

    async def _answer(self, message: Message, send: Callable[[Message], None]) -> None:
        number = message["id"]
        try:
            if message["ask"] == "run":
                await self._run(message, send)
                return
            value = await self._asks[message["ask"]](message)
        except Exception as error:  # noqa: BLE001 - becomes a row of the catalogue, told to whoever asked
            send({"id": number, "fail": failures.of(error)})
        else:
            send({"id": number, "ok": value})

    async def _start(self, message: Message) -> None:
        await self._holder.start(read_order(message["order"]))

    async def _stop(self, message: Message) -> None:
        await self._holder.stop(message["session"], EndReason(message["reason"]))

    async def _running(self, message: Message) -> Sequence[RunningSandbox]:
        return self._holder.running(message.get("session"))

    async def _activity(self, message: Message) -> Activity:
        return self._holder.activity(message["session"])

    async def _room(self, _message: Message) -> Room:
        return self._holder.room()

    async def _isolation(self, _message: Message) -> Isolation:
        return await self._holder.isolation()

    async def _warm(self, message: Message) -> str:
        return await self._holder.warm(read_order(message["order"]))

    async def _fill(self, message: Message) -> None:
        await self._holder.fill(message["session"], Path(message["home_from"]))

    async def _keep(self, message: Message) -> None:
        await self._holder.keep(message["session"], wire.decode(KeepTerms, message["terms"]))

    async def _give_back(self, message: Message) -> GivenBack:
        words = message["words"]
        archive, opens, same_commit = Path(words["archive"]), bytes.fromhex(words["opens"]), bool(words["same_commit"])
        return await self._holder.give_back(message["session"], archive, opens, same_commit=same_commit)

    async def _kept(self, _message: Message) -> list[str]:
        return list(self._holder.keeping.waiting())

    async def _fetched(self, message: Message) -> None:
        self._holder.keeping.fetched(checked_name(message["session"]))

    async def _run(self, message: Message, send: Callable[[Message], None]) -> None:
        """Its result is kept until whoever asked forgets it, having fetched it, or is gone: either cancels us."""
        number, order = message["id"], read_order(message["order"])
        line: Callable[[str], None] = lambda text: send({"id": number, "line": text})  # noqa: E731
        async with self._holder.ran(order, message["result"], float(message["timeout"]), line) as ended:
            ran, folder = ended
            send({"id": number, "ok": {"ran": ran, "folder": folder}})
            await asyncio.Event().wait()

    async def _quit(self, _message: Message) -> None:
        """End all sandboxes and then this process."""
        await self._holder.stop_all(EndReason.SERVICE_STOPPED)
        asyncio.get_running_loop().call_soon(self.closed.set)

    async def hang_up(self) -> None:
        """Send what is still to be sent, and let all clients go."""
        for writer in list(self._writers):
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(2):
                    await writer.drain()
            writer.close()
        await asyncio.sleep(0)

    async def end_when_lonely(self) -> None:
        """A child whose `perijove up` never came back, with nothing to hold."""
        while True:
            await asyncio.sleep(LONELY / 10)
            alone = time.monotonic() - self._heard_of_us > LONELY and not self._backlog.listened_to
            if self._child and self._holder.idle and alone:
                self.closed.set()


async def _live(state: State, master: Master, isolation: str, child: bool) -> None:
    loop = asyncio.get_running_loop()
    backlog = Backlog()
    found = footing.find(state, isolation == "sandbox", master)
    if found.own_uids:
        try:
            mounting.move_apart()
            durable.folder(state.home_disks)
            found.disks = await quota.find(state.pad / "disks")
        except OSError as error:
            print(f"nothing can be mounted here: {error}", file=sys.stderr, flush=True)  # noqa: T201
    if found.sandboxed:
        adopt_orphans()
    holder = Holder(state, found, backlog.tell, backlog.ring)
    await holder.sweep()
    clients = Clients(holder, backlog, master, child)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, clients.closed.set)
    state.pad_socket.unlink(missing_ok=True)
    aside = state.pad_socket.with_suffix(".new")
    aside.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(clients.serve, aside, limit=LINE_LIMIT)
    aside.chmod(0o600)
    master.give(aside)
    aside.rename(state.pad_socket)
    lonely = asyncio.create_task(clients.end_when_lonely(), name="lonely")
    await clients.closed.wait()
    lonely.cancel()
    server.close()
    await holder.stop_all(EndReason.SERVICE_STOPPED)
    await clients.hang_up()
    await holder.close()
    state.pad_socket.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="perijove pad")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--isolation", choices=("sandbox", "none"), default="sandbox")
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--for", dest="master", metavar="USER", help="the service's user, where it is another one")
    options = parser.parse_args()
    try:
        return _hold(State(options.state.absolute()), named(options.master) if options.master else None, options)
    except LookupError:
        parser.error(f"there is no user {options.master}")
    except Fail as error:
        print(error.failure.message, file=sys.stderr)  # noqa: T201
        return 1


def _hold(state: State, asked: Master | None, options: argparse.Namespace) -> int:
    """Be the one pad of a state directory; the exit status. Raises Fail: `platform.*`, `start.sandbox-failed`."""
    master = settle(state, asked)
    if master.other:  # root's groups are no part of the rights that are lent to the master's errands
        os.setgroups([])
    lock = os.open(state.pad_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another pad holds this state directory", file=sys.stderr)  # noqa: T201
        return ALREADY_UP
    os.umask(0o022)
    keep_rights_to_ourselves()
    asyncio.run(_live(state, master, options.isolation, options.child))
    return 0


if __name__ == "__main__":
    sys.exit(main())
