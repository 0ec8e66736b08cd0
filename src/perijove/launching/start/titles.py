"""What people call their sessions. In: the journal, where it stands in a session's own subject. Out: the same."""

from __future__ import annotations

from perijove.domain.events import SessionTitled
from perijove.domain.failures import BAD_REQUEST, Evidence, Fail
from perijove.domain.nouns import SessionName
from perijove.journal import Journal
from perijove.launching.start.sessions import subject

MOST = 100
"""Names that one session may get: each is read again with its session, and kept as long."""


def entitle(journal: Journal, session: SessionName, title: str) -> None:
    """It is called so from now on. Raises Fail: `start.bad-request` after too many names, `platform.*`."""
    given = _given(journal, session)
    if given and given[-1] == title:
        return
    if len(given) >= MOST:
        seen, remedy = Evidence("its names so far", str(len(given))), "Keep the one that it has, or launch another."
        raise Fail(BAD_REQUEST("a session is renamed no more often", seen, remedy=remedy))
    journal.append(subject(session), SessionTitled(session, title))


def title_of(journal: Journal, session: SessionName) -> str:
    """The last one; `` where nobody gave it any."""
    return next(reversed(_given(journal, session)), "")


def _given(journal: Journal, session: SessionName) -> list[str]:
    steps = journal.ledger.steps(subject(session))
    return [one.event.title for one in steps if isinstance(one.event, SessionTitled)]
