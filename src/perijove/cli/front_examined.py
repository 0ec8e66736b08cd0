"""`perijove doctor nginx`: what a web server in front answers, hop by hop, and --fix. In: the flags. Out: lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.text import Text

from perijove.backends.nginx.changing import Nginx
from perijove.backends.nginx.reading import main_file, read
from perijove.cli import printing
from perijove.cli.examination import Looked, Status, show, status
from perijove.doctor.front.requests import Hop, words
from perijove.domain.failures import Evidence, Fail
from perijove.domain.listening import BASE
from perijove.wiring import front


def asked(file: Path | None, hosts: Sequence[str], addresses: Sequence[str], to: str, base: str) -> front.Asked:
    """What the command line asks for. Raises Fail: `front.configuration-unreadable`."""
    if to and not to.rpartition(":")[2].isdigit():
        raise typer.BadParameter(f"{to} is not ADDR:PORT", param_hint="--to")
    if not BASE.fullmatch(base):
        raise typer.BadParameter(f"{base} is not / or a path like /binder/", param_hint="--base")
    if any(set(one) & set(" {};'\"\\") for one in (to, *hosts, *addresses)):
        raise typer.BadParameter("a name or address has none of these letters")
    return front.Asked(main_file(file), tuple(host.lower() for host in hosts), tuple(addresses), to, base)


def examine(title: str, what: front.Asked, *, as_json: bool, quiet: bool = False) -> Status:
    """Look, and tell; `quiet` tells nothing of what is ill, as it is about to be mended."""
    facts = front.look(what)
    found = front.examined(facts)
    if found.well or not quiet:
        absent = facts.front.configuration.absent
        unread = facts.front.configuration.unread
        looked = [Looked("Files that are not there", absent)] if absent else []
        looked += [Looked("Files that cannot be read", unread)] if unread else []
        looked += [_looked(hop) for hops in front.followed(facts) for hop in hops]
        show(title, found, looked, as_json=as_json)
    return status(found)


def _looked(hop: Hop) -> Looked:
    at = f" at {hop.request.address}:{hop.request.port}" if hop.request.address else ""
    return Looked(f"GET {hop.request.url}{at}", (*hop.steps, Evidence("→", words(hop.outcome))))


def fix(title: str, what: front.Asked, prefix: Path | None, reload: str, *, as_json: bool, sure: bool) -> Status:
    """Show the plan, ask, change, look again. What fails is told, and leaves all as it was."""
    try:
        patch = front.plan(what)
        if not as_json:
            printing.out.print(Text(f"\n{printing.plain(patch.diff)}\n"))
        if not sure:
            typer.confirm("Write this, test it, and reload nginx?", abort=True)
        nginx = Nginx(read(what.main), prefix, reload)
        kept = front.apply(what, patch, nginx)
    except Fail as error:
        printing.err.print(printing.failure(error.failure))
        if as_json:
            examine(title, what, as_json=True)
        return Status.ILL
    if not as_json:
        for path in kept:
            printing.out.print(Text(f"As it was before: {path}", "dim"))
        printing.out.print()
    if not nginx.started:
        return examine(title, what, as_json=as_json)
    # What port 443 shows decides over redirects, and nobody could see it before.
    left = examine(title, what, as_json=as_json, quiet=True)
    return fix(title, what, prefix, reload, as_json=as_json, sure=sure) if left is Status.ILL else left
