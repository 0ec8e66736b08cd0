"""Runs uv: the wheel's program, our cache, the operator's index configuration, every line told as it comes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import uv as uv_wheel

from perijove.backends.environments import complaints
from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.domain.ports import Tell
from perijove.domain.state import State

KEPT = 400
"""Lines of uv's output that a failure may be read from."""
WHEELS_ONLY = ("--only-binary", ":all:", "--no-python-downloads", "--link-mode", "hardlink")
_FROM = re.compile(r" \(from file://[^)]*\)$")
"""Where a wheel lay while the environment was built: nobody's business, and gone by now."""
_DROPPED = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT")


class Complaint(Exception):
    """uv ended with an error; `words` is what it said."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words[-1] if words else "")
        self.words = words


class Uv:
    """uv, as this service runs it: it downloads no interpreters and builds nothing."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def venv(self, at: Path, python: Path, tell: Tell) -> None:
        """An empty environment that can be renamed. Raises Fail: `build.*`."""
        try:
            await self.run(["venv", "--quiet", "--relocatable", "--no-project", "--python", str(python), str(at)], tell)
        except Complaint as complaint:
            raise Fail(complaints.failure(complaint.words)) from complaint

    async def install(self, at: Path, options: Sequence[str], tell: Tell) -> None:
        """Wheels only, hardlinked from the cache. Raises Complaint."""
        await self.run(
            ["pip", "install", "--python", str(at / "bin" / "python"), *WHEELS_ONLY, *options],
            tell,
            cwd=at,
        )

    async def run(self, arguments: Sequence[str], tell: Tell, cwd: Path | None = None) -> None:
        """To its end, or until cancelled: then its whole process group ends. Raises Complaint, Fail."""
        process = await asyncio.create_subprocess_exec(
            program(),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environ(),
            cwd=cwd or self._state.environments,
            start_new_session=True,
            umask=0o022,
        )
        words: list[str] = []
        try:
            assert process.stdout is not None
            async for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip()
                if line and not line.startswith("Using Python "):
                    words.append(line)
                    del words[:-KEPT]
                    tell(_FROM.sub("", line))
            status = await process.wait()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if status != 0:
            raise Complaint(words)

    def _environ(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        if "PIP_INDEX_URL" in environ and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environ.keys():
            environ["UV_DEFAULT_INDEX"] = environ["PIP_INDEX_URL"]
        # One connection of a hundred that is lost is uv's affair; an index that is down is the launch's, and told.
        environ.setdefault("UV_HTTP_RETRIES", "2")
        return environ | {
            "UV_CACHE_DIR": str(self._state.uv_cache),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "NO_COLOR": "1",
        }


def program() -> str:
    """Where uv is. Raises Fail: `platform.tool-missing`."""
    try:
        return uv_wheel.find_uv_bin()
    except FileNotFoundError as error:
        missing = failures.TOOL_MISSING("uv is not where its package says", Evidence("uv.find_uv_bin", str(error)))
        raise Fail(missing) from error
