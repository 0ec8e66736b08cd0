"""`perijove install`, `upgrade` and `uninstall`: a service of this machine, step by step. In: flags. Acts, as root."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from perijove.backends.installation import steps
from perijove.cli import flags, printing
from perijove.cli.client import Client
from perijove.cli.grammar import examples
from perijove.domain.state import State

UP_WITHIN = 900.0
"""Seconds that a first start may take: it installs a Jupyter server."""
LOOK = 1.0
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Install below this folder, and start nothing.", show_default=False),
]
PrefixOption = Annotated[Path, typer.Option("--prefix", metavar="DIR", help="Where the programs are reached.")]
PythonOption = Annotated[
    str | None, typer.Option("--python", metavar="FILE", help="Else the system's newest.", show_default=False)
]

installing = typer.Typer(
    invoke_without_command=True,
    epilog=examples(
        "perijove install --host binder.example.org --email me@example.org", "perijove install --dry-run",
        "perijove install kubernetes --image IMAGE --dry-run",
    ),
)  # fmt: skip
uninstalling = typer.Typer(
    invoke_without_command=True,
    epilog=examples("perijove uninstall", "perijove uninstall --purge", "perijove uninstall kubernetes"),
)


@installing.callback()
def install(
    context: typer.Context,
    host: flags.Host = None,
    email: flags.Email = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="DIR|WHEEL", help="Else as this one was installed.", show_default=False),
    ] = None,
    python: PythonOption = None,
    prefix: PrefixOption = Path("/opt/perijove"),
    root: RootOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Make it a service of this machine: user, programs, settings, units, and the doctor at the end. Safe to repeat.

    --host and --email stand in a settings file that is not there yet.
    """
    if _goes_on(context):
        return
    from perijove.backends.installation import carrying_out, programs  # noqa: PLC0415  imported late: few need it

    place = _place(root, prefix, dry_run=dry_run)
    user, *rest = steps.installing(place, carrying_out.packaged(), host or (), email or "")
    _do([user], dry_run=dry_run)
    _release(place, source or programs.source(), python, dry_run=dry_run)
    _do(rest, dry_run=dry_run)
    _tell_firewall()
    if dry_run or not place.systemd_runs:
        printing.out.print("Not started here. Where systemd runs: `systemctl start perijove-pad perijove`.")
        return
    raise typer.Exit(_examined(place.prefix))


def upgrade(
    source: Annotated[
        str, typer.Argument(metavar="DIR|WHEEL", help="What to upgrade to: a newer clone, a wheel, perijove==VERSION.")
    ],
    python: PythonOption = None,
    prefix: PrefixOption = Path("/opt/perijove"),
    root: RootOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Install a newer version beside the one that runs, and go over to it; sessions go on."""
    from perijove.backends.installation import carrying_out  # noqa: PLC0415  imported late: few need it

    place = _place(root, prefix, dry_run=dry_run)
    if not place(place.prefix).exists():
        raise typer.BadParameter(f"nothing is installed at {place(place.prefix)}: `perijove install`")
    _release(place, source, python, dry_run=dry_run)
    _do([steps.installing(place, carrying_out.packaged(), (), "")[-1]], dry_run=dry_run)
    printing.out.print("The pad goes on with the version before: when nobody works, `systemctl restart perijove-pad`.")
    if place.systemd_runs and not dry_run:
        raise typer.Exit(_examined(place.prefix))


@uninstalling.callback()
def uninstall(
    context: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Remove settings and all data too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    prefix: PrefixOption = Path("/opt/perijove"),
    root: RootOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Stop the service and remove it; settings and data stay, so that installing it again goes on with them."""
    if _goes_on(context):
        return
    place = _place(root, prefix, dry_run=dry_run)
    if purge and not (yes or dry_run):
        lost = f"{steps.SETTINGS.parent} and {steps.STATE}: accounts, certificates, history, kept work"
        typer.confirm(f"Remove {lost}? This cannot be undone", abort=True, err=True)
    _do([*steps.removing(place), *(steps.purging(place) if purge else ())], dry_run=dry_run)
    if not purge:
        printing.out.print(f"{steps.SETTINGS.parent}, {steps.STATE} and the user {steps.USER} stay.", markup=False)


def _goes_on(context: typer.Context) -> bool:
    """Whether a command below this one is meant. A `--dry-run` that stands before its word would not be heard."""
    sources = {getattr(context.get_parameter_source(name), "name", "") for name in context.params}
    if context.invoked_subcommand is not None and "COMMANDLINE" in sources:
        raise typer.BadParameter(f"options stand after `{context.invoked_subcommand}`")
    return context.invoked_subcommand is not None


def _place(root: Path | None, prefix: Path, *, dry_run: bool) -> steps.Place:
    if not prefix.is_absolute() or ".." in prefix.parts or len(prefix.parts) < 3:
        raise typer.BadParameter(
            "it must be an absolute path below a folder, like /opt/perijove", param_hint="--prefix"
        )
    if os.geteuid() != 0 and not dry_run:
        raise typer.BadParameter("only root installs a service: `sudo perijove …`; --dry-run says what would be done")
    os.umask(0o022)  # the service's user reads all of it
    at = root.absolute() if root is not None else Path("/")
    return steps.Place(at, prefix, root is None and Path("/run/systemd/system").is_dir())


def _do(todo: Sequence[steps.Step], *, dry_run: bool) -> None:
    from perijove.backends.installation import carrying_out  # noqa: PLC0415  imported late: few need it

    for step in todo:
        if dry_run:
            lines = list(carrying_out.foreseen(step))
            printing.out.print(Text.assemble(("· ", "dim"), step.title, "" if lines else ": nothing to do"))
            for line in lines:
                printing.out.print(Text(f"    {line}", "dim"))
            continue
        with printing.patience(step.title):
            changed = carrying_out.carry_out(step)
        printing.out.print(Text.assemble(("✓ ", "green"), step.title, "" if changed else ", as it was"))


def _release(place: steps.Place, source: str, python: str | None, *, dry_run: bool) -> None:
    from perijove.backends.installation import programs  # noqa: PLC0415  imported late: few need it

    by = python or programs.python()
    title = f"programs of {source}, by {by}"
    if dry_run:
        printing.out.print(Text(f"· {title} → {place(place.releases)}, {place(place.prefix)} leads there"))
        return
    with printing.patience(f"Installing {source}"):
        folder = programs.release(place, source, by)
        programs.put_in_place(place, folder)
        gone = programs.sweep(place)
    swept = f"; {len(gone)} older removed" if gone else ""
    printing.out.print(Text.assemble(("✓ ", "green"), f"{title} → {folder}{swept}"))


def _tell_firewall() -> None:
    """Which commands would open the ports; nothing is changed."""
    told = {
        "ufw": "ufw allow 80/tcp && ufw allow 443/tcp",
        "firewall-cmd": "firewall-cmd --permanent --add-service=http --add-service=https && firewall-cmd --reload",
    }
    for program, command in told.items():
        if shutil.which(program):
            printing.out.print(Text(f"! A firewall may run here; for visitors from elsewhere: {command}", "yellow"))


def _examined(prefix: Path) -> int:
    """The doctor's exit status, once the service is up."""
    client, deadline = Client(State(Path("/var/lib/perijove"))), time.monotonic() + UP_WITHIN
    with printing.patience("The service starts; a first start installs a Jupyter server"):
        while not client.is_up() and time.monotonic() < deadline:
            time.sleep(LOOK)
    return subprocess.run([str(prefix / "bin" / "perijove"), "doctor"], check=False).returncode
