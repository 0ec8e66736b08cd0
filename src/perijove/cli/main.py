"""The commands, and what they leave as exit status: 0 well, 1 failed, 2 not understood."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from perijove.cli import launch as launching
from perijove.cli import objects, printing, service
from perijove.cli.client import Client
from perijove.cli.objects import Output
from perijove.domain import wire
from perijove.domain.failures import Fail
from perijove.domain.settings import names
from perijove.domain.state import State

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A self-hosted Binder: paste a link to a Git repository, get a live Jupyter.",
)

# Not readable: a pad's root folder can be passed, not listed, by whom it serves.
StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar="PERIJOVE_STATE", help="State directory.", show_default=False, readable=False),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", envvar="PERIJOVE_CONFIG", help="Settings file.", show_default=False)
]
HttpOption = Annotated[str | None, typer.Option("--http", help="ADDR:PORT to listen on.", show_default=False)]
KindArgument = Annotated[str, typer.Argument(help="sessions, launches or environments", show_default=False)]


def _state(given: Path | None) -> State:
    return State((given or service.default_state()).expanduser().absolute())


def _kind(given: str, allowed: tuple[str, ...] = tuple(objects.KINDS)) -> str:
    kind = objects.plural(given)
    if kind not in allowed:
        raise typer.BadParameter(f"{given} is none of {', '.join(allowed)}")
    return kind


@app.command()
def up(
    state: StateOption = None,
    config: ConfigOption = None,
    http: HttpOption = None,
    host: Annotated[list[str] | None, typer.Option(help="Name the service is reached by; may be repeated.")] = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C; SIGHUP reads the settings again."""
    service.run(_state(state), service.loader(config, {"service.http": http, "service.hosts": host}))


@app.command()
def launch(
    link: Annotated[str, typer.Argument(help="gh/owner/repo/ref, a web address, a Git URL (URL@ref) or a folder")],
    json: Annotated[bool, typer.Option("--json", help="One event a line.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    http: HttpOption = None,
) -> None:
    """Launch a repository; starts a service, and stays, where none runs."""
    where = _state(state)
    client = Client(where)

    def begin() -> bool:
        try:
            well = launching.run(client, link, as_json=json, browser=open_browser)
            if not there and not json:
                printing.out.print("Perijove stays up; Ctrl-C stops it and all its sessions.", style="dim")
            return well
        except Fail as error:
            printing.err.print(printing.failure(error.failure))
            return False

    there = client.is_up()
    well = begin() if there else service.run(where, service.loader(config, {"service.http": http}), begin)
    raise typer.Exit(0 if well else 1)


@app.command()
def get(
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(show_default=False)] = None,
    output: Annotated[Output, typer.Option("-o", "--output")] = Output.TABLE,
    state: StateOption = None,
) -> None:
    """List sessions, launches or environments."""
    objects.get(Client(_state(state)), _kind(kind), name, output)


@app.command()
def describe(kind: KindArgument, name: str, state: StateOption = None) -> None:
    """Show one session, launch or environment whole."""
    objects.describe(Client(_state(state)), _kind(kind), name)


@app.command()
def logs(
    kind: Annotated[str, typer.Argument(help="launch or session")],
    name: str,
    follow: Annotated[bool, typer.Option("-f", "--follow")] = False,
    state: StateOption = None,
) -> None:
    """Print the log of a launch or a session."""
    objects.logs(Client(_state(state)), _kind(kind, ("launches", "sessions")), name, follow=follow)


@app.command()
def stop(session: str, state: StateOption = None) -> None:
    """Stop a session."""
    told = Client(_state(state)).call("DELETE", f"/sessions/{session}")
    printing.out.print(f"{told['stopped']} stopped")


@app.command()
def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    state: StateOption = None,
) -> None:
    """Remove environments least recently used, until build.keep_free bytes are free."""
    objects.clean(Client(_state(state)), dry_run=dry_run)


@app.command()
def settings(
    state: StateOption = None,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show every setting and where its value came from: the running service's, else those the next one would have."""
    client = Client(_state(state))
    if config is None and client.is_up():
        rows = client.call("GET", "/settings")
    else:
        values, sources = service.loader(config, {})()
        tables = wire.encode(values)
        parts = [name.partition(".") for name in names()]
        rows = [
            {
                "name": f"{table}.{name}",
                "value": tables[table][name],
                "source": sources.get(f"{table}.{name}", "default"),
            }
            for table, _, name in parts
        ]
    objects.settings(rows, as_json=json)


@app.command(hidden=True)
def pad(
    state: StateOption = None,
    isolation: str = "sandbox",
    master: Annotated[str | None, typer.Option("--for", metavar="USER", help="The service's user.")] = None,
) -> None:
    """Hold the sandboxes; `perijove up` starts one where none runs."""
    # A program of its own: it stays small and holds sandboxes from its first thread.
    words = ["-Pm", "perijove.backends.pad.process", "--state", str(_state(state).root), "--isolation", isolation]
    words += ["--for", master] if master is not None else []
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606


def main() -> None:
    """The command `perijove`."""
    try:
        app()
    except Fail as error:
        printing.err.print(printing.failure(error.failure))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
