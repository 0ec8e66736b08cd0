from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from perijove.certifying.order import (
    Answer,
    Done,
    Download,
    Finalize,
    GiveUp,
    Known,
    LookAgain,
    LookAtAuthorizations,
    Present,
    Step,
    next_step,
    slowness,
    state_in_words,
    worth_telling,
)
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import AuthorizationView, ChallengeView, OrderStatus, OrderView, Problem

NOW = 1000.0
ORDER = OrderView("o", OrderStatus.PENDING, ("a",), "o/finalize")
HTTP = ChallengeView("http-01", "c", "token", "pending")
VIEW = AuthorizationView("a", "binder.example.org", False, "pending", (HTTP, replace(HTTP, type="dns-01", url="d")))
KNOWN = Known("binder.example.org", ORDER, NOW, NOW)
LOOKED = replace(KNOWN, authorizations={"a": VIEW})
SHOWN = replace(LOOKED, presented={"a": "c"})
ANSWERED = replace(SHOWN, answered=frozenset({"c"}))
SAID = Problem("urn:ietf:params:acme:error:unauthorized", "404", 403, {"subproblems": [{"detail": "deep"}]})


def being(status: OrderStatus, **changed: object) -> Known:
    return replace(KNOWN, order=replace(ORDER, status=status, **changed))  # type: ignore[arg-type]


def seen(status: str, *challenges: ChallengeView) -> Known:
    return replace(ANSWERED, authorizations={"a": replace(VIEW, status=status, challenges=challenges or (HTTP,))})


STEPS = [
    pytest.param(KNOWN, LookAtAuthorizations(("a",)), id="a new order: what is wanted?"),
    pytest.param(LOOKED, Present((VIEW,)), id="pending: the answer is put up"),
    pytest.param(SHOWN, Answer(("c",)), id="put up: the CA is told"),
    pytest.param(
        replace(SHOWN, authorizations={"a": replace(VIEW, challenges=(replace(HTTP, status="processing"),))}),
        LookAgain(NOW + 0.005, ("a",)),
        id="told by somebody before us: not told again",
    ),
    pytest.param(ANSWERED, LookAgain(NOW + 0.005, ("a",)), id="told: the authorization is looked at"),
    pytest.param(seen("valid"), LookAgain(NOW + 0.005), id="valid, the order not yet ready: the order is looked at"),
    pytest.param(being(OrderStatus.READY), Finalize(), id="ready"),
    pytest.param(being(OrderStatus.PROCESSING), LookAgain(NOW + 0.005), id="processing"),
    pytest.param(being(OrderStatus.VALID), LookAgain(NOW + 0.005), id="valid without a certificate"),
    pytest.param(being(OrderStatus.VALID, certificate="u"), Download("u"), id="valid"),
    pytest.param(replace(being(OrderStatus.READY), rehearsal=True), Done(), id="a rehearsal that is ready"),
    pytest.param(being(OrderStatus.INVALID), LookAtAuthorizations(("a",)), id="invalid: the authorization may say why"),
]


@pytest.mark.parametrize(("known", "step"), STEPS)
def test_the_next_step(known: Known, step: Step) -> None:
    assert next_step(known, NOW) == step


def test_a_valid_authorization_is_never_shown_anew() -> None:
    known = replace(KNOWN, authorizations={"a": replace(VIEW, status="valid")})
    assert isinstance(next_step(known, NOW), LookAgain)


FAILURES = [
    pytest.param(seen("invalid", replace(HTTP, problem=SAID)), rows.VALIDATION_FAILED, "deep", id="with a problem"),
    pytest.param(
        seen("invalid", replace(HTTP, problem=replace(SAID, type="urn:ietf:params:acme:error:caa"))),
        rows.CAA_FORBIDS,
        "deep",
        id="caa",
    ),
    pytest.param(seen("invalid"), rows.ORDER_INVALID, "invalid", id="without a problem"),
    pytest.param(seen("expired"), rows.ORDER_INVALID, "expired", id="expired"),
    pytest.param(seen("deactivated"), rows.ORDER_INVALID, "deactivated", id="deactivated"),
    pytest.param(being(OrderStatus.INVALID, problem=SAID), rows.ORDER_INVALID, "deep", id="the order's own problem"),
    pytest.param(
        replace(seen("valid"), order=replace(ORDER, status=OrderStatus.INVALID)),
        rows.ORDER_INVALID,
        "invalid",
        id="no reason anywhere",
    ),
    pytest.param(being(OrderStatus.PROCESSING, expires=NOW), rows.CA_SLOW, "processing", id="run out"),
    pytest.param(
        replace(being(OrderStatus.PROCESSING), since=NOW - 90000), rows.CA_SLOW, "processing", id="a day at one state"
    ),
]


@pytest.mark.parametrize(("known", "kind", "saw"), FAILURES)
def test_what_brings_no_certificate_is_told_with_the_ca_s_words(known: Known, kind: object, saw: str) -> None:
    step = next_step(known, NOW)
    assert isinstance(step, GiveUp)
    assert step.failure.kind is kind
    assert saw in step.failure.evidence[0].saw


def pauses(retry_after: float) -> list[float]:
    """When it is looked at, from a state's beginning on, for two minutes."""
    known, now, times = being(OrderStatus.PROCESSING, look_again=retry_after), NOW, []
    while now < NOW + 120:
        step = next_step(known, now)
        assert isinstance(step, LookAgain)
        now = step.at
        times.append(now - NOW)
        known = known.seen(now, known.order)
    return times


def test_looks_begin_within_a_hundredth_and_grow_to_a_second_and_then_to_ten() -> None:
    times = pauses(0)
    assert times[0] == pytest.approx(0.005)
    assert times[1] - times[0] == pytest.approx(0.008)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gap for gap, at in zip(gaps, times, strict=False) if at < 58) == pytest.approx(1.0)
    assert gaps[-1] == pytest.approx(10.0)


def test_a_slow_ca_s_retry_after_is_obeyed() -> None:
    gaps = [later - earlier for earlier, later in pairwise(pauses(17))]
    assert gaps[-1] == pytest.approx(17.0)
    assert gaps[0] < 1, "but not while the state is fresh, in which most orders end"


def test_a_state_that_changes_begins_anew() -> None:
    later = ANSWERED.seen(NOW + 9, None, replace(VIEW, status="valid"))
    assert (later.since, later.looks, later.seen_at) == (NOW + 9, 0, NOW + 9)
    same = ANSWERED.seen(NOW + 9, None, VIEW)
    assert (same.since, same.looks, same.seen_at) == (NOW, 1, NOW + 9)


@pytest.mark.parametrize(("lasted", "times"), [(0, 0), (4.9, 0), (5, 1), (12, 2), (60, 4), (3600, 10)])
def test_what_lasts_is_told_at_once_and_then_sparsely(lasted: float, times: int) -> None:
    assert worth_telling(lasted) == times


def test_slowness_in_words() -> None:
    known = being(OrderStatus.PROCESSING)
    assert state_in_words(known, NOW + 12) == "the CA has been processing the order since 12 s"
    assert state_in_words(ANSWERED, NOW + 12) == "the CA has been looking at the answer since 12 s (http-01)"
    assert slowness(known, NOW + 59) is None
    slow = slowness(known, NOW + 60)
    assert slow is not None
    assert slow.kind is rows.CA_SLOW


def several(*states: str) -> Known:
    """An order for names in these states; the CA was told to look at all of them."""
    urls = tuple(f"a{number}" for number in range(len(states)))
    views = {}
    for url, state in zip(urls, states, strict=True):
        challenge = ChallengeView("http-01", f"{url}/c", "token", state, SAID if state == "invalid" else None)
        views[url] = AuthorizationView(url, f"{url}.example.org", False, state, (challenge,))
    answers = frozenset(f"{url}/c" for url in urls)
    known = Known("a0.example.org", replace(ORDER, authorizations=urls), NOW, NOW, several=True)
    return replace(known, authorizations=views, presented={url: f"{url}/c" for url in urls}, answered=answers)


def test_answers_for_several_names_are_put_up_and_told_together() -> None:
    known = replace(several("pending", "valid", "pending"), presented={}, answered=frozenset())
    step = next_step(known, NOW)
    assert isinstance(step, Present)
    assert [view.url for view in step.authorizations] == ["a0", "a2"]
    assert next_step(replace(several("pending", "pending"), answered=frozenset()), NOW) == Answer(("a0/c", "a1/c"))


def test_an_order_that_one_name_spoils_waits_for_what_the_ca_says_of_the_others() -> None:
    known = several("pending", "invalid", "pending")
    assert next_step(known, NOW + 1) == LookAgain(NOW + 0.015, ("a0", "a2"))
    step = next_step(known, NOW + 10)
    assert isinstance(step, GiveUp)
    assert [host for host, _ in step.refused] == ["a1.example.org"]


def test_each_name_that_is_refused_has_its_own_failure_and_the_order_that_of_the_first() -> None:
    step = next_step(several("invalid", "valid", "invalid"), NOW)
    assert isinstance(step, GiveUp)
    assert step.failure.kind is rows.VALIDATION_FAILED
    assert step.failure.cause == "a0.example.org: by http-01 it says: 404; likewise a2.example.org"
    assert [host for host, _ in step.refused] == ["a0.example.org", "a2.example.org"]
    assert step.refused[1][1].cause == "a2.example.org: by http-01 it says: 404"


def test_many_names_are_looked_at_less_often() -> None:
    step = next_step(several(*["pending"] * 20), NOW)
    assert isinstance(step, LookAgain)
    assert step.at == NOW + 0.1
