"""Which programs are there, in which version? In: who says where each is. Out: programs, and failures. Runs them."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping

from perijove.domain.failures import TOOL_MISSING, Evidence, Fail, Failure
from perijove.domain.ground import Program

LIMIT = 5.0
"""Seconds in which a program must have said its version."""
ASK = {"Caddy": "version"}
"""How a program is asked, where `--version` is not it."""


def on_path(name: str) -> str:
    """Raises Fail: `platform.tool-missing`."""
    found = shutil.which(name)
    if found is None:
        looked = Evidence("PATH", os.environ.get("PATH", ""))
        raise Fail(TOOL_MISSING(f"{name} is not installed", looked, remedy=f"Install {name}."))
    return found


async def programs(where: Mapping[str, Callable[[], str]]) -> tuple[tuple[Program, ...], tuple[Failure, ...]]:
    """Those that are there, and why the others are not. `where` raises Fail: `platform.tool-missing`."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_program(name, find), name=f"version of {name}") for name, find in where.items()]
    told = [one.result() for one in asked]
    return (
        tuple(one for one in told if isinstance(one, Program)),
        tuple(one for one in told if isinstance(one, Failure)),
    )


async def _program(name: str, find: Callable[[], str]) -> Program | Failure:
    try:
        path = await asyncio.to_thread(find)
    except Fail as error:
        return error.failure
    try:
        return Program(name, path, await _version(path, ASK.get(name, "--version")))
    except OSError as error:
        return TOOL_MISSING(f"{name} is there and cannot be run", Evidence(path, str(error)))


async def _version(path: str, how: str) -> str:
    process = await asyncio.create_subprocess_exec(
        path, how, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(LIMIT):
            said, _ = await process.communicate()
    except TimeoutError:
        return f"it said nothing within {LIMIT:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = said.decode(errors="replace").splitlines()
    return lines[0].strip()[:200] if lines else ""
