"""How is an event of the journal told to operators? In: an entry. Out: an Event as kubectl shows it. Pure.

Type Normal or Warning, a reason in one word, a message in one sentence; the object it happened to.
"""

from __future__ import annotations

from typing import Any

from perijove.certifying.formatting import listed, moment, span
from perijove.domain import certificate_events as e
from perijove.domain import events, wire
from perijove.domain.certificates import Confidence, HostName, OrderStatus, Problem
from perijove.domain.events import Entry, Event
from perijove.domain.failures import Failure
from perijove.domain.nouns import EndReason
from perijove.web.certificate_objects import API_VERSION, Object, time

Told = tuple[str, str, str]
"""Type, reason, message."""
NORMAL, WARNING = "Normal", "Warning"
UNWELL = (EndReason.EXITED, EndReason.MEMORY, EndReason.DISK, EndReason.FAILED_START, EndReason.PAD_LOST)


def host_of(subject: str) -> HostName:
    """`order/binder.example.org-3`, `certificate/binder.example.org` → `binder.example.org`."""
    kind, _, name = subject.partition("/")
    return name.rpartition("-")[0] if kind == "order" else name


def event(entry: Entry) -> Object:
    """An entry as an object of the kind Event."""
    kind, _, name = entry.subject.partition("/")
    of = {"certificate": host_of(entry.subject)} if kind in ("order", "certificate") else {}
    sort, reason, message = told(entry.event, entry.at) if of else _of_launch(entry.event)
    return {
        "apiVersion": API_VERSION,
        "kind": "Event",
        "metadata": {"name": f"{name}.{entry.seq}", "creationTimestamp": time(entry.at)},
        "involvedObject": {"kind": kind.capitalize(), "name": name},
        **of,
        "type": sort,
        "reason": reason,
        "message": message,
        "lastTimestamp": time(entry.at),
    }


def encoded(what: Event) -> dict[str, Any]:
    """The event for programs; a challenge's token stays here."""
    data: dict[str, Any] = wire.encode(what)
    data.pop("token", None)
    return data


def told(what: Event, at: float) -> Told:
    """Type, reason and message of an event of a certificate that happened at this time."""
    match what:
        case e.OrderBegun(message=message):
            return NORMAL, "Issuing", message
        case e.Certified():
            return NORMAL, "Certified", "The certificate is served and kept"
        case events.Failed(failure):
            return WARNING, "Failed", _failed(failure)
        case e.Waiting(words, failure, until):
            left = f"; next step in {span(until - at)}" if until > at else ""
            return (WARNING if failure else NORMAL), "Waiting", f"{words}{left}"
        case e.Looked() | e.Foreseen():
            return _look(what)
        case e.IssuerChosen() | e.OrderPlaced() | e.OrderSeen():
            return _order(what)
        case e.ChallengePresented() | e.ChallengeAnswered() | e.ChallengeSeen():
            return _challenge(what)
        case e.NameRefused(host, failure):
            return WARNING, "NameRefused", f"{host} is left out for an hour: {_failed(failure)}"
    return _secret(what)


def _look(what: e.Looked | e.Foreseen) -> Told:
    """What was seen of the host."""
    named = f"{what.host}: " if isinstance(what, e.Looked) and what.host else ""
    if what.failure is not None:
        sure = "" if what.confidence is Confidence.CERTAIN else " (as seen from this machine)"
        reason = "NotReachable" if isinstance(what, e.Looked) else "RenewalEndangered"
        return WARNING, reason, f"{named}{what.failure.message}{sure} [{what.failure.kind.code}]"
    if isinstance(what, e.Foreseen):
        return NORMAL, "RenewalForeseen", "A renewal would find all in order today"
    words = f"open for {', '.join(what.open)}" if what.open else "nothing stands in the way"
    words += f"; not for more, since {what.instead.cause}" if what.instead else ""
    return NORMAL, "Looked", f"{named}Looked at the host in {what.seconds * 1000:.0f} ms: {words}"


def _order(what: e.IssuerChosen | e.OrderPlaced | e.OrderSeen) -> Told:
    match what:
        case e.IssuerChosen(issuer, directory, because):
            asked = f"{issuer} is asked" + (f" at {directory}" if directory else "")
            return (WARNING if because else NORMAL), "IssuerChosen", f"{asked}, since {because}" if because else asked
        case e.OrderPlaced(issuer, rehearsal=rehearsal, names=names):
            wished = f" for {listed(names)}" if names else ""
            return NORMAL, "OrderCreated", f"Placed {'a rehearsal' if rehearsal else 'an order'} with {issuer}{wished}"
        case e.OrderSeen(status, problem):
            bad = status in (OrderStatus.INVALID, OrderStatus.ERRORED)
            reason = "OrderFailed" if bad else f"Order{status.capitalize()}"
            return (WARNING if bad else NORMAL), reason, f"The order is {status}{_words(problem)}"


def _challenge(what: e.ChallengePresented | e.ChallengeAnswered | e.ChallengeSeen) -> Told:
    match what:
        case e.ChallengePresented(type=kind, host=host):
            named = f"{host}: the" if host else "The"
            return NORMAL, "Presented", f"{named} answer for {kind} stands where the CA looks"
        case e.ChallengeAnswered():
            return NORMAL, "Started", "The CA was told to look"
        case e.ChallengeSeen(_, status, problem):
            reason = {"valid": "DomainVerified", "invalid": "ChallengeFailed"}.get(status, "ChallengePending")
            return (WARNING if status == "invalid" else NORMAL), reason, f"The challenge is {status}{_words(problem)}"


def _secret(what: Event) -> Told:
    """What became of the certificate itself."""
    match what:
        case e.Issued(issuer=issuer, serial=serial, not_after=end):
            return NORMAL, "Issued", f"{issuer} signed it, serial {serial}, valid until {moment(end)}"
        case e.Served(address=address, trusted=trusted):
            words = "trusted by browsers" if trusted else "not trusted by browsers as they come"
            return NORMAL, "Served", f"A handshake at {address} showed it, {words}"
        case e.HookRan(command, failure):
            bad = f" failed: {_failed(failure)}" if failure else " ran"
            return (WARNING if failure else NORMAL), "HookFailed" if failure else "HookRan", f"{command}{bad}"
        case e.Imported(origin=origin):
            return NORMAL, "Imported", f"A certificate was imported from {origin}"
        case e.Revoked(serial, reason):
            return WARNING, "Revoked", f"The CA was told to revoke serial {serial} ({reason})"
    return NORMAL, type(what).__name__, ""


def _failed(failure: Failure) -> str:
    return f"{failure.message} [{failure.kind.code}]"


def _words(problem: Problem | None) -> str:
    """A CA's own words."""
    return f": {problem.detail} ({problem.type.rpartition(':')[2]})" if problem else ""


def _of_launch(what: Event) -> Told:
    """Of an event of a launch, a session or the operator."""
    reason = type(what).__name__
    match what:
        case events.Failed(failure) | events.SessionTroubled(_, failure):
            return WARNING, reason, _failed(failure)
        case events.Retrying(failure, delay):
            return WARNING, reason, f"{_failed(failure)}; tried again in {delay:.0f} s"
        case events.SessionEnded(_, why, detail):
            return (WARNING if why in UNWELL else NORMAL), reason, f"Over ({why}): {detail}"
        case events.Requested(address, client):
            return NORMAL, reason, f"{address.path} asked for by {client}"
        case events.Resolved(repo):
            return NORMAL, reason, f"It is commit {repo.commit[:10]}"
        case events.Announced(text):
            return NORMAL, reason, f"All pages say: {text}" if text else "Pages say nothing more"
        case events.Queued(position, why):
            return NORMAL, reason, f"Waits for room, number {position} in the queue: {why}"
    return NORMAL, reason, _step(what)


def _step(what: Event) -> str:
    """What was done."""
    match what:
        case events.Fetched(commit):
            return f"The files of {commit[:10]} are here"
        case events.Noted(line):
            return line
        case events.BuildStarted(environment):
            return f"Environment {environment[:10]} is built"
        case events.Built(environment, found, seconds):
            return f"Environment {environment[:10]} {'found' if found else f'built in {seconds:.1f} s'}"
        case events.Ready(session) | events.SessionStarted(session):
            return f"Session {session}"
        case events.SessionTitled(_, title):
            return f"Called {title}"
        case events.SessionOpened(session):
            return f"{session.repo.address.path} by launch {session.launch}"
    return ""
