"""Do what the doctor planned for this service. In: steps. Out: what was done; whether it helped is looked at again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from contextlib import suppress

import httpx

from perijove.backends.caddy import Caddy
from perijove.backends.environments import store
from perijove.doctor.own.mending import Clean, Close, EndCaddy, Remove, Step
from perijove.domain.failures import STATE_UNUSABLE, Evidence, Fail
from perijove.domain.state import State

LIMIT = 3600.0
"""Seconds for cleaning."""
BACK = 15.0
"""Seconds until a Caddy that was ended has come back."""
AGAIN = 0.1


async def mend(state: State, steps: Iterable[Step]) -> None:
    """One after the other. Raises Fail: `platform.state-unusable` where this user may not."""
    for step in steps:
        try:
            await _do(state, step)
        except (OSError, httpx.HTTPError) as error:
            raise Fail(STATE_UNUSABLE("this could not be done", Evidence(step.words, str(error)[:300]))) from error


async def _do(state: State, step: Step) -> None:
    match step:
        case Close(path, mode):
            path.chmod(mode)
        case Remove(path):
            await asyncio.to_thread(store.remove, path.parent, path.name)
        case Clean():
            transport = httpx.AsyncHTTPTransport(uds=str(state.admin_socket), verify=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://perijove", timeout=LIMIT) as operator:
                (await operator.post("/clean", json={})).raise_for_status()
        case EndCaddy(pid):
            await _end(Caddy(state), pid)


async def _end(caddy: Caddy, pid: int) -> None:
    """End it, and wait for the next one; whether there is one is looked at afterwards."""
    if caddy.pid() != pid:
        return  # it has gone by itself
    os.kill(pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(BACK):
            while True:
                if caddy.pid() not in (pid, None) and await caddy.look() is None:
                    return
                await asyncio.sleep(AGAIN)
