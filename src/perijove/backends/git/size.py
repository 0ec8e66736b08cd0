"""How large may a checkout become? Watch a folder while work fills it. Not pure."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from perijove.domain.failures import TOO_LARGE, Evidence, Fail

T = TypeVar("T")


def refuse_size(size: int, limit: int, what: str) -> None:
    """Refuse more than `limit` bytes of `what`. Raises Fail: `resolve.too-large`."""
    if size > limit:
        cause = f"it needs more than {limit / 1024**2:.4g} MiB"
        raise Fail(
            TOO_LARGE(cause, Evidence("repositories.max_size", f"{limit} bytes"), Evidence(what, f"{size} bytes"))
        )


async def within_size(folder: Path, limit: int, work: Coroutine[Any, Any, T]) -> T:
    """Do work that fills a folder; end it when the folder outgrows `limit` bytes.

    Raises Fail: `resolve.too-large`, and what the work raises.
    """
    task = asyncio.create_task(work, name="filling a checkout")
    loop = asyncio.get_running_loop()
    pause = 0.2
    try:
        while not (await asyncio.wait({task}, timeout=pause))[0]:
            began = loop.time()
            refuse_size(await asyncio.to_thread(size_of, folder), limit, "fetched so far")
            pause = max(0.2, 5 * (loop.time() - began))
        result = task.result()
        refuse_size(await asyncio.to_thread(size_of, folder), limit, "fetched so far")
        return result
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder that may change meanwhile."""
    total = 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total
