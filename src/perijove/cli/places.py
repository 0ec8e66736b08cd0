"""Where a command finds its service and its settings: the options that every command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perijove.cli import service
from perijove.cli.client import Client
from perijove.domain.state import State

# Not readable: a pad's root folder can be passed, not listed, by whom it serves.
StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar="PERIJOVE_STATE", help="State directory.", show_default=False, readable=False),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", envvar="PERIJOVE_CONFIG", help="Settings file.", show_default=False)
]


def state_at(given: Path | None) -> State:
    """The state directory named, or the usual one."""
    return State((given or service.default_state()).expanduser().absolute())


def client_at(given: Path | None) -> Client:
    """Speaks to the service of that state directory."""
    return Client(state_at(given))
