from __future__ import annotations

import pytest

from perijove.certifying.schedule import SETTLED, Settling, budget_spent, next_attempt
from perijove.domain import certificate_failures as rows
from perijove.domain.failures import INTERRUPTED, Failure

UNSEEN = rows.VALIDATION_FAILED("404")
NOW = 1_800_000_000.0
HICCUP, LOST = rows.ACME_ERROR("hiccup"), rows.ORDER_LOST("gone")
REFUSED, LIMITED = rows.ACME_ACCOUNT_REFUSED("no"), rows.ACME_RATE_LIMITED("too many", after=7)

ROWS = [
    pytest.param([], False, -NOW, id="none failed"),
    pytest.param([HICCUP], False, 60, id="one"),
    pytest.param([HICCUP] * 2, False, 600, id="two"),
    pytest.param([HICCUP] * 9, False, 3600, id="many"),
    pytest.param([LOST], False, 0, id="a lost order"),
    pytest.param([LOST] * 2, False, 60, id="lost again"),
    pytest.param([UNSEEN], False, 0, id="what passes, maybe"),
    pytest.param([UNSEEN] * 2, False, 60, id="it did not pass"),
    pytest.param([UNSEEN] * 3, False, 600, id="nor then"),
    pytest.param([HICCUP, UNSEEN], False, 600, id="not the first"),
    pytest.param([INTERRUPTED("the service stopped")], False, 0, id="cut off by a stop of ours"),
    pytest.param([HICCUP, LIMITED], False, 7, id="the CA's own time"),
    pytest.param([REFUSED], False, 86400, id="of little hope"),
    pytest.param([REFUSED], True, 60, id="of little hope, but the settings may have changed"),
]


@pytest.mark.parametrize(("failed", "restarted", "after"), ROWS)
def test_the_next_attempt(failed: list[Failure], restarted: bool, after: float) -> None:
    assert next_attempt([(NOW, one) for one in failed], restarted=restarted) == NOW + after


def test_four_failed_validations_within_an_hour_are_enough() -> None:
    assert budget_spent([NOW - 10, NOW - 20, NOW - 30], NOW) is None
    assert budget_spent([NOW - 10, NOW - 20, NOW - 30, NOW - 3600], NOW) is None
    spent = budget_spent([NOW - 10, NOW - 20, NOW - 30, NOW - 600], NOW)
    assert spent is not None
    assert (spent.kind, spent.after) == (rows.BUDGET_SPENT, 3000)
    spent = budget_spent([NOW - 5, NOW - 10, NOW - 20, NOW - 30, NOW - 600], NOW)
    assert spent is not None
    assert spent.after == 3570, "until fewer than four lie within the hour"


def test_what_was_ill_or_refused_is_settled_once_it_looks_well_for_a_while() -> None:
    settling = Settling(["refused"])
    assert settling.looked({"refused": True, "new": True, "red": False}, NOW) == ("refused",)
    assert settling.looked({"red": True}, NOW + SETTLED) == ("red",)
    assert settling.looked({"red": False}, NOW + 1.1 * SETTLED) == ()
    assert settling.looked({"red": True}, NOW + 1.2 * SETTLED) == ("red",), "it begins anew"
    assert settling.looked({"red": True}, NOW + 2.1 * SETTLED) == ("red",)
    assert settling.looked({"red": True}, NOW + 2.2 * SETTLED) == ()
