"""The port ForeignCode without a sandbox: only for code of our own, in tests of what comes before and after."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from functools import reduce
from pathlib import Path

from perijove.domain.nouns import ForeignRun
from perijove.domain.ports import Tell
from perijove.domain.ran import Ran
from perijove.launching.start.sandbox import HOME


class UnconfinedForeignCode:
    """Runs the command with a folder below /tmp for its home; remembers what it was asked."""

    def __init__(self) -> None:
        self.runs: list[ForeignRun] = []

    async def run(self, run: ForeignRun, into: Path, tell: Tell) -> Ran:
        self.runs.append(run)
        home = Path(tempfile.mkdtemp(prefix="perijove-foreign-"))
        places = [(HOME, str(home)), *((str(one.target), str(one.source)) for one in run.mounts)]
        moved: Callable[[str], str] = lambda text: reduce(lambda text, place: text.replace(*place), places, text)  # noqa: E731
        try:
            if run.home_from is not None:
                shutil.copytree(run.home_from, home, symlinks=True, dirs_exist_ok=True)
            process = await asyncio.create_subprocess_exec(
                *map(moved, run.command),
                env={name: moved(value) for name, value in run.environ},
                cwd=home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert process.stdout is not None
            async for line in process.stdout:
                tell(line.decode().rstrip())
            if (home / run.result).is_dir():
                shutil.copytree(home / run.result, into, dirs_exist_ok=True)
            return Ran(await process.wait())
        finally:
            shutil.rmtree(home)
