"""`perijove backup` and `perijove restore`: all that is to be kept, in one file, and back. In: flags."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import os
import pwd
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from perijove.cli import printing, service
from perijove.cli.places import ConfigOption, StateOption, state_at
from perijove.cli.printing import moment
from perijove.domain.sizes import size
from perijove.domain.state import State

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="perijove.tar.gz, for one.", show_default=False)]


def backup(file: FileArgument, state: StateOption = None, config: ConfigOption = None) -> None:
    """Write what is to be kept into a file that only its owner reads; the service may run meanwhile."""
    from perijove.backends.backup import writing  # noqa: PLC0415  imported late: the other commands start without it

    with printing.patience(f"Writing {file}"):
        done = writing.write(state_at(state), config or service.default_config(), file.absolute())
    with_settings = f", settings of {done.settings}" if done.settings else ", no settings file"
    words = f"{done.files} files ({size(done.size)}){with_settings} → {file} ({size(file.stat().st_size)}, 0600)"
    printing.out.print(Text.assemble(("✓ ", "bold green"), words))
    printing.out.print("It holds keys and the secret: whoever can read it is this service.", style="dim")


def restore(
    file: FileArgument,
    replace: Annotated[bool, typer.Option("--replace", help="Move aside what stands there.")] = False,
    user: Annotated[
        str | None, typer.Option("--for", metavar="USER", help="The service's user.", show_default=False)
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Put a backup in place, of another machine too, while no service runs; what is made again is made by the next."""
    from perijove.backends.backup import restoring  # noqa: PLC0415  imported late: the other commands start without it

    into = state_at(state)
    with printing.patience(f"Restoring {file}"):
        done = restoring.restore(into, config or service.default_config(), file, _owner(into, user), replace=replace)
    made = done.manifest
    words = (
        f"{done.files} files ({size(done.size)}) of {made.machine}:{made.root}, {moment(made.at)}, are in {into.root}"
    )
    printing.out.print(Text.assemble(("✓ ", "bold green"), words))
    if done.settings:
        printing.out.print(Text(f"  settings: {done.settings}"))
    printing.out.print("Start it: `perijove up`, or `systemctl start perijove-pad perijove`.", style="dim")


def _owner(state: State, user: str | None) -> tuple[int, int]:
    """Whom it shall belong to: who is named, else whom the pad made folders for, else us."""
    if user is not None:
        try:
            found = pwd.getpwnam(user)
        except KeyError:
            raise typer.BadParameter(f"there is no user {user}", param_hint="--for") from None
        return found.pw_uid, found.pw_gid
    if state.run.exists():
        return state.run.stat().st_uid, state.run.stat().st_gid
    return os.geteuid(), os.getegid()
