"""What became of a launch and of its session? In: the journal. Out: values for pages and JSON; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from perijove.domain.events import SessionEnded, SessionOpened, SessionTroubled
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import Session, SessionName
from perijove.journal import Journal
from perijove.launching.launches import Launch
from perijove.launching.resolve.address import persistent_path
from perijove.web.public import Public
from perijove.web.stream import failure_told


@dataclass(frozen=True, slots=True)
class Life:
    """A session's, as far as it is known."""

    session: Session
    troubles: tuple[Failure, ...] = ()
    end: SessionEnded | None = None

    @property
    def told(self) -> dict[str, Any]:
        """As JSON; no secrets."""
        told: dict[str, Any] = {
            "name": self.session.name,
            "state": "ended" if self.end else "open",
            "troubles": [failure_told(failure) for failure in self.troubles],
        }
        return told | ({"reason": self.end.reason.value, "detail": self.end.detail} if self.end else {})


def life(journal: Journal, name: SessionName) -> Life | None:
    """The life of a session; None for one that never was."""
    found: Life | None = None
    for entry in journal.ledger.steps(f"session/{name}"):
        match entry.event:
            case SessionOpened(session=session):
                found = Life(session)
            case SessionTroubled(failure=failure) if found:
                found = Life(found.session, (*found.troubles, failure), found.end)
            case SessionEnded() as end if found:
                found = Life(found.session, found.troubles, end)
            case _:
                pass
    return found


def launch_told(launch: Launch, session: Life | None) -> dict[str, Any]:
    """A launch as JSON, for anybody: who asked and the session's token are left out."""
    told: dict[str, Any] = {
        "number": launch.number,
        "state": launch.state,
        "link": f"/{launch.address.path}",
        "log": f"/launch/{launch.number}",
        "started_at": launch.started_at,
        "ended_at": launch.ended_at,
        "environment": launch.environment or None,
        "session": session.told if session else None,
        "failure": failure_told(launch.failure) if launch.failure else None,
    }
    if launch.repo is not None:
        told |= {"commit": launch.repo.commit, "persistent_link": f"/{persistent_path(launch.repo)}"}
    return told


def known_launch(public: Public, request: Request) -> Launch:
    """The launch whose number stands in the address.

    Raises Fail: `platform.no-such-object`, `platform.no-longer-kept`.
    """
    number = int(str(request.path_params["number"])[:15])
    launch = public.launches.get(number)
    if launch is None:
        raise Fail(public.launches.missing(number))
    return launch
