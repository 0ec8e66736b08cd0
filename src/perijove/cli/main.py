"""The commands, and what they leave as exit status: 0 well, 1 failed, 2 not understood."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import difflib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from perijove.cli import (
    backups,
    bases,
    certificates,
    cluster,
    cluster_installation,
    describing,
    doctor,
    flags,
    installation,
    objects,
    own_image,
    people,
    printing,
    service,
    status,
    trust,
)
from perijove.cli import launch as launching
from perijove.cli.client import Client
from perijove.cli.columns import KINDS, plural
from perijove.cli.grammar import CERTIFICATES, CONTEXT, OPERATE, RUN, SEE, VersionOption, examples, options
from perijove.cli.objects import Output
from perijove.cli.places import ConfigOption, StateOption, client_at, state_at
from perijove.domain import wire
from perijove.domain.failures import Fail
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.settings import Settings
from perijove.domain.settings_layers import names

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
    epilog=examples("perijove up", "perijove launch gh/binder-examples/requirements/HEAD", "perijove launch -h"),
)


@app.callback()
def _perijove(version: VersionOption = False) -> None:
    """A self-hosted Binder: paste a link to a Git repository, get a live Jupyter."""


def _complete_kind(incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


KindArgument = Annotated[str, typer.Argument(help=", ".join(KINDS), show_default=False, autocompletion=_complete_kind)]
NameArgument = Annotated[str, typer.Argument(help="As `perijove get` lists it.", show_default=False)]


def _kind(given: str, allowed: tuple[str, ...] = tuple(KINDS)) -> str:
    kind = plural(given)
    if kind not in allowed:
        meant = difflib.get_close_matches(kind, allowed, n=1, cutoff=0.8)
        told = f" (did you mean {meant[0]}?)" if meant else ""
        raise typer.BadParameter(f"{given}{told} is none of {', '.join(allowed)}")
    return kind


@app.command(
    **options(
        RUN,
        "perijove up",
        "perijove up --http 0.0.0.0:8000",
        "perijove up --host binder.example.org --email me@example.org",
    )
)
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


LinkArgument = Annotated[str, typer.Argument(help="gh/owner/repo/ref, a web address, a Git URL (URL@ref) or a folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="One event a line.")]
AgainOption = Annotated[
    bool, typer.Option("--again", help="Resolve its packages anew and build that, whatever stands already.")
]


@app.command(
    **options(
        RUN,
        "perijove launch .",
        "perijove launch https://github.com/binder-examples/requirements --open",
        "perijove launch gh/owner/repo/main --json",
        "perijove launch . --name thesis",
    )
)
def launch(
    link: LinkArgument,
    json: JsonOption = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    again: AgainOption = False,
    name: Annotated[str, typer.Option(help="What its session is called; `stop`, `logs` and the like take it.")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    host: flags.Host = None,
    http: flags.Http = None,
    https: flags.Https = None,
    email: flags.Email = None,
) -> None:
    """Launch a repository; starts a service, and stays, where none runs."""
    given = flags.values(host=host, http=http, https=https, email=email)
    begun = _Begun(client_at(state), link, LaunchOptions(again, title=name), as_json=json, browser=open_browser)
    begun.run(state, service.loader(config, given))


@app.command(**options(RUN, "perijove build gh/owner/repo/HEAD", "perijove build --again gh/owner/repo/HEAD"))
def build(
    link: LinkArgument,
    json: JsonOption = False,
    again: AgainOption = False,
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Build a repository's environment without launching it; starts a service for that long, where none runs."""
    begun = _Begun(client_at(state), link, LaunchOptions(again, build_only=True), as_json=json, browser=False)
    begun.run(state, service.loader(config, {}))


@dataclass(frozen=True)
class _Begun:
    """A launch from this terminal."""

    client: Client
    link: str
    options: LaunchOptions
    as_json: bool
    browser: bool

    def run(self, state: Path | None, load: Callable[[], tuple[Settings, Mapping[str, str]]]) -> NoReturn:
        """To its end, or to the service's that was started for it."""
        asked = launching.asked(self.link)
        well = launching.in_service(
            self.client,
            lambda: service.run(state_at(state), load, lambda: self._tell(asked, there=False)),
            lambda: self._tell(asked, there=True),
        )
        raise typer.Exit(0 if well else 1)

    def _tell(self, asked: dict[str, str], *, there: bool) -> bool:
        try:
            well = launching.run(self.client, asked, self.options, as_json=self.as_json, browser=self.browser)
        except Fail as error:
            printing.err.print(printing.failure(error.failure))
            well = False
        if not there and (self.options.build_only or not well):
            os.kill(os.getpid(), signal.SIGTERM)  # as whoever runs the service stops it
        elif not there and not self.as_json:
            printing.out.print("Perijove stays up; Ctrl-C stops it and all its sessions.", style="dim")
        return well


@app.command(**options(SEE, "perijove get sessions", "perijove get launches -o json", "perijove get certificates -w"))
def get(
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(help="Only this one.", show_default=False)] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How it is shown.")] = Output.TABLE,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Show what changes as well, until Ctrl-C.")] = False,
    state: StateOption = None,
) -> None:
    """List objects of one kind."""
    objects.get(client_at(state), _kind(kind), name, output, watch=watch)


@app.command(**options(SEE, "perijove describe launch 12", "perijove describe certificate binder.example.org"))
def describe(kind: KindArgument, name: NameArgument, state: StateOption = None) -> None:
    """Show one object whole: what it has come to, what was wanted, what happened."""
    kind = _kind(kind, tuple(one for one in KINDS if one != "events"))
    (describing if KINDS[kind].of_certificates else objects).describe(client_at(state), kind, name)


@app.command(**options(SEE, "perijove logs launch 12 -f", "perijove logs session requirements-x1y2z3a4"))
def logs(
    kind: Annotated[str, typer.Argument(help="launch or session", show_default=False)],
    name: NameArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes, to its end.")] = False,
    state: StateOption = None,
) -> None:
    """Print the log of a launch or a session."""
    objects.logs(client_at(state), _kind(kind, ("launches", "sessions")), name, follow=follow)


@app.command(**options(OPERATE, "perijove stop requirements-x1y2z3a4", "perijove stop all --after 10m"))
def stop(
    session: Annotated[str, typer.Argument(help="Its name, what it is called, or `all`.")],
    after: Annotated[str, typer.Option(help="Let its pages say so first, and stop it then: 10m.")] = "0",
    state: StateOption = None,
) -> None:
    """Stop a session, or all of them."""
    objects.stop(client_at(state), session, after)


@app.command(**options(OPERATE, "perijove clean --dry-run"))
def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    state: StateOption = None,
) -> None:
    """Remove what nobody needs: of the journal by age and size, environments until build.keep_free is free."""
    objects.clean(client_at(state), dry_run=dry_run)


@app.command(
    **options(SEE, "perijove settings", "perijove settings --config new.toml", "perijove settings > perijove.toml")
)
def settings(
    state: StateOption = None,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
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


@app.command(hidden=True, epilog=examples("perijove pad --state /var/lib/perijove --for perijove"))
def pad(
    state: StateOption = None,
    isolation: Annotated[str, typer.Option(help="sandbox or none.")] = "sandbox",
    master: Annotated[str | None, typer.Option("--for", metavar="USER", help="The service's user.")] = None,
) -> None:
    """Hold the sandboxes; `perijove up` starts one where none runs."""
    # A program of its own: it stays small and holds sandboxes from its first thread.
    words = ["-Pm", "perijove.backends.pad.process", "--state", str(state_at(state).root), "--isolation", isolation]
    words += ["--for", master] if master is not None else []
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606


app.command(**options(SEE, "perijove status", "perijove status --json"))(status.status)
app.command(**options(SEE, "perijove admin"))(status.admin)
app.command(**options(OPERATE, 'perijove drain "back at 18:00"', "perijove drain --off"))(status.drain)
app.command(**options(OPERATE, 'perijove message "Maintenance at 18:00"', "perijove message --clear"))(status.message)
app.command(**options(OPERATE, "perijove backup perijove.tar.gz"))(backups.backup)
app.command(**options(OPERATE, "perijove restore perijove.tar.gz --for perijove"))(backups.restore)
app.add_typer(installation.installing, name="install", rich_help_panel=OPERATE)
app.command(**options(OPERATE, "perijove upgrade ./perijove"))(installation.upgrade)
app.add_typer(installation.uninstalling, name="uninstall", rich_help_panel=OPERATE)
installation.installing.command("kubernetes", **cluster_installation.INSTALLING)(cluster_installation.install)
installation.uninstalling.command("kubernetes", **cluster_installation.UNINSTALLING)(cluster_installation.uninstall)
app.command(**options(CERTIFICATES, "perijove trust", "perijove trust --print"))(trust.trust)
app.add_typer(certificates.app, name="cert", rich_help_panel=CERTIFICATES)
app.add_typer(doctor.app, name="doctor", rich_help_panel=CERTIFICATES)
app.add_typer(cluster.record, name="record", rich_help_panel=CERTIFICATES)
app.add_typer(cluster.convert, name="convert", rich_help_panel=CERTIFICATES)
app.add_typer(bases.app, name="base", rich_help_panel=OPERATE)
app.add_typer(own_image.app, name="image", rich_help_panel=OPERATE)
app.add_typer(people.app, name="user", rich_help_panel=OPERATE)


def main() -> None:
    """The command `perijove`."""
    printing.any_encoding()
    try:
        app()
    except Fail as error:
        printing.err.print(printing.failure(error.failure))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
