"""Ports that nobody else has: neither the other test processes of this machine nor the kernel's outgoing connections.

A port that is free when it is chosen is bound seconds later. One of those that the kernel gives away by itself may be
somebody's connection by then, or the choice of another process that asked as well.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from collections.abc import Iterator
from functools import cache

FIRST, EACH, BLOCKS = 20_000, 400, 30
"""Below `net.ipv4.ip_local_port_range` as Linux has it, and none that browsers refuse to ask.

A port that connections were closed at cannot be bound for a minute (TIME_WAIT): a hundred were not enough for three
quick files of tests, run twice.
"""


def free_port() -> int:
    """Free at every address of IPv4; another one each time, until all of this process's were had once."""
    _, mine = _block()
    for port in itertools.islice(mine, EACH):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("0.0.0.0", port))
            return port
    raise OSError("no port is free")


@cache
def _block() -> tuple[socket.socket, Iterator[int]]:
    """This process's ports, and what holds them while it runs: a name that one socket of a network namespace has."""
    for first in range(FIRST, FIRST + EACH * BLOCKS, EACH):
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0perijove-tests-ports-{first}")
        except OSError:
            holder.close()
            continue
        begin = random.randrange(EACH)
        return holder, itertools.cycle(first + (begin + number) % EACH for number in range(EACH))
    raise OSError(f"{BLOCKS} other processes hold all ports")


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port that this test holds."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]
