"""A data plane in memory."""

from __future__ import annotations

import asyncio

from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import PORT_TAKEN, Fail, Failure


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
