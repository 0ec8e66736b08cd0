"""TXT records by the operator's own command: `COMMAND present|withdraw`. In: a name, a value. Out: its exit status.

It gets PERIJOVE_DNS_NAME and PERIJOVE_DNS_VALUE in its environment, no shell, and a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal

import dns.name

from perijove.domain.certificate_failures import DNS_HOOK_FAILED
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail

LIMIT = 60.0
KEPT = 4000
"""Bytes of its output, the last ones, that become evidence."""


class Hook:
    """Writes records by a command."""

    def __init__(self, command: str, limit: float = LIMIT) -> None:
        """Raises Fail: `platform.bad-settings`."""
        try:
            self._argv = shlex.split(command)
        except ValueError as error:
            raise _bad(f"holds a hook that cannot be split into words: {error}", command) from error
        if not self._argv or shutil.which(self._argv[0]) is None:
            raise _bad("names a hook that is no program which may be run", command)
        self._limit = limit

    async def add(self, name: dns.name.Name, value: str) -> None:
        """Raises Fail: `cert.dns-hook-failed`."""
        await self._run("present", name, value)

    async def remove(self, name: dns.name.Name, value: str) -> None:
        """Raises Fail: `cert.dns-hook-failed`."""
        await self._run("withdraw", name, value)

    async def _run(self, what: str, name: dns.name.Name, value: str) -> None:
        variables = {"PERIJOVE_DNS_NAME": name.to_text(omit_final_dot=True), "PERIJOVE_DNS_VALUE": value}
        # Settings, secrets among them, may stand in variables of ours: they are none of its business.
        environ = {key: text for key, text in os.environ.items() if not key.startswith("PERIJOVE_")} | variables
        called = " ".join((*(f"{key}={text}" for key, text in variables.items()), *self._argv, what))
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, what,
                env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise _failed(f"it cannot be started: {error.strerror}", called, str(error)) from error
        said, ended = bytearray(), False
        try:
            async with asyncio.timeout(self._limit):
                await _read(process, said)
                status = await process.wait()
                ended = True
        except TimeoutError as error:
            raise _failed(f"it did not end within {self._limit:.0f} s", called, _text(said)) from error
        finally:
            if not ended:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if status != 0:
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            raise _failed(f"it ended with {how}", called, _text(said))


async def _read(process: asyncio.subprocess.Process, said: bytearray) -> None:
    assert process.stdout is not None
    while piece := await process.stdout.read(65536):
        said += piece
        del said[:-KEPT]


def _text(said: bytearray) -> str:
    return said.decode(errors="replace").strip() or "it said nothing"


def _failed(cause: str, called: str, saw: str) -> Fail:
    return Fail(DNS_HOOK_FAILED(cause, Evidence("command", called[:500]), Evidence("its output", saw)))


def _bad(why: str, saw: str) -> Fail:
    return Fail(BAD_SETTINGS(f"certificates.dns {why}", Evidence("certificates.dns", saw[:200])))
