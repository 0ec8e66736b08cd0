"""`perijove trust`: have this machine believe the embedded CA, or say how. In: its root. Out: what was done."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
from pathlib import Path
from typing import Annotated

import typer

from perijove.cli.places import StateOption, client_at, state_at
from perijove.domain.failures import NOT_UP, Fail


def trust(
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take it out again.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Print the root in PEM, and change nothing.")] = False,
    state: StateOption = None,
) -> None:
    """Have this machine's programs and browsers believe the embedded CA."""
    root = _root(state)
    if show:
        typer.echo(root, nl=False)
        return


def _root(state: Path | None) -> str:
    """The root as the service tells it; where none runs, as it lies in the state directory."""
    try:
        told: str = client_at(state).call("GET", "/trust")["root"]
    except Fail as error:
        kept = state_at(state).local_ca / "root.pem"
        if error.failure.kind is not NOT_UP or not kept.is_file():
            raise
        return kept.read_text()
    return told
