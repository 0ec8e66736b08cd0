"""What changes among objects? In: the journal, and a way to list them. Out: a line of JSON a change, while it is read.

First every object as ADDED, then BOOKMARK, then what becomes ADDED, MODIFIED or DELETED: as Kubernetes tells a watch.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from perijove.domain.events import Entry
from perijove.journal import Journal
from perijove.web.line_streams import line_stream

Row = dict[str, Any]
List = Callable[[], Awaitable[Sequence[Row]]]
LOOK_EVERY = 5.0
"""Seconds after which they are listed again though the journal said nothing: some things change with time alone."""
AT_MOST_EVERY = 0.1
"""Seconds between two lists, however fast the journal grows."""
REST = 10.0
"""How much longer the pause after a list is than the list took: a reader must not keep the service busy."""


def is_watched(request: Request) -> bool:
    """Whether the reader wants to be told of changes rather than a list."""
    return request.query_params.get("watch") == "1"


def watch(
    journal: Journal, listed: List, named: Callable[[Row], str], *, ignored: Collection[str] = (), kept: bool = False
) -> Response:
    """The changes as they happen. Changes of `ignored` keys (`status`, `status.verdict`) alone are none; with `kept`
    nothing is told as DELETED."""
    return line_stream(_changes(journal, listed, named, ignored, kept=kept))


async def _changes(
    journal: Journal, listed: List, named: Callable[[Row], str], ignored: Collection[str], *, kept: bool
) -> AsyncGenerator[bytes, None]:
    bell, known, first = asyncio.Event(), dict[str, Row](), True

    def ring(entry: Entry) -> None:
        bell.set()

    journal.listeners.append(ring)
    try:
        while True:
            bell.clear()
            began = time.monotonic()
            rows = {named(row): row for row in await listed()}
            took = time.monotonic() - began
            for change, row in _differences(known, rows, ignored):
                if not (kept and change == "DELETED"):
                    yield _line({"type": change, "object": row})
            if first:
                yield _line({"type": "BOOKMARK"})
            known, first = rows, False
            await asyncio.sleep(max(AT_MOST_EVERY, REST * took))
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), LOOK_EVERY)
    finally:
        journal.listeners.remove(ring)


def _differences(before: dict[str, Row], now: dict[str, Row], ignored: Collection[str]) -> list[tuple[str, Row]]:
    """What was added, modified and deleted, in the order of the lists."""

    def told(row: Row) -> Row:
        kept = {key: value for key, value in row.items() if key not in ignored}
        for key, _, below in (one.partition(".") for one in ignored):
            if isinstance(inner := kept.get(key), dict):
                kept[key] = {name: value for name, value in inner.items() if name != below}
        return kept

    changed = [
        ("MODIFIED" if name in before else "ADDED", row)
        for name, row in now.items()
        if name not in before or told(before[name]) != told(row)
    ]
    return changed + [("DELETED", row) for name, row in before.items() if name not in now]


def _line(value: Row) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
