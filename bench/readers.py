"""A thousand readers of one build's log: what they cost the control plane."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from urllib.parse import urlsplit

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from perijove.backends import statedir

LAUNCHES, EACH = 10, 100
"""Of one build, and readers of each: as many as may follow one launch."""
LINES = 2000
LAST = f"line {LINES} of"
TARGET = 40.0
"""Kilobytes a reader."""
LIMIT = 120.0
"""Seconds until all have read it."""
BUILD = f"""#!/bin/sh
i=0
while [ $i -lt {LINES} ]; do i=$((i+1)); echo "line $i of what a build says, as long as a compiler's lines are"; done
sleep 600
"""


def readers(bench: Bench, folder: Path, patience: float) -> Part:
    """They hold the keys of launches that wait for one build, and read its log until that is given up."""
    part = Part("readers", f"{LAUNCHES * EACH} readers of one build's log of {LINES} lines")
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "postBuild").write_text(BUILD)
    (folder / "postBuild").chmod(0o755)
    _allow_files()
    bench.service.stop()
    bench.up()
    client, keys = bench.admin(), statedir.keys(bench.state)
    numbers = [int(client.call("POST", "/launches", {"folder": str(folder)})["number"]) for _ in range(LAUNCHES)]
    one = f"/api/launches/{numbers[0]}/events?key={keys.launch_key(numbers[0])}"
    port = urlsplit(bench.service.url).port or 80
    asyncio.run(_all_read(port, [one], 1, lambda: None))
    machine.quiet(patience)
    control = [bench.control()]
    before = machine.megabytes(control)
    held: list[float] = []
    paths = [f"/api/launches/{number}/events?key={keys.launch_key(number)}" for number in numbers]
    spent = sum(bench.control().cpu_times()[:2])
    asyncio.run(_all_read(port, paths, EACH, lambda: held.append(machine.megabytes(control))))
    spent = sum(bench.control().cpu_times()[:2]) - spent
    count = LAUNCHES * EACH
    part.rows = [
        Row("control plane, before", [before], unit="MB"),
        Row("control plane, while they follow", held, unit="MB"),
        Row("a reader", [1024 * (held[0] - before) / count], target=TARGET, unit="kB"),
        Row("processor time of the control plane, a reader", [spent / count]),
    ]
    bench.service.stop()
    bench.up()
    return part


def _allow_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _all_read(port: int, paths: list[str], each: int, look: object) -> None:
    """Each from an address of its own, until all have read the build's last line; then somebody looks."""
    assert callable(look)
    sources = [f"127.0.{1 + n // 200}.{1 + n % 200}" for n in range(len(paths) * each)]
    whose = [path for path in paths for _ in range(each)]
    writers = list[asyncio.StreamWriter]()
    async with asyncio.timeout(LIMIT):
        reading = (_reads(port, path, source) for path, source in zip(whose, sources, strict=True))
        writers += await asyncio.gather(*reading)
    look()
    for writer in writers:
        writer.close()


async def _reads(port: int, path: str, source: str) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=1 << 20)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    while LAST.encode() not in (line := await reader.readline()):
        if not line:
            raise EOFError(f"the stream of {path} ended early")
    return writer
