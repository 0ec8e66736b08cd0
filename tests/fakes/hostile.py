"""Functions that do what strangers' bytes may make a parser do; called by name, in processes that may die."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from perijove.domain.failures import BAD_FILE, Evidence, Fail
from perijove.domain.nouns import EnvironmentPlan, InstallProject, PythonRequest, PythonSource, Step


def plan(python: str, steps: tuple[Step, ...]) -> EnvironmentPlan:
    return EnvironmentPlan(PythonRequest(python, PythonSource.DEFAULT), (*steps, InstallProject(".")))


def counted(texts: Mapping[str, str], names: frozenset[str]) -> dict[str, int]:
    return {name: len(texts.get(name, "")) for name in names}


def loaded() -> tuple[str, ...]:
    """All packages that are."""
    return tuple({name.partition(".")[0] for name, found in sys.modules.items() if found is not None})


def niceness() -> int:
    return os.nice(0)


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise Fail(BAD_FILE("there is none", Evidence(str(path), "nothing"))) from error


async def told(lines: tuple[str, ...], tell: Callable[[str], None]) -> int:
    for line in lines:
        await asyncio.sleep(0)
        tell(line)
    return len(lines)


def refused(text: str) -> None:
    raise Fail(BAD_FILE("it is no good", Evidence("line 1", text)))


def mistaken(text: str) -> int:
    return int(text)


def deep(text: str) -> int:
    return deep(text) + 1


def forever(text: str) -> bool:
    """Quadratic in its text, and it holds the interpreter's lock meanwhile."""
    return re.match(r"(?:a+)+$", text) is not None


async def silent(seconds: float) -> None:
    await asyncio.sleep(seconds)


def hungry(size: int) -> int:
    return len(bytearray(size))


def writes(path: str, size: int) -> int:
    return Path(path).write_bytes(bytes(size))


def wordy(size: int) -> str:
    return "x" * size


def ends(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def crashes(text: str) -> None:
    ctypes.string_at(0)


def lies(text: str) -> int:
    """Answers in the place of its function, with something else than it promises."""
    for fd in range(3, 64):
        try:
            line = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with line:
            if line.family == socket.AF_UNIX:
                line.send(b'{"ok":["no","number"]}\n')
    os._exit(0)


def leaves_behind() -> int:
    """A child in a session of its own, which outlives its parent."""
    return subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, start_new_session=True).pid


def rights(text: str) -> dict[str, str]:
    """What /proc says of the process."""
    status = Path("/proc/self/status").read_text()
    return dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)


def touched(folder: str) -> str:
    """What a file there says, after another one was made beside it, linked and removed."""
    made = Path(folder, "made")
    made.write_text("said")
    made.rename(Path(folder, "renamed"))
    Path(folder, "renamed").unlink()
    return read(folder)


def read(folder: str) -> str:
    return Path(folder, "there").read_text()
