"""`perijove doctor …`: what is wrong, where was it seen, what puts it right? Exit: 0 well, 1 findings, 2 unseen."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from perijove.cli import places
from perijove.cli.grammar import examples, options
from perijove.cli.places import ConfigOption, StateOption


class Asked(typer.core.TyperGroup):
    """Takes an address where a command could stand."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, ["site", *args] if "://" in args[0] else args)


app = typer.Typer(
    cls=Asked,
    invoke_without_command=True,
    help="Say what is wrong, where it was seen, and what puts it right.",
    epilog=examples(
        "perijove doctor",
        "perijove doctor --fix",
        "perijove doctor https://binder.example.org",
        "perijove doctor nginx",
    ),
)
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: docs/doctor.md.")]
FixOption = Annotated[bool, typer.Option("--fix", help="Show what would be changed, ask, change it, look again.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def asked_for_sure(*, fix: bool, json: bool, yes: bool) -> None:
    """A program cannot be asked. Raises typer.BadParameter."""
    if fix and json and not yes:
        raise typer.BadParameter("--fix with --json asks nobody: add --yes")


@app.callback()
def doctor(
    context: typer.Context,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    launch: Annotated[bool, typer.Option("--launch/--no-launch", help="Launch a tiny repository, end to end.")] = True,
    fix: FixOption = False,
    yes: YesOption = False,
) -> None:
    """Say what is wrong, where it was seen, and what puts it right: here; with a URL at any Binder.

    Nothing is changed without --fix."""
    if context.invoked_subcommand is None:
        from perijove.cli import service_examined  # noqa: PLC0415  imported late: it reads what few commands need

        asked_for_sure(fix=fix, json=json, yes=yes)
        asked = service_examined.Asked(places.state_at(state), config, launch=launch, as_json=json)
        raise typer.Exit(service_examined.fix(asked, sure=yes) if fix else service_examined.examine(asked))


@app.command(**options(None, "perijove doctor nginx", "perijove doctor nginx --host binder.example.org --fix"))
def nginx(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE|DIR]", help="/etc/nginx/nginx.conf, or a copy.", show_default=False)
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", metavar="NAME", help="As browsers name it; may be repeated.")
    ] = None,
    address: Annotated[
        list[str] | None, typer.Option("--address", metavar="ADDR", help="Where that name leads; may be repeated.")
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="ADDR:PORT", help="Who answers challenges.")] = "",
    base: Annotated[str, typer.Option("--base", metavar="PATH", help="What the Binder lies below: /binder/.")] = "/",
    json: JsonOption = False,
    fix: FixOption = False,
    yes: YesOption = False,
    prefix: Annotated[Path | None, typer.Option("--prefix", metavar="DIR", help="nginx's own -p.")] = None,
    reload: Annotated[str, typer.Option("--reload", metavar="COMMAND", help="Instead of nginx -s reload.")] = "",
) -> None:
    """What would this nginx answer a CA and a session's websocket, by which line."""
    from perijove.cli import examination, front_examined  # noqa: PLC0415  imported late: few commands need them

    asked_for_sure(fix=fix, json=json, yes=yes)
    asked = f"nginx {file or '/etc/nginx/nginx.conf'}"
    with examination.looking(asked, as_json=json):
        what = front_examined.asked(file, host or (), address or (), to, base)
        left = front_examined.examine(asked, what, as_json=json, quiet=fix and json)
        if fix and left is examination.Status.ILL:
            left = front_examined.fix(asked, what, prefix, reload, as_json=json, sure=yes)
    raise typer.Exit(left)


@app.command(hidden=True, epilog=examples("perijove doctor https://binder.example.org --no-build"))
def site(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://binder.example.org", show_default=False)],
    json: JsonOption = False,
    build: Annotated[str, typer.Option("--build", metavar="PROVIDER/SPEC", help="What to launch there.")] = "",
    no_build: Annotated[bool, typer.Option("--no-build", help="Launch nothing.")] = False,
    ca: Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Roots that visitors trust, in PEM.")] = None,
    resolver: Annotated[
        list[str] | None, typer.Option("--resolver", metavar="ADDR[:PORT]", help="Name server; may be repeated.")
    ] = None,
    http_port: Annotated[int, typer.Option("--http-port", metavar="PORT", help="Where plain http is answered.")] = 80,
    hub: Annotated[str, typer.Option("--hub", metavar="URL", help="Its JupyterHub, where that is elsewhere.")] = "",
) -> None:
    """Examine a Binder from outside: `perijove doctor https://binder.example.org`."""
    from perijove.cli import site_examined  # noqa: PLC0415  imported late: it reads what few commands need

    asked = site_examined.asked(url, http_port, "" if no_build else build or None)
    named = site_examined.asked(hub, http_port, "") if hub else None
    raise typer.Exit(site_examined.examine(asked, ca, resolver or (), hub=named, as_json=json))
