"""What a session's pages are told of it. In: what the pad says it uses, what went wrong. Out: Notices. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from perijove.domain.activity import Ending, Notices, Share, Trouble
from perijove.domain.events import Announced
from perijove.domain.nouns import RunningSandbox

TOLD_FOR = 600.0
"""Seconds for which a page that is opened later is told what went wrong."""


def notices(
    now: float,
    ending: Ending | None,
    held: RunningSandbox | None,
    troubles: Iterable[Trouble],
    message: Announced | None = None,
) -> Notices:
    """Everything there is to tell now."""
    return Notices(ending, _shares(held), tuple(one for one in troubles if now - one.at < TOLD_FOR), message)


def _shares(held: RunningSandbox | None) -> tuple[Share, ...]:
    if held is None or held.limits is None:
        return ()
    return (
        Share("session.memory", held.memory, held.limits.memory),
        Share("session.disk", held.disk, held.limits.disk),
        Share("session.processes", held.threads, held.limits.processes),
    )
