"""Addresses of the names that a sandbox asks for, by the system's resolver, in threads of the sandbox's own.

A name server that never answers holds up the sandbox that asked it, and nobody else.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 4
"""Look-ups of one sandbox; more wait for these."""
LIMIT = 10.0
"""Seconds that a name may take, waiting included."""


class Names:
    """One sandbox's look-ups."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Raises OSError, UnicodeError, TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT):
            try:
                found = await loop.run_in_executor(self._threads, _look_up, host, port)
            except RuntimeError as error:
                raise ConnectionAbortedError("the sandbox is gone") from error
        return [str(item[4][0]) for item in found]

    def close(self) -> None:
        """Look nothing more up. What has begun ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[tuple[object, object, object, object, tuple[object, ...]]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
