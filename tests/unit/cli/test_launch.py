"""`perijove launch` beside a service that another command is just starting."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from perijove.cli import launch
from perijove.cli.client import Client
from perijove.domain.failures import ALREADY_UP, PORT_TAKEN, Fail


@dataclass
class Starting(Client):
    """A service that answers once it was looked at some times."""

    looks: int
    asked: list[str] = field(default_factory=list)

    def is_up(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def start(self) -> bool:
        self.asked.append("start")
        raise Fail(ALREADY_UP("process 1 holds it"))

    def begin(self) -> bool:
        self.asked.append("begin")
        return True


@pytest.mark.parametrize("looks", [0, 2])
def test_a_service_that_is_starting_is_waited_for(looks: int, capsys: pytest.CaptureFixture[str]) -> None:
    client = Starting(looks)
    assert launch.in_service(client, client.start, client.begin)
    assert client.asked == ["start"] * looks + ["begin"]
    assert ("still starting (process 1 holds it)" in capsys.readouterr().err) is bool(looks)


def test_where_none_runs_it_is_started() -> None:
    assert launch.in_service(Starting(9), lambda: True, lambda: False)


def test_what_keeps_it_from_starting_is_told() -> None:
    def start() -> bool:
        raise Fail(PORT_TAKEN("by another"))

    with pytest.raises(Fail, match="by another"):
        launch.in_service(Starting(9), start, lambda: False)
