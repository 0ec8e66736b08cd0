"""Asks the service of this machine, from a hub's event loop. In: a state directory. Out: JSON values, launches' events.

As a hub must not wait for anybody, none of it blocks; the commands' own client does (`cli/client.py`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from perijove.domain import wire
from perijove.domain.events import LaunchEvent
from perijove.domain.failures import Fail, Failure
from perijove.domain.state import State

ANSWERS_WITHIN = 60.0
"""Seconds; a launch's events have a blank line among them every twenty."""


class Service:
    """What the service offers to programs of the operator's."""

    def __init__(self, state: State, within: float = ANSWERS_WITHIN) -> None:
        self._socket, self._within = str(state.admin_socket), within

    def _http(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=self._socket, verify=False)
        return httpx.AsyncClient(transport=transport, base_url="http://perijove", timeout=self._within)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request's answer. Raises Fail: `platform.not-up`, `platform.not-answering`, what it says."""
        try:
            async with self._http() as http:
                answer = await http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise Fail(self._unanswered(error)) from error
        if not answer.is_success:
            raise Fail(wire.refusal(path, answer.text))
        value: dict[str, Any] = answer.json()
        return value

    async def events(self, number: int) -> AsyncGenerator[tuple[LaunchEvent, str], None]:
        """A launch's events to its last one, each with the token of its session where it has got ready.

        Raises Fail as `call` does.
        """
        path = f"/launches/{number}/events"
        try:
            async with self._http() as http, http.stream("GET", path, params={"follow": "1"}) as answer:
                if not answer.is_success:
                    raise Fail(wire.refusal(path, (await answer.aread()).decode(errors="replace")))
                async for line in answer.aiter_lines():
                    if not line:
                        continue
                    entry = json.loads(line)
                    event: Any = wire.decode_event(entry["event"])
                    yield event, entry.get("token", "")
        except httpx.TransportError as error:
            raise Fail(self._unanswered(error)) from error

    def _unanswered(self, error: Exception) -> Failure:
        return wire.unanswered(self._socket, error, silent=isinstance(error, httpx.TimeoutException))
