"""Which of a certificate's names is a CA asked for now? In: what looks and CAs said of each, what stands. Pure.

One name that cannot be shown to be ours must not keep the others without a certificate, nor cost them one a minute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from perijove.certifying.schedule import BUDGET, PERIOD
from perijove.domain.certificates import HostName

PATIENCE, PATIENCE_SERVED = 10.0, 3600.0
"""Seconds that the names which are well wait for the others: while none is served, and where it would add some."""
LAST = 1 / 6
"""With so much of its lifetime left, a certificate is replaced though a name that it holds is not well."""


@dataclass(frozen=True, slots=True)
class Served:
    """The certificate that stands."""

    names: frozenset[HostName]
    """Those that are wanted, and that it is for."""
    left: float
    """Of its lifetime, from 1 to 0."""
    due: bool
    """Whether it would be replaced, were no name missing."""


NOTHING = Served(frozenset(), 0, due=True)
"""Where none stands."""


def askable(well: Sequence[HostName], refused: Mapping[HostName, Sequence[float]], now: float) -> tuple[HostName, ...]:
    """Those that no CA refused within the hour; where there are none, those that may be tried still.

    `refused` holds the times of failed validations by name. Empty: the budget of all is spent.
    """
    lately = {name: sum(at > now - PERIOD for at in refused.get(name, ())) for name in well}
    return tuple(name for name in well if not lately[name]) or tuple(name for name in well if lately[name] < BUDGET)


def worth(asked: Collection[HostName], names: Collection[HostName], served: Served, waited: float) -> bool:
    """Whether a certificate for these is worth an order now, or should wait for the other `names`."""
    if set(asked) == set(names):
        return True
    if not asked or not (served.due or set(asked) - served.names):
        return False
    if served.names - set(asked):
        return served.left < LAST
    return waited >= (PATIENCE_SERVED if served.names and not served.due else PATIENCE)
