"""What became of a launch and of its session? In: the journal. Out: values for pages and JSON; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from perijove.domain.auth_failures import NOT_YOURS
from perijove.domain.events import SessionEnded, SessionOpened, SessionTroubled
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.nouns import RepoAddress, Session, SessionName
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.launching.launches import Launch
from perijove.launching.resolve.address import persistent_path
from perijove.web.public import Public
from perijove.web.stream import failure_told, outlined

NOWHERE = RepoAddress("", "", "", "", "")
"""Where a launch's repository is, for those who may not know."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session, as far as it is known."""

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


def session_record(journal: Journal, name: SessionName) -> SessionRecord | None:
    """What is known of a session; None for one that never was."""
    found: SessionRecord | None = None
    for entry in journal.ledger.steps(f"session/{name}"):
        match entry.event:
            case SessionOpened(session=session):
                found = SessionRecord(session)
            case SessionTroubled(failure=failure) if found:
                found = SessionRecord(found.session, (*found.troubles, failure), found.end)
            case SessionEnded() as end if found:
                found = SessionRecord(found.session, found.troubles, end)
            case _:
                pass
    return found


def log_open(settings: Settings, launch: Launch) -> bool:
    """Whether anybody may read a launch's log and names: never of what is not known to be public."""
    repo = launch.repo
    return settings.service.open_logs and repo is not None and not repo.private and repo.address.provider != "local"


def told_log(public: Public, request: Request, launch: Launch) -> bool:
    """Whether whoever brings no key of the launch may read its log: where people log in, an admin."""
    if public.gate.identity.needed:
        return public.gate.oversees(request)
    return log_open(public.settings(), launch)


def outline(launch: Launch) -> Launch:
    """What of a launch anybody may know: how far it is, and the code of its failure."""
    failure = outlined(launch.failure) if launch.failure else None
    return replace(
        launch, address=NOWHERE, client="", visitor="", repo=None, environment="", session=None, failure=failure,
        notes=(), urlpath="",
    )  # fmt: skip


def outline_told(launch: Launch) -> dict[str, Any]:
    """A launch as JSON for anybody."""
    return {
        "number": launch.number,
        "state": launch.state,
        "stage": launch.stage.value,
        "started_at": launch.started_at,
        "ended_at": launch.ended_at,
        "failure": failure_told(launch.failure) if launch.failure else None,
    }


def launch_told(base: str, launch: Launch, session: SessionRecord | None) -> dict[str, Any]:
    """A launch as JSON, for those who may read its log: who asked and the session's token are left out."""
    told: dict[str, Any] = {
        **outline_told(launch),
        "link": f"{base}{launch.address.path}",
        "log": f"{base}launch/{launch.number}",
        "environment": launch.environment or None,
        "session": session.told if session else None,
        "notes": list(launch.notes),
        "urlpath": launch.urlpath or None,
    }
    if launch.repo is not None:
        told |= {"commit": launch.repo.commit, "persistent_link": f"{base}{persistent_path(launch.repo)}"}
    return told


def known_launch(public: Public, request: Request) -> Launch:
    """The launch whose number stands in the address.

    Raises Fail: `start.not-yours`, `platform.no-such-object`, `platform.no-longer-kept`.
    """
    number = int(str(request.path_params["number"])[:15])
    if public.gate.others(request, number):
        raise Fail(NOT_YOURS("another person has launched it", Evidence("launch", str(number))))
    launch = public.launches.get(number)
    if launch is None:
        raise Fail(public.launches.missing(number))
    return launch
