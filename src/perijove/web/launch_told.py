"""How is an event of a launch, a session or the operator told among all others? In: a journal's entry. Pure."""

from __future__ import annotations

from perijove.domain import events as e
from perijove.domain.events import Entry, Event
from perijove.domain.failures import Failure
from perijove.domain.nouns import EndReason
from perijove.web.certificate_objects import API_VERSION, Object, time

NORMAL, WARNING = "Normal", "Warning"
UNWELL = (EndReason.EXITED, EndReason.MEMORY, EndReason.DISK, EndReason.FAILED_START, EndReason.PAD_LOST)


def event(entry: Entry) -> Object:
    """An entry as an object of the kind Event."""
    kind, _, name = entry.subject.partition("/")
    sort, message = told(entry.event)
    return {
        "apiVersion": API_VERSION,
        "kind": "Event",
        "metadata": {"name": f"{name}.{entry.seq}", "creationTimestamp": time(entry.at)},
        "involvedObject": {"kind": kind.capitalize(), "name": name},
        "type": sort,
        "reason": type(entry.event).__name__,
        "message": message,
        "lastTimestamp": time(entry.at),
    }


def told(what: Event) -> tuple[str, str]:
    """Type, and a message of one sentence."""
    match what:
        case e.Failed(failure) | e.SessionTroubled(_, failure):
            return WARNING, _words(failure)
        case e.Retrying(failure, delay):
            return WARNING, f"{_words(failure)}; tried again in {delay:.0f} s"
        case e.SessionEnded(_, reason, detail):
            return (WARNING if reason in UNWELL else NORMAL), f"Over ({reason}): {detail}"
        case e.Requested(address, client):
            return NORMAL, f"{address.path} asked for by {client}"
        case e.Resolved(repo):
            return NORMAL, f"It is commit {repo.commit[:10]}"
        case e.Announced(text):
            return NORMAL, f"All pages say: {text}" if text else "Pages say nothing more"
        case e.Queued(position, why):
            return NORMAL, f"Waits for room, number {position} in the queue: {why}"
    return NORMAL, _step(what)


def _step(what: Event) -> str:
    """What was done."""
    match what:
        case e.Fetched(commit):
            return f"The files of {commit[:10]} are here"
        case e.Noted(line):
            return line
        case e.BuildStarted(environment):
            return f"Environment {environment[:10]} is built"
        case e.Built(environment, found, seconds):
            return f"Environment {environment[:10]} {'found' if found else f'built in {seconds:.1f} s'}"
        case e.Ready(session) | e.SessionStarted(session):
            return f"Session {session}"
        case e.SessionTitled(_, title):
            return f"Called {title}"
        case e.SessionOpened(session):
            return f"{session.repo.address.path} by launch {session.launch}"
    return ""


def _words(failure: Failure) -> str:
    return f"{failure.message} [{failure.kind.code}]"
