"""Hosts that launches need are looked for beside all else that the service does."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from perijove.backends.ground import reaching


async def test_a_look_for_a_name_shares_no_thread_with_other_work() -> None:
    held = threading.Event()
    with ThreadPoolExecutor(1) as only:
        asyncio.get_running_loop().set_default_executor(only)
        other = asyncio.create_task(asyncio.to_thread(held.wait, 60))
        try:
            async with asyncio.timeout(30):
                assert await reaching.found("127.0.0.1", 443) == "127.0.0.1"
            assert not other.done()
        finally:
            held.set()
        assert await other
