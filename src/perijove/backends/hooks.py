"""The operator's commands that are run when a certificate is new. In: a command, a secret. Out: nothing, or Fail. Acts.

A command is words, never a shell's: `/usr/local/bin/copy --to mail.example.org`. It is told where the files are, never
what stands in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections import deque

from perijove.domain.certificate_failures import HOOK_FAILED
from perijove.domain.certificates import Secret
from perijove.domain.failures import Evidence, Fail, Failure

LIMIT = 60.0
"""Seconds for one command."""
LINES, LINE = 20, 400
"""The last lines that are kept, and characters of each."""


async def run(command: str, secret: Secret, limit: float = LIMIT) -> None:
    """Run it to its end. Raises Fail: `cert.renewed-hook-failed`."""
    told = {"PERIJOVE_HOST": secret.host, "PERIJOVE_NAMES": " ".join(secret.names)}
    told |= {"PERIJOVE_CHAIN": str(secret.chain), "PERIJOVE_KEY": str(secret.key)}
    try:
        program, *arguments = shlex.split(command)
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env={**os.environ, **told},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as error:
        raise Fail(_failed(command, told, "it could not be started", str(error))) from error
    said: deque[str] = deque(maxlen=LINES)
    try:
        async with asyncio.timeout(limit):
            await _heard(process, said)
            status = await process.wait()
    except TimeoutError as error:
        raise Fail(_failed(command, told, f"it did not end within {limit:.0f} s", "\n".join(said))) from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if status != 0:
        raise Fail(_failed(command, told, f"it ended with status {status}", "\n".join(said)))


async def _heard(process: asyncio.subprocess.Process, said: deque[str]) -> None:
    """Its output, bounded however it is written."""
    assert process.stdout is not None
    rest = b""
    while part := await process.stdout.read(4096):
        *lines, rest = (rest + part).split(b"\n")
        rest = rest[-LINE:]
        said.extend(line.decode(errors="replace")[:LINE] for line in lines)
    if rest:
        said.append(rest.decode(errors="replace"))


def _failed(command: str, told: dict[str, str], cause: str, said: str) -> Failure:
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in told.items())
    return HOOK_FAILED(
        cause, Evidence("the command", f"{variables} {command}"), Evidence("its last words", said or "-")
    )
