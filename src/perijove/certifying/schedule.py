"""When may a CA be asked, and asked again? In: looks, and what became of earlier attempts. Out: a time. Pure.

Two limits: pauses that grow from failure to failure, and a budget of failed validations for each host and hour, which
stays below what public CAs allow (five for an account and name in an hour).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from perijove.certifying.formatting import DAY, HOUR, MINUTE, span
from perijove.domain.certificate_failures import BUDGET_SPENT, ORDER_LOST, VALIDATION_FAILED
from perijove.domain.certificates import HostName
from perijove.domain.failures import INTERRUPTED, Evidence, Failure, Retry

DELAYS = (MINUTE, 10 * MINUTE, HOUR)
"""Seconds after the first, second, … failure in a row; the last goes on."""
AT_ONCE = frozenset({ORDER_LOST.code, INTERRUPTED.code, VALIDATION_FAILED.code})
"""Failures after whose first a new attempt may help at once: of a validation, where looks were well and stay so."""
SETTLED, SETTLING = 1.0, 0.3
"""Seconds for which a host must look well that did not lately, and between such looks: nginx's workers of before a
reload go on for 100 ms, longer where it is busy (`ngx_master_process_cycle`, os/unix/ngx_process_cycle.c, 1.22)."""
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
    at_once = failed[0][1].kind.code in AT_ONCE
    if last.kind.retry is Retry.AFTER and last.after > 0:
        return at + last.after
    if last.kind.retry is Retry.NEVER and not restarted:
        return at + OF_LITTLE_HOPE
    row = len(failed) - at_once
    return at + DELAYS[min(row, len(DELAYS)) - 1] if row else at


def budget_spent(refused: Sequence[float], now: float) -> Failure | None:
    """The failure where too many validations failed within the hour; `refused` holds their times."""
    lately = sorted(at for at in refused if at > now - PERIOD)
    if len(lately) < BUDGET:
        return None
    after = lately[-BUDGET] + PERIOD - now
    cause = f"{len(lately)} validations failed within the last hour; the next may begin in {span(after)}"
    return BUDGET_SPENT(cause, Evidence("journal", f"the last one failed {span(now - lately[-1])} ago"), after=after)


class Settling:
    """Which hosts look well, but not yet for long enough: those that looked ill, or that a CA refused lately.

    A state in transition is not to be judged by one look: where several processes answer, the CA may meet another.
    """

    def __init__(self, doubted: Iterable[HostName]) -> None:
        self._doubted = set(doubted)
        self._well_since: dict[HostName, float] = {}

    def looked(self, well: Mapping[HostName, bool], now: float) -> tuple[HostName, ...]:
        """Those of all hosts looked at so far that must be looked at again; `well` says what this look saw."""
        for host, is_well in well.items():
            if not is_well:
                self._doubted.add(host)
                self._well_since.pop(host, None)
            else:
                self._well_since.setdefault(host, now)
        since = self._well_since.items()
        return tuple(host for host, at in since if host in self._doubted and now - at < SETTLED)
