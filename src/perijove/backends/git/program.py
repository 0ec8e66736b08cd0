"""Run the git program: how, with which configuration, for how long, and what it said. Not pure.

The operator's configuration holds where a call says so, and what `access` permits of it elsewhere; what a repository
or a template could make git run never does. Each run is a process group of its own that is killed when nobody waits
for it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.git import words
from perijove.domain import sizes
from perijove.domain.failures import FETCH_FAILED, TOOL_MISSING, Evidence, Fail

_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "core.autocrlf=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.logAllRefUpdates=false",
    "credential.interactive=false",
    "init.templateDir=",
    "core.bigFileThreshold=16m",
    "fetch.unpackLimit=1",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "advice.detachedHead=false",
    "protocol.version=2",
)
_KEPT = re.compile("GIT_(CONFIG|SSL_|SSH|PROXY_COMMAND|EXEC_PATH|HTTP_USER_AGENT)")
_NEEDED = ("PATH", "LD_LIBRARY_PATH", "GIT_EXEC_PATH")
_SECRET = re.compile(r"(?<=://)[^/@\s']+@")
_PROGRESS = re.compile(r"(?P<what>[^:]+(:[^:]+)?):\s+(?P<percent>\d+)%(?: \(\d+/(?P<of>\d+)\))?")
_FEW = 1000
"""Things of which git only has to say that it has them."""
_LONGEST_LINE = 500
_LINES_KEPT = 40
_LONGEST_OUTPUT = 64 * 1024**2
_LAST_WORDS = 2.0
"""Seconds that a helper which left git's group may keep the pipes open."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run of git ended: its exit status, all it wrote out, and its last lines of error."""

    status: int
    out: bytes
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """What is particular to calls about one repository: configuration and environment."""

    config: tuple[str, ...] = ()
    environ: Mapping[str, str] | None = None
    protocols: str = "https:http:ssh:git"
    as_operator: bool = False
    """Whether the operator's whole environment and configuration hold, credentials included."""


async def git(
    *args: str,
    cwd: Path,
    call: Call | None = None,
    stdin: bytes = b"",
    tell: Callable[[str], None] | None = None,
    take: Callable[[bytes], None] | None = None,
) -> Ran:
    """Run `git ARGS` in `cwd` to its end; cancelled, it is killed with all it started.

    `take` is given its output piece by piece instead of having it kept. Raises Fail: `platform.tool-missing`,
    `resolve.fetch-failed` when it writes without end, and what `take` raises.
    """
    process = await _started(args, cwd, call or Call())
    try:
        async with asyncio.TaskGroup() as group:
            out = group.create_task(_collected(process, take), name="git's output")
            said = group.create_task(_told(process, tell), name="git's words")
            group.create_task(_fed(process, stdin), name="git's input")
        status = await process.wait()
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    finally:
        await _ended(process)
    ending = (f"git died of signal {-status}",) if status < 0 else ()
    return Ran(status, out.result(), (*said.result(), *ending))


async def _started(args: tuple[str, ...], cwd: Path, call: Call) -> asyncio.subprocess.Process:
    environ = _environ(cwd, call)
    try:
        return await asyncio.create_subprocess_exec(
            *("git", *(word for pair in (*_SAFE, *call.config) for word in ("-c", pair)), *args),
            cwd=cwd,
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            restore_signals=False,  # at a limit of file size git says so, rather than dying of SIGXFSZ
        )
    except FileNotFoundError as error:
        raise Fail(
            TOOL_MISSING("git is not installed", Evidence("PATH", environ.get("PATH", "")), remedy="Install git.")
        ) from error


def _environ(cwd: Path, call: Call) -> dict[str, str]:
    if call.as_operator:
        environ = {name: text for name, text in os.environ.items() if not name.startswith("GIT_") or _KEPT.match(name)}
    else:
        nowhere = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        environ = {name: os.environ[name] for name in _NEEDED if name in os.environ} | nowhere
    environ |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_ALLOW_PROTOCOL": call.protocols,
        "GIT_CEILING_DIRECTORIES": str(cwd.parent),
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
        "LANGUAGE": "",
    }
    return environ | dict(call.environ or {})


async def _collected(process: asyncio.subprocess.Process, take: Callable[[bytes], None] | None) -> bytes:
    assert process.stdout is not None
    pieces: list[bytes] = []
    size = 0
    while piece := await process.stdout.read(65536):
        if take is not None:
            take(piece)
            continue
        size += len(piece)
        if size > _LONGEST_OUTPUT:
            raise Fail(FETCH_FAILED(f"git wrote over {sizes.size(_LONGEST_OUTPUT)}", Evidence("git", "output cut")))
        pieces.append(piece)
    return b"".join(pieces)


async def _told(process: asyncio.subprocess.Process, tell: Callable[[str], None] | None) -> tuple[str, ...]:
    """Git's lines of error, told as they come; its progress only at its quarters, and of little only its end."""
    assert process.stderr is not None
    kept: deque[str] = deque(maxlen=_LINES_KEPT)
    rest = b""
    seen: set[tuple[str, int]] = set()
    while piece := await process.stderr.read(65536):
        *lines, rest = re.split(rb"[\r\n]+", (rest + piece)[-65536:])
        for line in lines:
            _tell_line(line, kept, seen, tell)
    _tell_line(rest, kept, seen, tell)
    return tuple(kept)


def _tell_line(raw: bytes, kept: deque[str], seen: set[tuple[str, int]], tell: Callable[[str], None] | None) -> None:
    line = plain(raw)
    if not line:
        return
    if progress := _PROGRESS.match(line):
        step = (progress["what"], int(progress["percent"]) // 25)
        if step in seen or (step[1] < 4 and progress["of"] and int(progress["of"]) < _FEW):
            return
        seen.add(step)
    else:
        kept.append(line)
    if tell is not None:
        tell(line)


def plain(raw: bytes) -> str:
    """A line from outside: printable, bounded, without the user names and passwords of addresses."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", raw[: 4 * _LONGEST_LINE].decode("utf-8", "replace"))
    text = "".join(c if c.isprintable() else " " for c in text).rstrip()
    return _SECRET.sub("", text)[:_LONGEST_LINE]


async def _fed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill the whole group: git's helpers outlive git when it is killed alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(asyncio.create_task(_reaped(process), name="git's end"))


async def _reaped(process: asyncio.subprocess.Process) -> None:
    """Wait for its end, and read what nobody read: asyncio knows no end before that of the pipes."""

    async def emptied(pipe: asyncio.StreamReader | None) -> None:
        while pipe is not None and await pipe.read(65536):
            pass

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await asyncio.gather(process.wait(), emptied(process.stdout), emptied(process.stderr))


async def checked(*args: str, cwd: Path, call: Call | None = None, stdin: bytes = b"") -> bytes:
    """What a run of git on files of ours wrote. Raises Fail as git(), and `resolve.fetch-failed` when it fails."""
    ran = await git(*args, cwd=cwd, call=call, stdin=stdin)
    if ran.status != 0:
        raise Fail(words.meant(ran.said, f"git {args[0]} failed with status {ran.status}"))
    return ran.out
