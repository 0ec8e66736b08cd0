"""`perijove get`, `describe`, `logs`, `stop`, `clean`, `settings`: what there is, in tables or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rich.text import Text

from perijove.cli import printing
from perijove.cli.client import Client
from perijove.cli.printing import age, size
from perijove.domain import wire
from perijove.domain.events import Failed, Logged, SessionEnded, SessionLogged, SessionTroubled
from perijove.domain.failures import Failure

Row = dict[str, Any]


class Output(StrEnum):
    """How a list is shown."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: its columns, those of `-o wide` after the others."""

    columns: dict[str, Callable[[Row], str]]
    wide: dict[str, Callable[[Row], str]]


KINDS: dict[str, Kind] = {
    "sessions": Kind(
        {
            "NAME": lambda row: row["name"],
            "REPO": lambda row: row["repo"],
            "MEMORY": lambda row: size(row.get("memory")),
            "IDLE": lambda row: age(row["last_activity"]),
            "AGE": lambda row: age(row["started_at"]),
        },
        {
            "COMMIT": lambda row: row["commit"][:10],
            "ENVIRONMENT": lambda row: row["environment"][:10],
            "LAUNCH": lambda row: str(row["launch"]),
            "DISK": lambda row: size(row.get("disk")),
            "PROCESSES": lambda row: str(row.get("processes", "-")),
        },
    ),
    "launches": Kind(
        {
            "NAME": lambda row: str(row["number"]),
            "STATE": lambda row: row["state"],
            "LINK": lambda row: row["link"],
            "SESSION": lambda row: row["session"] or "-",
            "AGE": lambda row: age(row["started_at"]),
        },
        {
            "COMMIT": lambda row: row["commit"][:10] or "-",
            "ENVIRONMENT": lambda row: row["environment"][:10] or "-",
            "CLIENT": lambda row: row["client"],
            "FAILURE": lambda row: row["failure"]["kind"] if row["failure"] else "-",
        },
    ),
    "environments": Kind(
        {
            "NAME": lambda row: row["key"][:10],
            "PYTHON": lambda row: row["python"],
            "SIZE": lambda row: size(row["size"]),
            "USED": lambda row: age(row["used_at"]),
            "AGE": lambda row: age(row["created_at"]),
        },
        {"KEY": lambda row: row["key"], "MADE FROM": lambda row: row["made_from"]},
    ),
}


def plural(kind: str) -> str:
    """The name of a kind however people write it: `session`, `Sessions`, `launch`."""
    kind = kind.lower()
    return kind if kind in KINDS else {"launch": "launches"}.get(kind, kind + "s")


def get(client: Client, kind: str, name: str | None, output: Output) -> None:
    """List objects, or show one as a row."""
    rows = client.call("GET", f"/{kind}/{name}" if name else f"/{kind}")
    if output is Output.JSON:
        printing.as_json(rows)
        return
    rows = [rows] if name else rows
    if not rows:
        printing.err.print(f"No {kind}.")
        return
    columns = KINDS[kind].columns | (KINDS[kind].wide if output is Output.WIDE else {})
    printing.out.print(printing.table(list(columns), [[cell(row) for cell in columns.values()] for row in rows]))


def describe(client: Client, kind: str, name: str) -> None:
    """One object whole, its events beneath it."""
    row = client.call("GET", f"/{kind}/{name}")
    if row.get("failure"):
        printing.out.print(printing.failure(wire.decode(Failure, row["failure"])))
    width = max(len(key) for key in row)
    for key, value in row.items():
        if key != "failure" and not isinstance(value, dict):
            shown = _shown(key, value)
            printing.out.print(Text.assemble((f"{key.replace('_', ' ').capitalize():<{width + 2}}", "bold"), shown))
    if kind == "environments":
        return
    printing.out.print(Text("Events", "bold"))
    for entry in client.events(f"/{kind}/{name}/events", follow=False):
        event = entry["event"]
        if event["is"] not in ("Logged", "SessionLogged"):
            told = {key: value for key, value in event.items() if key != "is" and not isinstance(value, (dict, list))}
            words = "  ".join(f"{key}={value}" for key, value in told.items())
            printing.out.print(Text.assemble(f"  {age(entry['at']):>5} ago  ", (event["is"], "bold"), f"  {words}"))


def _shown(key: str, value: Any) -> str:
    """A value as people read it, by what its name says it is."""
    if value in (None, ""):
        return "-"
    if key.endswith("_at") or key == "last_activity":
        return f"{age(value)} ago"
    return size(value) if key in ("memory", "disk", "size") else str(value)


def logs(client: Client, kind: str, name: str, *, follow: bool) -> None:
    """The log lines of a launch or a session."""
    for entry in client.events(f"/{kind}/{name}/events", follow=follow):
        match wire.decode_event(entry["event"]):
            case Logged(_, line) | SessionLogged(_, line):
                printing.out.print(Text(line))
            case SessionTroubled(_, failure) | Failed(failure):
                printing.out.print(printing.failure(failure))
            case SessionEnded(_, reason, detail):
                printing.out.print(Text(f"ended ({reason}): {detail}", "bold"))


def clean(client: Client, *, dry_run: bool) -> None:
    """Remove environments least recently used, until enough disk is free."""
    told = client.call("POST", "/clean", {"dry_run": dry_run})
    words = "would be removed" if dry_run else "removed"
    for row in told["removed"]:
        printing.out.print(
            f"environment {row['key'][:10]} {words} ({size(row['size'])}, used {age(row['used_at'])} ago)"
        )
    if told["checkouts"]:
        printing.out.print(f"{told['checkouts']} checkouts removed; they are fetched again when they are asked for")
    if not told["removed"] and not told["checkouts"]:
        printing.out.print(f"Nothing to remove: {size(told['free'])} are free, {size(told['keep_free'])} are wanted.")


def settings(rows: list[Row], *, as_json: bool) -> None:
    """Every setting with where its value came from."""
    if as_json:
        printing.as_json(rows)
        return
    shown = [[row["name"], str(row["value"]), row["source"]] for row in rows]
    printing.out.print(printing.table(["SETTING", "VALUE", "FROM"], shown))
