"""Speaks to the running service over its admin socket. In: a path. Out: JSON values, or Fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

from perijove.cli import printing
from perijove.domain import wire
from perijove.domain.failures import NOT_UP, Fail, Failure
from perijove.domain.state import State


class Client:
    """One service's admin API."""

    def __init__(self, state: State, within: float = 60) -> None:
        """`within`: seconds in which an answer begins."""
        self._socket = state.admin_socket
        # No TLS on this socket: authorities that are not believed are not read either, which takes 30 ms.
        # No connection is kept: a command asks few times, and then nothing of it is left to be closed.
        transport = httpx.HTTPTransport(
            uds=str(state.admin_socket),
            verify=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._http = httpx.Client(transport=transport, base_url="http://perijove", timeout=within)

    def is_up(self) -> bool:
        """Whether a service answers, be it that something of it is down."""
        try:
            self.call("GET", "/status")
        except Fail as error:
            return error.failure.kind is not NOT_UP
        return True

    def call(self, method: str, path: str, body: Any = None, limit: float | None = None) -> Any:
        """One request's JSON answer; `limit`: other seconds for it.

        Raises Fail: `platform.not-up`, `platform.not-answering`, and what the service answers.
        """
        try:
            with printing.patience("Waiting for the service"):
                answer = self._http.request(method, path, json=body, timeout=limit or self._http.timeout)
        except httpx.TransportError as error:
            raise Fail(self._unanswered(error)) from error
        if answer.is_error:
            raise Fail(wire.refusal(path, answer.text))
        return answer.json()

    def events(self, path: str, *, follow: bool) -> Iterator[dict[str, Any]]:
        """A subject's events, each with `seq`, `at` and `event`; those to come as well with `follow`."""
        return self.lines(path, follow="1" if follow else "0")

    def lines(self, path: str, **params: str) -> Iterator[dict[str, Any]]:
        """A stream's values as they come, a line each; blank ones say that it goes on. Raises Fail as `call` does."""
        try:
            with self._http.stream("GET", path, params=params) as answer:
                if answer.is_error:
                    raise Fail(wire.refusal(path, answer.read().decode(errors="replace")))
                for line in filter(None, answer.iter_lines()):
                    yield json.loads(line)
        except httpx.TransportError as error:
            raise Fail(self._unanswered(error)) from error

    def _unanswered(self, error: Exception) -> Failure:
        return wire.unanswered(self._socket, error, silent=isinstance(error, httpx.TimeoutException))
