"""What became of a host's attempts? In: the journal. Out: attempts to go on with, failures in a row, times. Reads."""

from __future__ import annotations

from collections.abc import Sequence

from perijove.certifying.formatting import HOUR
from perijove.certifying.progress import Progress, progress
from perijove.domain import certificate_events as e
from perijove.domain.certificates import HostName, OrderName
from perijove.domain.events import Entry, Failed
from perijove.domain.failures import Failure
from perijove.journal import Journal, ends

ROW = 20
"""Attempts that are looked at, the last ones."""
HOURS = 100
"""Attempts that may lie within an hour."""


def subject(order: OrderName) -> str:
    """An attempt's subject in the journal."""
    return f"order/{order}"


def host_subject(host: HostName) -> str:
    """The subject of what happens to a host's certificate between attempts."""
    return f"certificate/{host}"


def host_of(order: OrderName) -> HostName:
    """The host that an attempt is for."""
    return order.rpartition("-")[0]


class Attempts:
    """One service's attempts, as they stand in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def names(self, host: HostName, limit: int = ROW) -> list[OrderName]:
        """The last attempts for a host, the newest first."""
        asked = limit
        while True:
            found = self._journal.ledger.subjects(f"order/{host}-", asked)
            names = [name for one in found if host_of(name := one.partition("/")[2]) == host]
            if len(names) >= limit or len(found) < asked:
                return names[:limit]
            asked *= 10  # those of `x-1` begin like those of `x`

    def all(self, limit: int) -> list[OrderName]:
        """The last attempts for any host, the newest first."""
        return [name.partition("/")[2] for name in self._journal.ledger.subjects("order/", limit)]

    def next_name(self, host: HostName) -> OrderName:
        """A name that no attempt had."""
        last = self.names(host, 1)
        return f"{host}-{int(last[0].rpartition('-')[2]) + 1 if last else 1}"

    def entries(self, order: OrderName) -> Sequence[Entry]:
        """All that is known of one attempt."""
        return self._journal.ledger.steps(subject(order))

    def of_host(self, host: HostName) -> Sequence[Entry]:
        """What happened to a host's certificate between attempts."""
        return self._journal.ledger.steps(host_subject(host))

    def unfinished(self, host: HostName = "") -> list[OrderName]:
        """Attempts that a stop of the service cut off, the oldest first; of one host, or of all."""
        begun = self._journal.ledger.unfinished(f"order/{host}-" if host else "order/")
        names = [name.partition("/")[2] for name in begun]
        return [name for name in names if host in ("", host_of(name))]

    def so_far(self, order: OrderName) -> Progress:
        """How far an attempt has come."""
        return progress(entry.event for entry in self.entries(order))

    def failed_in_a_row(self, host: HostName) -> list[tuple[float, Failure]]:
        """When and why the last attempts failed, the oldest first; empty after one that succeeded."""
        row: list[tuple[float, Failure]] = []
        for name in self.names(host):
            last = self._end(name)
            if last is None:
                continue
            if not isinstance(last.event, Failed):
                break
            row.insert(0, (last.at, last.event.failure))
        imported = [entry.at for entry in self.of_host(host) if isinstance(entry.event, e.Imported)]
        return [one for one in row if not imported or one[0] > imported[-1]]

    def refused(self, host: HostName, now: float) -> dict[HostName, list[Entry]]:
        """Failed validations within the last hour, by name; of a certificate with one name that is its host."""
        told: dict[HostName, list[Entry]] = {}
        for order in self.names(host, HOURS):
            entries = self.entries(order)
            if entries and entries[-1].at < now - HOUR:
                break
            for name, entry in _refused(host, entries):
                told.setdefault(name, []).append(entry)
        return told

    def issued_and_not_served(self, host: HostName) -> Progress | None:
        """What the last attempt left: a certificate that could not be served, and need not be ordered again."""
        names = self.names(host, 1)
        if not names or (end := self._end(names[0])) is None or not isinstance(end.event, Failed):
            return None
        left = self.so_far(names[0])
        return Progress(issuer=left.issuer, issued=left.issued) if left.issued is not None else None

    def revoked(self, host: HostName) -> Entry | None:
        """The revocation of the certificate that the host has; None where it got another one since, or none was."""
        told = [entry for entry in self.of_host(host) if isinstance(entry.event, (e.Revoked, e.Imported))]
        if not told or not isinstance(told[-1].event, e.Revoked):
            return None
        ended = next((end for name in self.names(host) if (end := self._end(name)) and _good(end)), None)
        return told[-1] if ended is None or ended.seq < told[-1].seq else None

    def seen_trusted(self, host: HostName) -> bool:
        """Whether the last handshake with what is served showed a certificate that browsers trust."""
        served = [entry for entry in self.of_host(host) if isinstance(entry.event, e.Served)]
        for name in self.names(host):
            if found := [entry for entry in self.entries(name) if isinstance(entry.event, e.Served)]:
                served.append(found[-1])
                break
        last = max(served, key=lambda entry: entry.seq, default=None)
        return last is not None and isinstance(last.event, e.Served) and last.event.trusted

    def _end(self, order: OrderName) -> Entry | None:
        entries = self.entries(order)
        return entries[-1] if entries and ends(entries[-1].event) else None


def _refused(host: HostName, entries: Sequence[Entry]) -> list[tuple[HostName, Entry]]:
    """An attempt's; of several names each says its own."""
    if any(isinstance(entry.event, e.OrderBegun) and entry.event.names for entry in entries):
        return [(entry.event.host, entry) for entry in entries if isinstance(entry.event, e.NameRefused)]
    seen: dict[str, Entry] = {}
    for entry in entries:
        if isinstance(entry.event, e.ChallengeSeen) and entry.event.status == "invalid":
            seen[entry.event.url] = entry
    return [(host, entry) for entry in seen.values()]


def _good(end: Entry) -> bool:
    return isinstance(end.event, e.Certified)
