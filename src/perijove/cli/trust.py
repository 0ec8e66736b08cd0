"""`perijove trust`: have this machine believe the embedded CA, or say how. In: its root. Out: what was done."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from perijove.cli import printing
from perijove.cli.places import StateOption, client_at, state_at
from perijove.domain.failures import NOT_UP, Fail
from perijove.domain.service_failures import NOT_ANSWERING


def trust(
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Have it believed no more.")] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Print its root in PEM, on stderr what to do with it; change nothing.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Have this machine's programs believe the embedded CA: by the system's store as root, else by commands to copy."""
    from perijove.backends import trust as stores  # noqa: PLC0415  imported late: cryptography is no part of a start

    root = _root(state)
    if show:
        _print(stores.instructions(root), err=True)
        typer.echo(root.read_text(), nl=False)
    else:
        _print(stores.uninstall(root) if uninstall else stores.install(root), err=False)


def _print(lines: list[str], *, err: bool) -> None:
    for line in lines:
        (printing.err if err else printing.out).print(Text(line))


def _root(state: Path | None) -> Path:
    """The root's file. A service that runs makes it where there is none yet; without one, it must be there."""
    kept = state_at(state).local_ca / "root.pem"
    try:
        client_at(state).call("GET", "/trust")
    except Fail as error:
        if error.failure.kind not in {NOT_UP, NOT_ANSWERING} or not kept.is_file():
            raise
    return kept
