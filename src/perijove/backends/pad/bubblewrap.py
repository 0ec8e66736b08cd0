"""One bubblewrap: what it is given to read, and what it says. In: an order. Out: descriptors, which it is passed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perijove.backends.pad.overlays import Laid
from perijove.backends.pad.sandbox import FILES, Descriptors, arguments
from perijove.backends.pad.seccomp import program
from perijove.backends.pad.spawning import in_memory, readable
from perijove.backends.pad.wire import Order


@dataclass(frozen=True, slots=True)
class Arranged:
    """What there is to start it with, and to follow it by."""

    argv: list[str]
    passed: list[int]
    """Descriptors for it."""
    ends: tuple[int, int]
    """Of those, the ones to close once it has been started."""
    info: int
    """Where it says which process is the sandbox's first."""
    status: int
    block: int
    """It goes on when something is written here."""


@contextlib.contextmanager
def arranged(
    order: Order, home: Path, laid: Sequence[Laid], environ: Sequence[tuple[str, str]], *, counted: bool
) -> Iterator[Arranged]:
    """All for the time of its setting up. Raises Fail: `start.sandbox-failed`, `platform.seccomp-missing`."""
    with contextlib.ExitStack() as files:
        given = partial(in_memory, files)
        status = given(b"")  # no pipe, whose end would end bubblewrap
        etc = tuple((path, given(text.encode())) for path, text in FILES.items())
        filtered = given(program(counted=counted, faked=order.system))
        info, info_theirs = os.pipe2(os.O_CLOEXEC)
        block_theirs, block = os.pipe2(os.O_CLOEXEC)
        for fd in (info, block):
            files.callback(os.close, fd)
        fds = Descriptors(filtered, etc, info_theirs, status, block_theirs)
        given_args = given(arguments(order, home, laid, fds, environ))
        passed = [given_args, filtered, info_theirs, status, block_theirs, *(fd for _, fd in etc)]
        argv = ["bwrap", "--args", f"{given_args}", "--", *order.command]
        yield Arranged(argv, passed, (info_theirs, block_theirs), info, status, block)


async def first_process(info: int) -> int | None:
    """The sandbox's, as the host sees it; None where bubblewrap ended before. It writes in pieces."""
    text = b""
    while b"}" not in text:
        await readable(info)
        piece = os.read(info, 4096)
        if not piece:
            return None
        text += piece
    return int(json.loads(text)["child-pid"])
