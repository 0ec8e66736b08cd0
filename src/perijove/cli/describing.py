"""`perijove describe` for certificates and what belongs to them: the verdict first, then all there is to it."""

from __future__ import annotations

import time
from typing import Any

from rich.text import Text

from perijove.cli import printing
from perijove.cli.client import Client
from perijove.cli.columns import Row
from perijove.cli.objects import address
from perijove.cli.printing import age, at, plain
from perijove.domain import wire
from perijove.domain.failures import Failure

UNTOLD = ("secret", "failure", "conditions", "verdict")
"""Parts of a status that are shown in another place."""

KNOWN = {"dnsNames": "DNS names", "dnsName": "DNS name", "ipAddresses": "IP addresses", "hsts": "HSTS", "url": "URL"}
KNOWN |= {"issuerRef": "Issuer", "acme": "ACME", "secretName": "Secret"}
"""Labels that a key's letters do not make."""


def describe(client: Client, kind: str, name: str) -> None:
    """One object whole."""
    row = client.call("GET", address(kind, name))
    if kind == "certificates":
        _certificate(client, row)
    else:
        _head(kind, row)
        _body(row)
    if kind in ("certificates", "orders"):
        meta = row["metadata"]
        certificate = meta["name"] if kind == "certificates" else meta["ownerReferences"][0]["name"]
        told = client.call("GET", f"/events?certificate={_quoted(certificate)}")
        _events([one for one in told if kind == "certificates" or one["involvedObject"]["name"] == name])


def _quoted(name: str) -> str:
    return address("", name).rpartition("/")[2]


def _certificate(client: Client, row: Row) -> None:
    """The verdict, the object, the chain beneath it."""
    status, name = row["status"], row["metadata"]["name"]
    mark = _mark(row)
    printing.out.print(Text.assemble(mark, plain(status["verdict"])))
    if status["failure"]:
        printing.out.print(printing.seen(wire.decode(Failure, status["failure"])))
    printing.out.print()
    _body(row)
    orders = client.call("GET", f"/orders?certificate={_quoted(name)}")
    challenges = client.call("GET", f"/challenges?certificate={_quoted(name)}")
    for order in orders:
        if order["metadata"]["name"] == status["order"]:
            _chain(order, challenges)


def _mark(row: Row) -> tuple[str, str]:
    """Well, well for now, or not."""
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in row["status"]["conditions"])
    if not ready:
        return "✗ ", "bold red"
    return ("! ", "bold yellow") if row["status"]["failure"] else ("✓ ", "bold green")


def _chain(order: Row, challenges: list[Row]) -> None:
    """The last attempt, its challenges beneath it."""
    status, name = order["status"], order["metadata"]["name"]
    printing.out.print(Text.assemble(("Order ", "bold"), f"{name}: {_state(order)}"))
    rehearsal = " (its rehearsal)" if order["spec"]["rehearsal"] else ""
    _field("Issuer", order["spec"]["issuerRef"]["name"] + rehearsal, "  ")
    _field("Cause", f"{status['cause']}: {status['message']}", "  ")
    _field("Reason", status["reason"], "  ")
    _field("Age", age(at(order["metadata"]["creationTimestamp"])), "  ")
    for one in challenges:
        if one["metadata"]["ownerReferences"][0]["name"] != name:
            continue
        stands = "presented" if one["status"]["presented"] else "not presented"
        asked = ", the CA is looking" if one["status"]["processing"] else ""
        words = f"{one['spec']['type']} for {one['spec']['dnsName']}: {_state(one)}, {stands}{asked}"
        printing.out.print(Text.assemble(("  Challenge ", "bold"), words))
        _field("Reason", one["status"]["reason"], "    ")


def _state(row: Row) -> str:
    """The CA's word for it, or ours where the CA was not asked yet."""
    state: str = row["status"]["state"] or row["status"].get("step", "") or "new"
    return state


def _head(kind: str, row: Row) -> None:
    """The first line: what it has come to."""
    status = row["status"]
    words = _state(row) if kind in ("orders", "challenges") else f"valid until {_moment(status.get('notAfter'))}"
    if kind == "issuers":
        words = next((one["message"] for one in status["conditions"] if one["type"] == "Ready"), "not asked yet")
    elif reason := status.get("reason") or status.get("message"):
        words = f"{words}: {reason}"
    printing.out.print(Text(plain(words), "bold"))
    if status.get("failure"):
        printing.out.print(printing.seen(wire.decode(Failure, status["failure"])))
    printing.out.print()


def _body(row: Row) -> None:
    """Name, what was wanted, what is, and the conditions."""
    _field("Name", row["metadata"]["name"])
    _field("Kind", row["kind"])
    _field("Created", _moment(row["metadata"]["creationTimestamp"]))
    for owner in row["metadata"].get("ownerReferences", ()):
        _field("Belongs to", f"{owner['kind']}/{owner['name']}")
    if "files" in row:
        _field("Type", row["type"])
        _section("Files", row["files"])
    if "spec" in row:
        _section("Spec", {key: value for key, value in row["spec"].items() if key != _doubled(row)})
    _section("Status", {key: value for key, value in row["status"].items() if key not in UNTOLD})
    if row["kind"] == "Certificate" and row["status"]["secret"]:
        secret = row["status"]["secret"]
        _section("Secret", {key: value for key, value in secret.items() if key not in row["status"]})
    if conditions := row["status"].get("conditions"):
        printing.out.print(Text("Conditions", "bold"))
        cells = [
            [one["type"], one["status"], one["reason"], age(at(one["lastTransitionTime"])), one["message"]]
            for one in conditions
        ]
        printing.out.print(printing.table(["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], cells, "  "))


def _doubled(row: Row) -> str:
    """What the spec says twice, for those who know it by its other name."""
    return "issuerRef" if "issuers" in row["spec"] else ""


def _section(title: str, values: dict[str, Any]) -> None:
    printing.out.print(Text(title, "bold"))
    for key, value in values.items():
        _field(_words(key), _shown(key, value), "  ")


def _field(label: str, value: str, indent: str = "") -> None:
    """One value; nothing where there is none."""
    if value:
        head = f"{indent}{label + ':':<{20 - len(indent)}} "
        printing.out.print(Text.assemble((head, "bold"), printing.one_line(value)))


def _words(key: str) -> str:
    """`nextAttemptTime` → `Next attempt time`; `tls.crt` as it stands."""
    if "." in key or key in KNOWN:
        return KNOWN.get(key, key)
    apart = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in key)
    return apart[:1].upper() + apart[1:]


def _shown(key: str, value: Any) -> str:
    """A value as people read it; `` for none."""
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" if name != "name" else str(part) for name, part in value.items() if part)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return _moment(value) if _is_time(key) else str(value)


def _is_time(key: str) -> bool:
    return key.endswith(("Time", "At", "Since", "Timestamp")) or key in ("notBefore", "notAfter")


def _moment(moment: str | None) -> str:
    """`2026-12-01 14:03:05 UTC (3d ago)`, `(in 61d)` for one to come."""
    seconds = at(moment)
    if moment is None or seconds is None:
        return "-"
    now = time.time()
    away = f"in {age(2 * now - seconds)}" if seconds > now else f"{age(seconds)} ago"
    return f"{moment[:19].replace('T', ' ')} UTC ({away})"


def _events(events: list[Row]) -> None:
    """What happened, the newest last."""
    if not events:
        return
    printing.out.print(Text("Events", "bold"))
    cells = [[one["type"], one["reason"], age(at(one["lastTimestamp"])), one["message"]] for one in events]
    printing.out.print(printing.table(["TYPE", "REASON", "AGE", "MESSAGE"], cells, "  "))
