"""A data plane in memory, and what one is told to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import PORT_TAKEN, Fail, Failure
from perijove.domain.ports import DataPlane
from perijove.domain.state import State


def plain_table(state: State, listen: str, assets: Path | None = None) -> DataPlaneTable:
    """For one address, by http alone; `assets` are its static files, else all of the state directory."""
    return DataPlaneTable(
        http=(listen,),
        https=(),
        certificates=(),
        redirects=False,
        alpn_hosts=(),
        alpn_directories=(),
        proxies=(),
        control=state.control_socket,
        sessions=state.session_sockets,
        assets=assets or state.root,
        assets_version="v1",
        servers=state.tools,
    )


async def begun_anew(plane: DataPlane, table: DataPlaneTable) -> None:
    """What it does from now on, and nothing of what it did.

    After a reload the old settings may be met for a moment, and a connection that a client keeps ends at any time, also
    while it is used again.
    """
    await plane.close()
    await plane.ensure(table)


class FakeDataPlane:
    """Remembers what it was told. `fails` are raised one after the other first; addresses in `taken` are in use."""

    def __init__(self) -> None:
        self.tables: list[DataPlaneTable] = []
        self.taken: set[str] = set()
        self.fails: list[Failure] = []
        self._alive: asyncio.Event | None = None
        self.asked = 0
        self.hung: Failure | None = None
        """What its next end is for."""

    async def ensure(self, table: DataPlaneTable) -> None:
        self.asked += 1
        if self.fails:
            raise Fail(self.fails.pop(0))
        for address in (*table.http, *table.https):
            if address in self.taken:
                raise Fail(PORT_TAKEN(f"python (process 1) listens on {address}"))
        if self._alive is None or not self.tables or self.tables[-1] != table:
            self.tables.append(table)
        self._alive = self._alive or asyncio.Event()

    async def ended(self) -> None:
        if self._alive is not None:
            await self._alive.wait()
            if self.hung is not None:
                failure, self.hung = self.hung, None
                raise Fail(failure)

    async def close(self) -> None:
        self.die()

    def die(self) -> None:
        """End, as by kill -9."""
        if self._alive is not None:
            self._alive.set()
        self._alive = None
