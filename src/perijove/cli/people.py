"""`perijove user`: who may log in by a password. Acts on the file alone, whether a service runs or not."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from perijove.backends import statedir
from perijove.backends.passwords import LONGEST, Entry, PasswordFile, stored
from perijove.cli import printing, service
from perijove.cli.grammar import examples, options
from perijove.cli.places import ConfigOption, StateOption, state_at
from perijove.domain.auth_failures import PEOPLE_NOT_CHANGED
from perijove.domain.failures import Evidence, Fail
from perijove.domain.people import NAME, Person
from perijove.domain.sizes import size

app = typer.Typer(
    no_args_is_help=True, help="People who log in by a password: add, list, remove, password.",
    epilog=examples("perijove user add ada"),
)  # fmt: skip
LEAST = 8
"""Characters of a password (NIST SP 800-63B)."""
NameArgument = Annotated[str, typer.Argument(help="Letters, digits and . _ @ + = | -", show_default=False)]


@app.command(
    **options(
        None,
        "perijove user add ada",
        "perijove user add ada --group students --group staff",
        "perijove user add eve --admin",
    )
)
def add(
    name: NameArgument,
    group: Annotated[list[str] | None, typer.Option(help="A group of theirs; more than once.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Sees all launches.")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a person; the password is asked for, or read from standard input."""
    named = [*(group or ())]
    for one in (name, *named):
        if not NAME.fullmatch(one):
            raise typer.BadParameter(f"{one} has other characters than letters, digits and . _ @ + = | -")

    def there(entries: dict[str, Entry]) -> None:
        if name in entries:
            remedy = f"Give another password with `perijove user password {name}`, or remove the person first."
            raise Fail(PEOPLE_NOT_CHANGED(f"{name} is in it already", Evidence("name", name), remedy=remedy))
        _forget(state, name)  # another may have had the name, whose end nobody told
        entries[name] = entry

    entry = Entry(Person(name, frozenset(named), admin), stored(_password()))
    _file(state, config).change(there)
    printing.out.print(f"{name} may log in")


@app.command(**options(None, "perijove user password ada"))
def password(name: NameArgument, state: StateOption = None, config: ConfigOption = None) -> None:
    """Give a person another password; their browsers are logged out."""
    kept = stored(_password())
    _file(state, config).change(_of(name, lambda entry: replace(entry, stored=kept)))
    printing.out.print(f"{name} has another password")


@app.command(**options(None, "perijove user remove ada"))
def remove(name: NameArgument, state: StateOption = None, config: ConfigOption = None) -> None:
    """Remove a person; their browsers are logged out, and open no session any more."""
    _file(state, config).change(_of(name, lambda entry: None))
    _forget(state, name)
    printing.out.print(f"{name} may log in no more")


@app.command("list", **options(None, "perijove user list"))
def list_people(state: StateOption = None, config: ConfigOption = None) -> None:
    """List who may log in, a line each: name, groups, and whether they are an admin."""
    entries = _file(state, config).entries()
    if not entries:
        printing.err.print("No people.")
    for entry in entries.values():
        groups, admin = ",".join(sorted(entry.person.groups)) or "-", "admin" if entry.person.admin else ""
        typer.echo(f"{entry.person.name}\t{groups}\t{admin}".rstrip())


def _of(name: str, changed: Callable[[Entry], Entry | None]) -> Callable[[dict[str, Entry]], None]:
    def change(entries: dict[str, Entry]) -> None:
        if name not in entries:
            raise Fail(PEOPLE_NOT_CHANGED(f"it has no {name}", Evidence("name", name[:200])))
        if (entry := changed(entries.pop(name))) is not None:
            entries[name] = entry

    return change


def _password() -> str:
    """From the terminal, twice, or from standard input; never from the command line, where others see it."""
    if sys.stdin.isatty():
        given = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        given = sys.stdin.readline().rstrip("\n")
    if len(given) < LEAST or len(given.encode()) > LONGEST:
        raise typer.BadParameter(f"a password has {LEAST} characters at least, and {size(LONGEST)} at most")
    return given


def _forget(state: StateOption, name: str) -> None:
    """Have nobody hold this person's tokens for Git hosts."""
    from perijove.backends.host_tokens import forget  # noqa: PLC0415  imported late: cryptography is no part of a start

    forget(state_at(state).host_tokens, name)


def _file(state: StateOption, config: ConfigOption) -> PasswordFile:
    settings, _ = service.loader(config, {})()
    place = state_at(state)
    if not place.control.exists():
        statedir.prepare(place)
    path = place.people_in(settings.auth.password_file)
    return PasswordFile(lambda: path)
