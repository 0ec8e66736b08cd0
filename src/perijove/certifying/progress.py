"""How far has an attempt come? In: its events so far. Out: what is done and need not be done again. Pure.

A way that goes on after a crash reads this and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from perijove.domain.certificate_events import (
    ChallengeAnswered,
    ChallengePresented,
    HookRan,
    Issued,
    IssuerChosen,
    Looked,
    OrderPlaced,
    OrderSeen,
    Served,
)
from perijove.domain.certificates import ChallengeType, OrderStatus
from perijove.domain.events import Event

REHEARSED = (OrderStatus.READY, OrderStatus.PROCESSING, OrderStatus.VALID)
"""An order of a rehearsal that has come so far has shown what it can."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The order in hand at a CA."""

    order: OrderPlaced
    status: OrderStatus | None = None
    """As it was told last."""
    presented: frozenset[str] = frozenset()
    """URLs of the challenges whose answers were put up."""
    answered: frozenset[str] = frozenset()
    """URLs of those that the CA was told to look at."""


@dataclass(frozen=True, slots=True)
class Presented:
    """An answer that was put up, and may still stand."""

    issuer: str
    directory: str
    type: ChallengeType
    token: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What an attempt's events so far say."""

    looked: Looked | None = None
    issuer: str = ""
    """Who is asked; `` before anybody is."""
    placed: Placed | None = None
    """At that issuer, and not yet over."""
    presented: frozenset[Presented] = frozenset()
    """For all orders so far."""
    rehearsed: bool = False
    """Whether that issuer's rehearsal went well."""
    issued: Issued | None = None
    served: bool = False
    hooks: frozenset[str] = field(default_factory=frozenset)
    """Commands that ran."""


def after(progress: Progress, event: Event) -> Progress:
    """Once this has happened too."""
    placed = progress.placed
    match event:
        case Looked():
            return replace(progress, looked=event)
        case IssuerChosen(issuer):
            return replace(progress, issuer=issuer, placed=None, rehearsed=False)
        case OrderPlaced():
            return replace(progress, placed=Placed(event))
        case ChallengePresented(kind, url, token) if placed:
            answer = Presented(placed.order.issuer, placed.order.directory, kind, token)
            placed = replace(placed, presented=placed.presented | {url})
            return replace(progress, placed=placed, presented=progress.presented | {answer})
        case ChallengeAnswered(url) if placed:
            return replace(progress, placed=replace(placed, answered=placed.answered | {url}))
        case OrderSeen(status) if placed:
            if placed.order.rehearsal and status in REHEARSED:
                return replace(progress, placed=None, rehearsed=True)
            return replace(progress, placed=replace(placed, status=status))
        case Issued():
            return replace(progress, issued=event)
        case Served():
            return replace(progress, served=True)
        case HookRan(command):
            return replace(progress, hooks=progress.hooks | {command})
    return progress


def progress(events: Iterable[Event]) -> Progress:
    """What all these say."""
    come = Progress()
    for event in events:
        come = after(come, event)
    return come
