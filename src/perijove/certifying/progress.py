"""How far has an attempt come? In: its events so far. Out: what is done and need not be done again. Pure.

A way that goes on after a crash reads this and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from perijove.domain import certificate_events as e
from perijove.domain.certificates import ChallengeType, HostName, OrderStatus
from perijove.domain.events import Event

REHEARSED = (OrderStatus.READY, OrderStatus.PROCESSING, OrderStatus.VALID)
"""An order of a rehearsal that has come so far has shown what it can."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The order in hand at a CA."""

    order: e.OrderPlaced
    status: OrderStatus | None = None
    """As it was told last."""
    presented: frozenset[str] = frozenset()
    """URLs of the challenges whose answers were put up."""
    answered: frozenset[str] = frozenset()
    """URLs of those that the CA was told to look at."""
    refused: frozenset[HostName] = frozenset()
    """Names to blame for its end, where there are several."""


@dataclass(frozen=True, slots=True)
class Presented:
    """An answer that was put up, and may still stand."""

    issuer: str
    directory: str
    type: ChallengeType
    token: str
    host: HostName = ""
    """`` where the certificate has one name."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an attempt's events so far say."""

    reason: str = ""
    """Why it began."""
    looked: Mapping[HostName, e.Looked] = field(default_factory=dict)
    """The last look at each name, by its `host`."""
    issuer: str = ""
    """Who is asked; `` before anybody is."""
    placed: Placed | None = None
    """At that issuer, and not yet over."""
    presented: frozenset[Presented] = frozenset()
    """For all orders so far."""
    rehearsed: bool = False
    """Whether that issuer's rehearsal went well."""
    issued: e.Issued | None = None
    served: bool = False
    hooks: frozenset[str] = field(default_factory=frozenset)
    """Commands that ran."""


def after(progress: Progress, event: Event) -> Progress:
    """Once this has happened too."""
    match event:
        case e.OrderBegun(reason=reason):
            return replace(progress, reason=reason)
        case e.Looked():
            return replace(progress, looked={**progress.looked, event.host: event})
        case e.IssuerChosen(issuer):
            return replace(progress, issuer=issuer, placed=None, rehearsed=False)
        case e.OrderPlaced():
            return replace(progress, placed=Placed(event))
        case e.Issued():
            return replace(progress, issued=event)
        case e.Served():
            return replace(progress, served=True)
        case e.HookRan(command):
            return replace(progress, hooks=progress.hooks | {command})
    return _after(progress, progress.placed, event) if progress.placed else progress


def _after(progress: Progress, placed: Placed, event: Event) -> Progress:
    """Once this has happened to the order in hand."""
    match event:
        case e.ChallengePresented(kind, url, token, host):
            answer = Presented(placed.order.issuer, placed.order.directory, kind, token, host)
            placed = replace(placed, presented=placed.presented | {url})
            return replace(progress, placed=placed, presented=progress.presented | {answer})
        case e.ChallengeAnswered(url):
            return replace(progress, placed=replace(placed, answered=placed.answered | {url}))
        case e.NameRefused(host):
            return replace(progress, placed=replace(placed, refused=placed.refused | {host}))
        case e.OrderSeen(status):
            if placed.order.rehearsal and status in REHEARSED:
                return replace(progress, placed=None, rehearsed=True)
            return replace(progress, placed=replace(placed, status=status))
    return progress


def progress(events: Iterable[Event]) -> Progress:
    """What all these say."""
    come = Progress()
    for event in events:
        come = after(come, event)
    return come
