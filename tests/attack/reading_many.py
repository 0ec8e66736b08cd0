"""Many readers at once, each from an address of its own: `python -m tests.attack.reading_many PORT PATH COUNT`.

A process of its own, so that whoever measures beside it is not held up. Prints a JSON list: status and frames of each.
"""

from __future__ import annotations

import asyncio
import json
import sys


async def read(port: int, path: str, source: str) -> tuple[int, int]:
    """An answer's status, and how many frames came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    text = await reader.read(-1)
    writer.close()
    return int(text[9:12]), text.count(b"data: ")


async def _all(port: int, path: str, count: int) -> None:
    sources = [f"127.0.{1 + n // 200}.{1 + n % 200}" for n in range(count)]
    print(json.dumps(await asyncio.gather(*(read(port, path, source) for source in sources))))


if __name__ == "__main__":
    asyncio.run(_all(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
