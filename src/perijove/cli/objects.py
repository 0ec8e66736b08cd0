"""`perijove get`, `describe`, `logs`, `stop`, `clean`, `settings`: what there is, in tables, as JSON or as YAML."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import typer
from rich.text import Text

from perijove.cli import printing
from perijove.cli.client import Client
from perijove.cli.columns import KINDS, Row, total
from perijove.cli.printing import age, local, moment
from perijove.domain import settings_file, wire
from perijove.domain.events import Failed, Logged, Noted, SessionEnded, SessionLogged, SessionTroubled
from perijove.domain.failures import Failure
from perijove.domain.parsing import parsed
from perijove.domain.settings import Seconds
from perijove.domain.sizes import size

CLEANING, STOPPING = 3600.0, 900.0
"""Seconds that they may take: of sessions some end at a time, and a lost node holds up its own."""


class Output(StrEnum):
    """How a list is shown."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


def get(client: Client, kind: str, name: str | None, output: Output, *, watch: bool = False) -> None:
    """List objects, or show one as a row; with `watch` what changes as well, until it is interrupted."""
    path = address(kind, name) if name else f"/{kind}"
    if watch:
        _watch(client, path, kind, output)
        return
    rows = client.call("GET", path)
    if output in (Output.JSON, Output.YAML):
        listed = KINDS[kind].of_certificates and not name
        _print(output, {"apiVersion": "perijove/v1", "kind": "List", "items": rows} if listed else rows)
        return
    rows = [rows] if name else rows
    if not rows:
        printing.err.print("Nothing is kept." if kind == "kept" else f"No {kind}.")
        return
    columns = KINDS[kind].shown(wide=output is Output.WIDE)
    width = printing.width() if output is Output.TABLE else None
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    printing.out.print(printing.table(list(columns), cells, width=width))
    if not name:
        printing.err.print(total(kind, rows), style="dim")


def address(kind: str, name: str) -> str:
    """An object's path in the admin API."""
    return f"/{kind}/{quote(name, safe='')}"


def _print(output: Output, value: Any) -> None:
    if output is Output.YAML:
        printing.as_yaml(value)
    else:
        printing.as_json(value)


def _watch(client: Client, path: str, kind: str, output: Output) -> None:
    """What there is, then each object that changes, once more."""
    columns = KINDS[kind].shown(wide=output is Output.WIDE)
    there: list[list[str]] | None = []
    widths: list[int] = []
    for change in client.lines(path, watch="1"):
        if output in (Output.JSON, Output.YAML):
            _print_changed(output, change)
            continue
        row = change.get("object")
        cells = [printing.one_line(cell(row)) for cell in columns.values()] if row else None
        if there is None:
            if cells is not None:
                printing.out.print(Text(printing.aligned(cells, widths)))
        elif cells is not None:
            there.append(cells)
        else:
            width = printing.width() if output is Output.TABLE else None
            widths = printing.widths([list(columns), *there], width)
            printing.out.print(printing.table(list(columns), there, width=width))
            there = None


def _print_changed(output: Output, change: Row) -> None:
    """One object a line for programs, one document each as YAML."""
    if "object" not in change:
        return
    if output is Output.YAML:
        printing.out.print("---")
        printing.as_yaml(change["object"])
    else:
        printing.out.print(json.dumps(change["object"], ensure_ascii=not printing.writes_all()), markup=False)


def describe(client: Client, kind: str, name: str) -> None:
    """One object whole, its events beneath it."""
    row = client.call("GET", address(kind, name))
    if row.get("failure"):
        printing.out.print(printing.failure(wire.decode(Failure, row["failure"])))
    width = max(len(key) for key in row)
    for key, value in row.items():
        if key != "failure" and not isinstance(value, (dict, list)):
            label = f"{key.replace('_', ' ').capitalize():<{width + 2}}"
            printing.out.print(Text.assemble((label, "bold"), shown(key, value)))
    if kind == "classes":
        _class(row)
        return
    if kind == "kept":
        for what, count in row["left_out"].items():
            printing.out.print(Text(f"Left out: {what} ({count})"))
        return
    if kind == "environments":
        printing.out.print(Text("Packages", "bold"))
        for line in row["packages"]:
            printing.out.print(Text(f"  {line}"))
        return
    printing.out.print(Text("Events", "bold"))
    for entry in client.events(f"{address(kind, name)}/events", follow=False):
        event = entry["event"]
        if event["is"] not in ("Logged", "SessionLogged"):
            words = happened(event, name)
            printing.out.print(Text.assemble(f"  {moment(entry['at'])}  ", (event["is"], "bold"), f"  {words}"))


def _class(row: Row) -> None:
    """What belongs to a class, and what was said of it."""
    printing.out.print(Text("Repositories", "bold"))
    for one in row["repositories"]:
        last = one["prepared"]
        words = "not prepared" if not last else f"{last['state']} by launch {last['launch']}"
        if last and last["ended_at"]:
            words += f", {age(last['ended_at'])} ago"
        printing.out.print(Text(f"  {printing.one_line(one['link'])}: {words}"))
        for key in ("commit", "environment"):
            if last and last[key]:
                printing.out.print(Text(f"    {key} {last[key][:10]}"))
        if last and last["failure"]:
            printing.out.print(printing.failure(wire.decode(Failure, last["failure"])))
    printing.out.print(Text("Settings", "bold"))
    said = {key: value for key, value in row["settings"].items() if value and key not in ("name", "repositories")}
    for line in settings_file.class_lines(said):
        printing.out.print(Text(f"  {line}"))


def happened(event: Row, name: str) -> str:
    """What an event of the object `name` says in a line, but for what nobody knows; a failure by its code and cause."""
    plain = {key: value for key, value in event.items() if key != "is" and not isinstance(value, (dict, list))}
    words = [f"{key}={_brief(value)}" for key, value in plain.items() if value not in (name, None)]
    if failure := event.get("failure"):
        words.append(f"{failure['kind']}: {failure['cause']}")
    return "  ".join(words)


def _brief(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def shown(key: str, value: Any) -> str:
    """A value as people read it, by what its name says it is."""
    if value in (None, "") or (key == "last_activity" and not value):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in ("opens", "closes", "until", "kept_until"):
        return local(value)
    if key.endswith("_at") or key == "last_activity":
        return f"{moment(value)} ({age(value)} ago)"
    sizes = ("memory", "disk", "size", "kept")
    return size(value) if key.removesuffix("_limit") in sizes else str(value)


def logs(client: Client, kind: str, name: str, *, follow: bool) -> None:
    """The log lines of a launch or a session."""
    for entry in client.events(f"{address(kind, name)}/events", follow=follow):
        match wire.decode_event(entry["event"]):
            case Logged(_, line, colours) | SessionLogged(_, line, colours):
                printing.out.print(printing.coloured(line, colours))
            case Noted(line):
                printing.out.print(Text(line))
            case SessionTroubled(_, failure) | Failed(failure):
                printing.out.print(printing.failure(failure))
            case SessionEnded(_, reason, detail):
                printing.out.print(Text(f"ended ({reason}): {detail}", "bold"))


def stop(client: Client, name: str, after: str) -> None:
    """Stop a session or `all`, at once or `after` a while that their pages are told of."""
    try:
        seconds = parsed(Seconds, after)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--after") from error
    path = "/sessions" if name == "all" else f"/sessions/{quote(name, safe='')}"
    told = client.call("DELETE", f"{path}?after={seconds:g}", limit=STOPPING)
    for one in told["stopped"] if name == "all" else [told["stopped"]]:
        printing.out.print(f"{one} {f'will be stopped in {after}' if seconds else 'stopped'}")
    for one, failed in told.get("failed", {}).items():
        printing.out.print(f"{one} is not stopped:", printing.failure(wire.decode(Failure, failed)))
    if told.get("failed"):
        raise typer.Exit(1)


def clean(client: Client, *, dry_run: bool) -> None:
    """Remove what nobody needs: of the journal by age and size, environments until enough disk is free."""
    told = client.call("POST", "/clean", {"dry_run": dry_run}, limit=CLEANING)
    words = "would be removed" if dry_run else "removed"
    if forgotten := told["journal"]["subjects"]:
        what = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(forgotten.items()))
        printing.out.print(f"of the journal {what} {words} ({size(told['journal']['size'])})")
    if kept := told["kept"]:
        total = size(sum(work["size"] for work in kept))
        printing.out.print(f"what was kept of {len(kept)} session{'s' * (len(kept) > 1)} {words} ({total})")
    for row in told["removed"]:
        printing.out.print(
            f"environment {row['key'][:10]} {words} ({size(row['size'])}, used {age(row['used_at'])} ago)"
        )
    if told["checkouts"]:
        printing.out.print(f"{told['checkouts']} checkouts removed; they are fetched again when they are asked for")
    if not any((told["removed"], told["checkouts"], forgotten, kept)):
        printing.out.print(f"Nothing to remove: {size(told['free'])} are free, {size(told['keep_free'])} are wanted.")


def settings(rows: list[Row], *, as_json: bool) -> None:
    """Every setting as the settings file takes it, and where its value came from."""
    if as_json:
        printing.as_json(rows)
        return
    printing.out.print("# What has no comment is the default.")
    for line in settings_file.written(rows):
        printing.out.print(Text(printing.plain(line)))
