"""Which columns has each kind of object? In: a row of the admin API. Out: its cells. Pure, but for the time of ages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perijove.cli.printing import age, at, local, size

Row = dict[str, Any]
Columns = dict[str, Callable[[Row], str]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: its columns, those of `-o wide` after the others."""

    columns: Columns
    wide: Columns
    before_last: bool = False
    """Whether those of `-o wide` stand before the last column, as kubectl has it where that is AGE."""
    of_certificates: bool = False
    """Whether its objects have the shape of Kubernetes's: metadata, spec, status."""
    sum: str = ""
    """Which size of theirs is told as a sum; `` for none."""

    def shown(self, *, wide: bool) -> Columns:
        """The columns of a list."""
        if not wide:
            return self.columns
        if not self.before_last:
            return self.columns | self.wide
        *first, last = self.columns.items()
        return dict([*first, *self.wide.items(), last])


def total(kind: str, rows: list[Row]) -> str:
    """`3 sessions, 512M`: beneath a list."""
    one = {"launches": "launch", "classes": "class"}.get(kind, kind.removesuffix("s"))
    words = f"{len(rows)} {one if len(rows) == 1 else kind}"
    of = KINDS[kind].sum
    return f"{words}, {size(sum(row.get(of) or 0 for row in rows))}" if of else words


def _condition(row: Row, part: str) -> str:
    """A part of the condition Ready."""
    ready: Row = next((one for one in row["status"]["conditions"] if one["type"] == "Ready"), {})
    return ready.get(part) or "-"


def _age(row: Row) -> str:
    return age(at(row["metadata"]["creationTimestamp"]))


def _name(row: Row) -> str:
    name: str = row["metadata"]["name"]
    return name


def _certified(columns: Columns, wide: Columns) -> Kind:
    return Kind({"NAME": _name} | columns | {"AGE": _age}, wide, before_last=True, of_certificates=True)


KINDS: dict[str, Kind] = {
    "sessions": Kind(
        {
            "NAME": lambda row: row["name"],
            "TITLE": lambda row: row.get("title") or "-",
            "STATE": lambda row: row["state"],
            "REPO": lambda row: row["repo"],
            "MEMORY": lambda row: size(row.get("memory")),
            "IDLE": lambda row: age(row["last_activity"]),
            "AGE": lambda row: age(row["started_at"]),
        },
        {
            "COMMIT": lambda row: row["commit"][:10],
            "ENVIRONMENT": lambda row: row["environment"][:10],
            "LAUNCH": lambda row: str(row["launch"]),
            "CLIENT": lambda row: row.get("person") or row.get("client") or "-",
            "DISK": lambda row: size(row.get("disk")),
            "PROCESSES": lambda row: str(row.get("processes", "-")),
        },
        sum="memory",
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
            "CLIENT": lambda row: row["person"] or row["client"],
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
        sum="size",
    ),
    "classes": Kind(
        {
            "NAME": lambda row: row["name"],
            "STATE": lambda row: row["state"],
            "UNTIL": lambda row: local(row["closes"]),
            "SEATS": lambda row: f"{row['taken']}/{row['seats'] or '-'}",
            "READY": lambda row: f"{row['ready']}/{row['wanted']}",
            "OPENS": lambda row: local(row["opens"]),
        },
        {},
    ),
    "kept": Kind(
        {
            "NAME": lambda row: row["name"],
            "REPOSITORY": lambda row: row["repository"],
            "FILES": lambda row: str(row["files"]),
            "SIZE": lambda row: size(row["size"]),
            "UNTIL": lambda row: local(row["until"]),
            "AGE": lambda row: age(row["ended_at"]),
        },
        {"COMMIT": lambda row: row["commit"][:10], "VISITOR": lambda row: row["visitor"]},
    ),
    "issuers": _certified(
        {"READY": lambda row: _condition(row, "status"), "KIND": lambda row: row["status"]["kind"]},
        {
            "STATUS": lambda row: _condition(row, "message"),
            "DIRECTORY": lambda row: row["spec"].get("acme", {}).get("server") or "-",
            "EMAIL": lambda row: row["spec"].get("acme", {}).get("email") or "-",
        },
    ),
    "certificates": _certified(
        {
            "READY": lambda row: _condition(row, "status"),
            "SECRET": lambda row: row["spec"]["secretName"],
            "PROBLEM": lambda row: (row["status"]["failure"] or {}).get("kind") or "-",
        },
        {
            "ISSUER": lambda row: row["spec"]["issuerRef"]["name"],
            "STATUS": lambda row: _condition(row, "message"),
            "EXPIRATION": lambda row: row["status"]["notAfter"] or "-",
            "RENEWAL": lambda row: row["status"]["renewalTime"] or "-",
        },
    ),
    "orders": _certified(
        {
            "STATE": lambda row: row["status"]["state"] or "-",
            "ISSUER": lambda row: row["spec"]["issuerRef"]["name"] or "-",
            "REASON": lambda row: (row["status"]["failure"] or {}).get("kind") or row["status"]["reason"] or "-",
        },
        {
            "REASON": lambda row: row["status"]["reason"] or "-",
            "STEP": lambda row: row["status"]["step"],
            "CAUSE": lambda row: row["status"]["cause"],
        },
    ),
    "challenges": _certified(
        {
            "STATE": lambda row: row["status"]["state"] or "-",
            "DOMAIN": lambda row: row["spec"]["dnsName"],
            "TYPE": lambda row: row["spec"]["type"],
            "REASON": lambda row: row["status"]["reason"] or "-",
        },
        {
            "PRESENTED": lambda row: str(row["status"]["presented"]).lower(),
            "PROCESSING": lambda row: str(row["status"]["processing"]).lower(),
        },
    ),
    "secrets": _certified(
        {"TYPE": lambda row: row["type"], "DATA": lambda row: str(len(row["files"]))},
        {
            "EXPIRATION": lambda row: row["status"]["notAfter"] or "-",
            "SERIAL": lambda row: row["status"]["serial"],
        },
    ),
    "events": Kind(
        {
            "LAST SEEN": lambda row: age(at(row["lastTimestamp"])),
            "TYPE": lambda row: row["type"],
            "REASON": lambda row: row["reason"],
            "OBJECT": lambda row: f"{row['involvedObject']['kind'].lower()}/{row['involvedObject']['name']}",
            "MESSAGE": lambda row: row["message"],
        },
        {},
        of_certificates=True,
    ),
}

SHORT = {
    "launch": "launches", "class": "classes", "cert": "certificates", "certs": "certificates", "ev": "events",
}  # fmt: skip
"""Names that are not the plural without its last letter."""


def plural(kind: str) -> str:
    """The name of a kind however people write it: `session`, `Sessions`, `launch`, `cert`."""
    kind = kind.lower()
    return kind if kind in KINDS else SHORT.get(kind, kind + "s")
