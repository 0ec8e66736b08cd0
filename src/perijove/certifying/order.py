"""What is the next step of an order at a CA? In: all that is known of it, and the time. Out: one step. Pure.

RFC 8555, 7.1.6 has the states. Authorizations that the CA finds valid already are never shown anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from perijove.certifying.formatting import listed, span
from perijove.domain.certificate_failures import CA_SLOW, CAA_FORBIDS, ORDER_INVALID, VALIDATION_FAILED
from perijove.domain.certificates import AuthorizationView, ChallengeView, HostName, OrderStatus, OrderView, Problem
from perijove.domain.failures import Evidence, Failure

FIRST_LOOK, GROWTH, LONGEST_LOOK = 0.005, 1.6, 1.0
"""Seconds between looks at a state that has just begun: the first, how they grow, the longest."""
SLOW = 5.0
"""Seconds after which a state is told to last, and the CA's own Retry-After counts."""
TOO_SLOW, TOO_SLOW_LOOK = 60.0, 10.0
"""Seconds after which it is a failure to be told, and between looks from then on."""
PATIENCE = 86400.0
"""Seconds after which an order that ends nowhere is given up, where the CA names no end of it."""
VERDICTS = 10.0
"""Seconds for which an order that is refused for one name waits for what the CA says of the others."""
_SHOWN, _TOLD = 4000, 10


@dataclass(frozen=True, slots=True)
class LookAtAuthorizations:
    """Ask the CA what it wants shown."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """Put an answer to one challenge of each where the CA looks."""

    authorizations: tuple[AuthorizationView, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell the CA to look at challenges, by their URLs."""

    challenges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing to do before `at`; then look at these authorizations, or at the order where there are none."""

    at: float
    authorizations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finalize:
    """Hand in the signing request."""


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch the chain."""

    url: str


@dataclass(frozen=True, slots=True)
class Done:
    """A rehearsal has shown what it can."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This order brings no certificate."""

    failure: Failure
    refused: tuple[tuple[HostName, Failure], ...] = ()
    """What is wrong with each name that is to blame, where the certificate has several."""


Step = LookAtAuthorizations | Present | Answer | LookAgain | Finalize | Download | Done | GiveUp


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of an order at one moment."""

    host: HostName
    order: OrderView
    since: float
    """When it came into the state it is in, as far as we saw."""
    seen_at: float
    """When the CA was last asked."""
    looks: int = 0
    """How often it was asked in this state."""
    authorizations: Mapping[str, AuthorizationView] = field(default_factory=dict)
    """By URL, as last seen."""
    presented: Mapping[str, str] = field(default_factory=dict)
    """Authorizations whose answer stands → the challenge's URL."""
    answered: frozenset[str] = frozenset()
    """Challenges that the CA was told to look at."""
    rehearsal: bool = False
    several: bool = False
    """Whether the certificate has several names."""

    def seen(self, now: float, order: OrderView | None = None, *views: AuthorizationView) -> Known:
        """After the CA was asked again."""
        new_order, new = order or self.order, {**self.authorizations, **{view.url: view for view in views}}
        same = new_order.status is self.order.status and _statuses(new) == _statuses(self.authorizations)
        since, looks = (self.since, self.looks + 1) if same else (now, 0)
        return replace(self, order=new_order, authorizations=new, since=since, looks=looks, seen_at=now)


def next_step(known: Known, now: float) -> Step:
    """What to do now."""
    order = known.order
    unseen = tuple(url for url in order.authorizations if url not in known.authorizations)
    if order.status in (OrderStatus.INVALID, OrderStatus.ERRORED):
        return LookAtAuthorizations(unseen) if unseen and not order.problem else _ended(known)
    if known.rehearsal and order.status in (OrderStatus.READY, OrderStatus.PROCESSING, OrderStatus.VALID):
        return Done()
    if order.status is OrderStatus.READY:
        return Finalize()
    if order.status is OrderStatus.VALID and order.certificate:
        return Download(order.certificate)
    if order.status is not OrderStatus.PENDING:
        return _again(known, now)
    return LookAtAuthorizations(unseen) if unseen else _pending(known, now)


def _pending(known: Known, now: float) -> Step:
    views = [known.authorizations[url] for url in known.order.authorizations]
    pending = [view for view in views if view.status == "pending"]
    again = tuple(view.url for view in pending)
    if refused := [view for view in views if view.status not in ("pending", "valid")]:
        looks = any(one.url in known.answered for view in pending for one in view.challenges)
        return _again(known, now, again) if looks and now - known.since < VERDICTS else _refused(known, refused)
    if unshown := tuple(view for view in pending if view.url not in known.presented):
        return Present(unshown)
    chosen = [one for view in pending for one in view.challenges if one.url == known.presented[view.url]]
    if untold := tuple(one.url for one in chosen if one.status == "pending" and one.url not in known.answered):
        return Answer(untold)
    return _again(known, now, again)


def _again(known: Known, now: float, authorizations: tuple[str, ...] = ()) -> Step:
    order, lasted = known.order, now - known.since
    if (order.expires and now >= order.expires) or lasted >= PATIENCE:
        return GiveUp(CA_SLOW(f"{state_in_words(known, now)}, and the order has run out", _where(known)))
    return LookAgain(known.seen_at + _pause(known, lasted), authorizations)


def _pause(known: Known, lasted: float) -> float:
    if lasted < SLOW:
        first = FIRST_LOOK * max(len(known.order.authorizations), 1)
        return float(min(first * GROWTH ** min(known.looks, 20), LONGEST_LOOK))
    return max(known.order.look_again, LONGEST_LOOK if lasted < TOO_SLOW else TOO_SLOW_LOOK)


def state_in_words(known: Known, now: float) -> str:
    """`the CA has been processing the order since 12 s`."""
    since = f"since {span(now - known.since)}"
    if known.order.status is not OrderStatus.PENDING:
        return f"the CA has been processing the order {since}"
    kinds = sorted({challenge.type for challenge in _told_to_look(known)})
    return f"the CA has been looking at the answer {since}" + (f" ({', '.join(kinds)})" if kinds else "")


def worth_telling(lasted: float) -> int:
    """How often a state that lasted so long should have been told: after 5 s, 10 s, 20 s, 40 s …"""
    times = 0
    while lasted >= SLOW * 2**times and times < 20:
        times += 1
    return times


def slowness(known: Known, now: float) -> Failure | None:
    """The failure that a state is by now; None while it may still be usual."""
    return CA_SLOW(state_in_words(known, now), _where(known)) if now - known.since >= TOO_SLOW else None


def evidence(problem: Problem, where: str) -> Evidence:
    """A problem document whole, as it came."""
    document = problem.document or {"type": problem.type, "detail": problem.detail, "status": problem.status}
    return Evidence(where, json.dumps(document, ensure_ascii=False, default=str)[:_SHOWN])


def _told_to_look(known: Known) -> list[ChallengeView]:
    return [
        challenge
        for view in known.authorizations.values()
        for challenge in view.challenges
        if challenge.url in known.answered and view.status == "pending"
    ]


def _statuses(views: Mapping[str, AuthorizationView]) -> dict[str, tuple[str, ...]]:
    return {url: (view.status, *(one.status for one in view.challenges)) for url, view in views.items()}


def _where(known: Known) -> Evidence:
    return Evidence(known.order.url, known.order.status.value)


def _ended(known: Known) -> GiveUp:
    """Why an order is invalid: an authorization's challenge knows best, then the order itself."""
    views = known.authorizations.values()
    if refused := [view for view in views if any(challenge.problem for challenge in view.challenges)]:
        return _refused(known, refused)
    problem = known.order.problem
    if problem is None:
        return GiveUp(ORDER_INVALID("it gives no reason", _where(known)))
    told = evidence(problem, known.order.url)
    cause = f"it says: {problem.detail or problem.type}"
    return GiveUp(CAA_FORBIDS(cause, told) if problem.type.endswith(":caa") else ORDER_INVALID(cause, told))


def _refused(known: Known, views: Sequence[AuthorizationView]) -> GiveUp:
    """Why authorizations are not to be had, by the first of them."""
    failures = [_refusal(view, f"{view.name}: " if known.several else "") for view in views]
    first, *others = failures
    if not known.several:
        return GiveUp(first)
    cause = f"{first.cause}; likewise {listed([view.name for view in views[1:]])}" if others else first.cause
    told = tuple(one for failure in failures for one in failure.evidence)
    each = zip((view.name for view in views), failures, strict=True)
    return GiveUp(replace(first, cause=cause, evidence=told[:_TOLD]), tuple(each))


def _refusal(view: AuthorizationView, named: str) -> Failure:
    for challenge in view.challenges:
        if (problem := challenge.problem) is not None:
            told = evidence(problem, challenge.url)
            cause = f"{named}by {challenge.type} it says: {problem.detail or problem.type}"
            return CAA_FORBIDS(cause, told) if problem.type.endswith(":caa") else VALIDATION_FAILED(cause, told)
    cause = f"the authorization of {view.host} is {view.status}, and it gives no reason"
    return ORDER_INVALID(cause, Evidence(view.url, view.status))
