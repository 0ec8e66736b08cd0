"""New sessions: their names and their sandboxes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from perijove.domain.keys import Keys
from perijove.domain.listening import MARK, own_url, session_labels
from perijove.domain.nouns import Checkout, Environment, RepoAddress, ResolvedRepo, SandboxSpec, Session, SessionName
from perijove.domain.ports import Clock
from perijove.domain.repository_names import canonical
from perijove.domain.settings import Settings
from perijove.launching.start.sandbox import binder_variables, blank, in_class, sandbox, session_label, session_name
from perijove.launching.start.timetable import NO_CLASSES, Timetable

NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def canonical_repo(repo: ResolvedRepo) -> ResolvedRepo:
    """What is the same for all spellings of a link to it: links to a branch and to its commit stay two."""
    return replace(repo, address=canonical_address(repo.address))


def canonical_address(address: RepoAddress) -> RepoAddress:
    """The same for all spellings of a link."""
    name = canonical(address.url)
    return RepoAddress("", f"{name}/{address.ref}", name, address.ref, "")


@dataclass(frozen=True, slots=True)
class SessionFactory:
    """Says what a session of a checkout and an environment is, as the settings are now."""

    keys: Keys
    clock: Clock
    settings: Callable[[], Settings]
    names: Callable[[], Collection[SessionName]]
    """Of all sessions that are not over."""
    certified: Callable[[], Collection[str]] = tuple
    """Names for which a certificate is shown."""
    timetable: Timetable = NO_CLASSES

    def session(
        self,
        number: int,
        checkout: Checkout,
        environment: Environment,
        person_home: Path | None = None,
        served_at: str = "",
    ) -> tuple[Session, SandboxSpec]:
        """A new one for launch `number`."""
        name = self._name(number, checkout.repo.address.name)
        session, spec = self._new(name, number, checkout, environment, served_at)
        return session, replace(spec, person_home=person_home)

    def blank(self, checkout: Checkout, environment: Environment) -> tuple[Session, SandboxSpec]:
        """A new one that any checkout can be laid into whose template is as this one's once blank.

        Its name tells nothing of this one.
        """
        session, spec = self._new(self._name(0, ""), 0, checkout, environment)
        return session, blank(spec)

    def _new(
        self, name: SessionName, number: int, checkout: Checkout, environment: Environment, served_at: str = ""
    ) -> tuple[Session, SandboxSpec]:
        settings, now = self._set(checkout), self.clock.now()
        session = Session(name, number, checkout.repo, environment.key, now, settings.service.base, served_at)
        return session, sandbox(name, self.keys.session_token(name), checkout, environment, settings, served_at)

    def template(self, checkout: Checkout, environment: Environment) -> SandboxSpec:
        """What all such sessions have in common, however the link is spelled: equal ones can stand for each other."""
        repo = canonical_repo(checkout.repo)
        return sandbox("", "", Checkout(repo, Path(repo.address.url, repo.commit)), environment, self._set(checkout))

    def variables(self, checkout: Checkout) -> dict[str, str]:
        """What a blank session's server is told when it gets a checkout."""
        return binder_variables(checkout.repo, own_url(self.settings().service))

    def _set(self, checkout: Checkout) -> Settings:
        return in_class(self.settings(), self.timetable.of(canonical(checkout.repo.address.url)))

    def _name(self, number: int, repo_name: str) -> SessionName:
        """Where hosts of sessions are a list, its end says which is this session's."""
        suffix = "".join(secrets.choice(NAME_ALPHABET) for _ in range(8))
        if labels := session_labels(self.settings().service, self.certified()):
            suffix += MARK + session_label(labels, self.names(), number)
        return session_name(repo_name, suffix)
