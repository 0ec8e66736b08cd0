"""A checkout laid into the home of a session that runs already, and was started without one.

In: a box whose home is empty, and a folder. Out: the same home as one that was copied before its start. What runs in
the sandbox may write there meanwhile: the copy is made where it sees nothing, and each part of it is moved in whole.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from errno import EDQUOT, ENOSPC
from pathlib import Path

from perijove.backends.pad import home
from perijove.backends.pad.box import Box
from perijove.backends.pad.master import Master
from perijove.domain.failures import SANDBOX_FAILED, START_DISK, Evidence, Fail


async def fill(box: Box, home_from: Path, master: Master) -> None:
    """Raises Fail: `start.sandbox-failed`, `start.disk-full`; the home may be filled in part then."""
    aside = box.own / "aside"
    async with box.writing:
        if not box.root or box.order.home_from is not None:
            raise Fail(SANDBOX_FAILED("its home cannot be filled", Evidence("session", box.order.name)))
        try:
            await home.make_home(home_from, aside, box.uid, master)
            await _move(aside, box.home)
            aside.rmdir()
            if box.quota is not None:
                box.quota.hold()
        except OSError as error:
            kind = START_DISK if error.errno in {ENOSPC, EDQUOT} else SANDBOX_FAILED
            where = Evidence(str(error.filename or "system call"), str(error.strerror or error))
            raise Fail(kind("the repository cannot be moved into its home", where)) from error
        finally:
            await home.remove(aside)
        box.order = replace(box.order, home_from=home_from)


async def _move(aside: Path, into: Path) -> None:
    """A rename follows no link at its end, and takes the place of nothing that holds anything. Raises OSError, Fail."""
    with _opened(aside) as source, _opened(into) as target:
        for name in os.listdir(target):
            if not name.startswith("."):  # its server makes hidden folders alone
                raise Fail(SANDBOX_FAILED("its home was changed before it was filled", Evidence("home", name[:200])))
        for number, name in enumerate(os.listdir(source)):
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
            if number % home.SLICE == 0:
                await asyncio.sleep(0)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | home.NO_LINKS)
    try:
        yield opened
    finally:
        os.close(opened)
