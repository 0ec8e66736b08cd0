"""The commands, and what they leave as exit status: 0 well, 1 failed, 2 not understood."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import os
import sys
from typing import Annotated

import typer

from perijove.cli import certificates, cluster, describing, doctor, flags, objects, printing, service, trust
from perijove.cli import launch as launching
from perijove.cli.columns import KINDS, plural
from perijove.cli.objects import Output
from perijove.cli.places import ConfigOption, StateOption, client_at, state_at
from perijove.domain import wire
from perijove.domain.failures import Fail
from perijove.domain.settings import names

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A self-hosted Binder: paste a link to a Git repository, get a live Jupyter.",
)

app.add_typer(certificates.app, name="cert")
app.add_typer(doctor.app, name="doctor")
app.add_typer(cluster.convert, name="convert")
app.command()(trust.trust)
KindArgument = Annotated[str, typer.Argument(help=", ".join(KINDS), show_default=False)]


def _kind(given: str, allowed: tuple[str, ...] = tuple(KINDS)) -> str:
    kind = plural(given)
    if kind not in allowed:
        raise typer.BadParameter(f"{given} is none of {', '.join(allowed)}")
    return kind


@app.command()
def up(
    state: StateOption = None,
    config: ConfigOption = None,
    host: flags.Host = None,
    http: flags.Http = None,
    https: flags.Https = None,
    behind: flags.Behind = None,
    email: flags.Email = None,
    issuer: flags.Issuer = None,
    acme: flags.Acme = None,
    acme_ca: flags.AcmeCa = None,
    profile: flags.Profile = None,
    eab_kid: flags.EabKid = None,
    eab_key_file: flags.EabKeyFile = None,
    no_rehearsal: flags.NoRehearsal = False,
) -> None:
    """Run the service until SIGTERM or Ctrl-C; SIGHUP reads the settings again."""
    given = flags.values(
        host=host, http=http, https=https, behind=behind, email=email, issuer=issuer, acme=acme, acme_ca=acme_ca,
        profile=profile, eab_kid=eab_kid, eab_key_file=eab_key_file, no_rehearsal=no_rehearsal,
    )  # fmt: skip
    service.run(state_at(state), service.loader(config, given))


@app.command()
def launch(
    link: Annotated[str, typer.Argument(help="gh/owner/repo/ref, a web address, a Git URL (URL@ref) or a folder")],
    json: Annotated[bool, typer.Option("--json", help="One event a line.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    host: flags.Host = None,
    http: flags.Http = None,
    https: flags.Https = None,
    email: flags.Email = None,
) -> None:
    """Launch a repository; starts a service, and stays, where none runs."""
    where = state_at(state)
    client = client_at(state)

    def begin(*, ours: bool = False) -> bool:
        try:
            well = launching.run(client, link, as_json=json, browser=open_browser)
            if ours and not json:
                printing.out.print("Perijove stays up; Ctrl-C stops it and all its sessions.", style="dim")
            return well
        except Fail as error:
            printing.err.print(printing.failure(error.failure))
            return False

    load = service.loader(config, flags.values(host=host, http=http, https=https, email=email))
    well = launching.in_service(client, lambda: service.run(where, load, lambda: begin(ours=True)), begin)
    raise typer.Exit(0 if well else 1)


@app.command()
def get(
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(show_default=False)] = None,
    output: Annotated[Output, typer.Option("-o", "--output")] = Output.TABLE,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Show what changes as well, until Ctrl-C.")] = False,
    state: StateOption = None,
) -> None:
    """List objects of one kind."""
    objects.get(client_at(state), _kind(kind), name, output, watch=watch)


@app.command()
def describe(kind: KindArgument, name: str, state: StateOption = None) -> None:
    """Show one object whole: what it has come to, what was wanted, what happened."""
    kind = _kind(kind, tuple(one for one in KINDS if one != "events"))
    (describing if KINDS[kind].of_certificates else objects).describe(client_at(state), kind, name)


@app.command()
def logs(
    kind: Annotated[str, typer.Argument(help="launch or session")],
    name: str,
    follow: Annotated[bool, typer.Option("-f", "--follow")] = False,
    state: StateOption = None,
) -> None:
    """Print the log of a launch or a session."""
    objects.logs(client_at(state), _kind(kind, ("launches", "sessions")), name, follow=follow)


@app.command()
def stop(session: str, state: StateOption = None) -> None:
    """Stop a session."""
    told = client_at(state).call("DELETE", f"/sessions/{session}")
    printing.out.print(f"{told['stopped']} stopped")


@app.command()
def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    state: StateOption = None,
) -> None:
    """Remove what nobody needs: of the journal by age and size, environments until build.keep_free is free."""
    objects.clean(client_at(state), dry_run=dry_run)


@app.command()
def settings(
    state: StateOption = None,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show every setting and where its value came from: the running service's, else those the next one would have."""
    client = client_at(state)
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
    words = ["-Pm", "perijove.backends.pad.process", "--state", str(state_at(state).root), "--isolation", isolation]
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
