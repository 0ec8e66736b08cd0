"""A launch of the tiny built-in repository, from its folder to a kernel that answers, and its end. In: a service.

Asked through the operator's socket and, as visitors do, through Caddy. The session is stopped, whatever came of it.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

import perijove.doctor.own as own_doctor
from perijove.backends.probes.handshakes import unverified
from perijove.backends.site.asking import UPGRADE, Asker, Place
from perijove.domain import wire
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.ground import Launched
from perijove.domain.listening import here, http_listeners, https_listeners, redirects
from perijove.domain.parsing import bracketed, split_address
from perijove.domain.service_failures import KERNEL_UNREACHED
from perijove.domain.settings import ServiceSettings
from perijove.domain.site import Got
from perijove.domain.state import State

TINY = Path(own_doctor.__file__).parent / "tiny"
LAUNCHES = 300.0
"""Seconds for the launch: on a first start it builds what later ones find."""
KERNEL = 20.0
"""Seconds until the kernel says that it is idle."""
AGAIN = 0.1


async def launch(state: State, service: ServiceSettings) -> Launched:
    """One launch. What it ends with is told; nothing is raised."""
    began = time.monotonic()
    transport = httpx.AsyncHTTPTransport(uds=str(state.admin_socket), verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://perijove", timeout=30) as operator:
        number = 0
        try:
            number = await _begun(operator)
            async with AsyncExitStack() as afterwards:
                url = await _ready(operator, number)
                name = urlsplit(url).path.strip("/").rpartition("/")[2]
                afterwards.push_async_callback(operator.delete, f"/sessions/{name}")
                await _kernel(Visit.to(url, service))
        except Fail as error:
            return Launched(number, time.monotonic() - began, error.failure)
        except httpx.TransportError as error:
            silent = isinstance(error, httpx.TimeoutException)
            failure = wire.unanswered(state.admin_socket, error, silent=silent)
            return Launched(number, time.monotonic() - began, failure)
        return Launched(number, time.monotonic() - began, None)


async def _begun(operator: httpx.AsyncClient) -> int:
    """The launch's number. Raises Fail: why it may not begin."""
    asked = await operator.post("/launches", json={"folder": str(TINY)})
    if asked.is_error:
        raise Fail(wire.refusal("POST /launches", asked.text))
    return int(asked.json()["number"])


async def _ready(operator: httpx.AsyncClient, number: int) -> str:
    """The session's link. Raises Fail: what the launch ended with."""
    where, last = f"launch {number}", "nothing was told"
    try:
        async with (
            asyncio.timeout(LAUNCHES),
            operator.stream("GET", f"/launches/{number}/events?follow=1", timeout=LAUNCHES) as events,
        ):
            async for line in events.aiter_lines():
                if not line:  # it goes on
                    continue
                told = json.loads(line)
                last = f"{told['event']['is']}, and no end"
                if told["event"]["is"] == "Failed":
                    failure: Failure = wire.decode(Failure, told["event"]["failure"])
                    raise Fail(failure)
                if told["event"]["is"] == "Ready":
                    return str(told["url"])
    except TimeoutError as error:
        cause = f"it was neither ready nor failed after {LAUNCHES:.0f} seconds"
        raise Fail(KERNEL_UNREACHED(cause, Evidence(where, last))) from error
    raise Fail(KERNEL_UNREACHED("its events ended before it was ready", Evidence(where, last)))


@dataclass(frozen=True, slots=True)
class Visit:
    """A session as its visitor reaches it from this machine."""

    base: str
    address: str
    token: str

    @classmethod
    def to(cls, link: str, service: ServiceSettings) -> Visit:
        """By the service's own listener, whatever its names mean elsewhere."""
        secure = redirects(service)
        listener = (https_listeners if secure else http_listeners)(service)[0]
        address, port = split_address(here(listener))
        host = (*service.hosts, address)[0].replace("*", "www", 1)
        named = bracketed(host)
        parts = urlsplit(link)
        base = f"http{'s' if secure else ''}://{named}:{port}{parts.path.rstrip('/')}/"
        return cls(base, address, parse_qs(parts.query).get("token", [""])[0])

    def at(self, path: str) -> Place:
        return Place(self.base + path, self.address)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}


async def _kernel(visit: Visit) -> None:
    """A kernel that is idle, with a websocket open to it. Raises Fail: `platform.kernel-unreached`."""
    asker = Asker(unverified())
    made = await asker.get(visit.at("api/kernels"), visit.headers, "POST")
    if made.status != 201 or not (name := _field(made, "id")):
        raise Fail(_unreached("no kernel could be started", made))
    channels = f"api/kernels/{name}"
    try:
        async with (
            asyncio.timeout(KERNEL),
            asker.answer(visit.at(f"{channels}/channels"), visit.headers | UPGRADE, KERNEL) as upgraded,
        ):
            if upgraded.status_code != 101:
                got = Got(visit.base + channels, upgraded.status_code)
                raise Fail(_unreached("no websocket could be opened to its kernel", got))
            while True:
                kernel = await asker.get(visit.at(channels), visit.headers)
                if kernel.status == 200 and _field(kernel, "execution_state") == "idle":
                    return
                await asyncio.sleep(AGAIN)
    except TimeoutError as error:
        got = Got(visit.base + channels, words=f"not idle after {KERNEL:.0f} seconds")
        raise Fail(_unreached("its kernel does not come to work", got)) from error
    except httpx.TransportError as error:
        raise Fail(_unreached("the way to its kernel broke", Got(visit.base + channels, words=str(error)))) from error


def _field(got: Got, name: str) -> str:
    """A field of an answer's JSON; `` where it has none such."""
    try:
        return str(json.loads(got.body)[name])
    except (ValueError, LookupError, TypeError):
        return ""


def _unreached(cause: str, got: Got) -> Failure:
    saw = f"{got.status} {got.body[:300]}" if got.status else got.words[:300]
    return KERNEL_UNREACHED(cause, Evidence(got.url, saw))
