"""`perijove cert`: issue, renew, revoke, import and export certificates. Acts through the running service."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import contextlib
import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from perijove.certifying import files
from perijove.cli import attempt, printing
from perijove.cli.grammar import examples, options
from perijove.cli.objects import address
from perijove.cli.places import StateOption, client_at

app = typer.Typer(
    no_args_is_help=True, help="Issue, renew, revoke, import and export certificates.",
    epilog=examples("perijove cert renew binder.example.org"),
)  # fmt: skip
STDOUT = "-"

Name = Annotated[str, typer.Argument(help="The host's name, as `perijove get certificates` lists it.")]
Force = Annotated[bool, typer.Option("--force", help="Ask the CA whatever a look at the host says.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Show the attempt as it happens, to its end.")]


class Reason(StrEnum):
    """Why a subscriber may have a certificate revoked (RFC 5280, 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"


@app.command(**options(None, "perijove cert issue binder.example.org"))
def issue(name: Name, force: Force = False, wait: Wait = True, state: StateOption = None) -> None:
    """Get a certificate now."""
    _attempt("issue", name, state, force=force, wait=wait)


@app.command(
    **options(None, "perijove cert renew binder.example.org", "perijove cert renew binder.example.org --no-wait")
)
def renew(name: Name, force: Force = False, wait: Wait = True, state: StateOption = None) -> None:
    """Get a new certificate now, though the old one still holds."""
    _attempt("renew", name, state, force=force, wait=wait)


def _attempt(word: str, name: str, state: Path | None, *, force: bool, wait: bool) -> None:
    client = client_at(state)
    order = client.call("POST", f"{address('certificates', name)}/{word}", {"force": force})["order"]
    if not wait:
        printing.out.print(f"order {order} begun; `perijove describe order {order}` shows how far it is", markup=False)
        return
    if not attempt.follow(client, order):
        raise typer.Exit(1)


@app.command(**options(None, "perijove cert revoke binder.example.org --reason keyCompromise"))
def revoke(
    name: Name,
    reason: Annotated[Reason, typer.Option(help="What the CA is told.")] = Reason.UNSPECIFIED,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state: StateOption = None,
) -> None:
    """Have the CA revoke the certificate that is served; visitors' browsers refuse it from then on."""
    if not yes:
        typer.confirm(f"Revoke the certificate of {name}? This cannot be undone", abort=True, err=True)
    client_at(state).call("POST", f"{address('certificates', name)}/revoke", {"reason": reason.value})
    printing.out.print(f"certificate of {name} revoked; `perijove cert issue {name}` gets a new one", markup=False)


@app.command("import", **options(None, "perijove cert import binder.example.org --chain chain.pem --key key.pem"))
def import_(
    name: Name,
    chain: Annotated[
        Path, typer.Option("--chain", help="Certificate and chain, PEM.", exists=True, dir_okay=False, readable=True)
    ],
    key: Annotated[Path, typer.Option("--key", help="Private key, PEM.", exists=True, dir_okay=False, readable=True)],
    state: StateOption = None,
) -> None:
    """Serve a certificate of your own until it is due for renewal."""
    from perijove.certifying import file_forms  # noqa: PLC0415  no other command needs to read keys

    pem = file_forms.pair(files.read(str(chain)), str(chain), files.read(str(key)), str(key))
    texts = [one.decode("ascii", "replace") for one in pem]
    body = {"chain": texts[0], "key": texts[1], "origin": str(chain.absolute())}
    told = client_at(state).call("POST", f"{address('certificates', name)}/import", body)
    printing.out.print(f"certificate of {name} imported, valid until {told['notAfter'][:10]}", markup=False)


@app.command(**options(None, "perijove cert export binder.example.org --chain chain.pem --key key.pem"))
def export(
    name: Name,
    chain: Annotated[str, typer.Option("--chain", metavar="FILE", help="Where the chain goes; - is stdout.")] = STDOUT,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="FILE", help="Where the key goes, 0600; - is stdout.", show_default=False),
    ] = None,
    state: StateOption = None,
) -> None:
    """Write out the chain that is served, and its key where a place for it is named."""
    told = client_at(state).call("GET", f"{address('certificates', name)}/export{'?key=1' if key else ''}")
    if key:
        _write("--key", key, told["key"], 0o600)
    _write("--chain", chain, told["chain"], 0o644)


def _write(flag: str, place: str, text: str, mode: int) -> None:
    """To stdout, or to a file: aside, then renamed, so that nobody reads half of it or reads a key before its mode."""
    if place == STDOUT:
        typer.echo(text, nl=False)
        return
    path = Path(place)
    try:
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                os.fchmod(handle, mode)
                file.write(text)
                file.flush()
                os.fsync(handle)
            Path(aside).rename(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(aside).unlink()
            raise
    except OSError as error:
        raise typer.BadParameter(f"{place}: {error.strerror or error}", param_hint=flag) from error
