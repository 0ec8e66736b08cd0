"""What all commands have in common: `-h`, examples, one order. In: example lines. Out: what typer takes."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
from typing import Annotated, Any

import typer

CONTEXT = {"help_option_names": ["-h", "--help"]}
RUN, SEE, CERTIFICATES, OPERATE = "Run and launch", "See what there is", "Certificates and checks", "The operator's day"
"""Headings of `perijove --help`."""


def examples(*lines: str) -> str:
    """What ends a command's help, an example a line."""
    return "\n".join(["[bold]Examples[/bold]", *(f"$ {line}".replace("[", r"\[") for line in lines)])


def options(panel: str | None, *lines: str) -> dict[str, Any]:
    """A command's heading in the list of commands, and its examples."""
    return {"epilog": examples(*lines), "rich_help_panel": panel}


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  imported late: few ask for it

        typer.echo(f"perijove {version('perijove')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Say which version this is.", callback=_tell_version, is_eager=True),
]
