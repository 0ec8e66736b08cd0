"""Whether a service runs is told by what its socket does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from perijove.cli.client import Client
from perijove.domain.failures import Fail
from perijove.domain.service_failures import NOT_ANSWERING
from perijove.domain.state import State
from perijove.spawner.service import Service

ASK: dict[str, Callable[[State], Any]] = {
    "a command": lambda state: Client(state, within=0.05).call("GET", "/status"),
    "a command that follows": lambda state: list(Client(state, within=0.05).events("/launches/1", follow=True)),
    "a hub": lambda state: asyncio.run(Service(state, within=0.05).call("GET", "/status")),
}


@pytest.mark.parametrize("asks", ASK)
def test_one_who_has_the_socket_and_says_nothing_runs(state: State, asks: str) -> None:
    """It was told that nothing ran, and a command started a second one beside it."""
    state.run.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state.admin_socket))
        listener.listen()
        with pytest.raises(Fail) as told:
            ASK[asks](state)
        assert told.value.failure.kind is NOT_ANSWERING
        assert Client(state, within=0.05).is_up()
