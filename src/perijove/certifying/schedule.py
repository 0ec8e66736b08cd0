"""When may a CA be asked again? In: what became of earlier attempts. Out: a time. Pure.

Two limits: pauses that grow from failure to failure, and a budget of failed validations for each host and hour, which
stays below what public CAs allow (five for an account and name in an hour).
"""

from __future__ import annotations

from collections.abc import Sequence

from perijove.certifying.moments import DAY, HOUR, MINUTE, span
from perijove.domain.certificate_failures import BUDGET_SPENT, ORDER_LOST
from perijove.domain.failures import INTERRUPTED, Evidence, Failure, Retry

DELAYS = (MINUTE, 10 * MINUTE, HOUR)
"""Seconds after the first, second, … failure in a row; the last goes on."""
AT_ONCE = frozenset({ORDER_LOST.code, INTERRUPTED.code})
"""Failures after whose first a new attempt helps at once."""
OF_LITTLE_HOPE = DAY
"""Seconds after a failure that trying again cannot help by itself: somebody may have put it right meanwhile."""
BUDGET, PERIOD = 4, HOUR


def next_attempt(failed: Sequence[tuple[float, Failure]], *, restarted: bool = False) -> float:
    """The earliest time of the next attempt, by the failures in a row so far, the oldest first; 0: now.

    A restart may follow a correction of the settings, so what waits for one then waits no longer than other failures.
    """
    if not failed:
        return 0.0
    at, last = failed[-1]
    row = len(failed)
    if last.kind.retry is Retry.AFTER and last.after > 0:
        return at + last.after
    if last.kind.retry is Retry.NEVER and not restarted:
        return at + OF_LITTLE_HOPE
    if last.kind.code in AT_ONCE and row == 1:
        return at
    return at + DELAYS[min(row, len(DELAYS)) - 1]


def budget_spent(refused: Sequence[float], now: float) -> Failure | None:
    """The failure where too many validations failed within the hour; `refused` holds their times."""
    lately = sorted(at for at in refused if at > now - PERIOD)
    if len(lately) < BUDGET:
        return None
    after = lately[-BUDGET] + PERIOD - now
    cause = f"{len(lately)} validations failed within the last hour; the next may begin in {span(after)}"
    return BUDGET_SPENT(cause, Evidence("journal", f"the last one failed {span(now - lately[-1])} ago"), after=after)
