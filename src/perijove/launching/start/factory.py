"""New sessions: their names and their sandboxes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass

from perijove.domain.keys import Keys
from perijove.domain.listening import MARK, session_labels
from perijove.domain.nouns import Checkout, Environment, RepoAddress, SandboxSpec, Session, SessionName
from perijove.domain.ports import Clock
from perijove.domain.settings import Settings
from perijove.launching.start.sandbox import sandbox, session_label, session_name

NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


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

    def session(self, number: int, checkout: Checkout, environment: Environment) -> tuple[Session, SandboxSpec]:
        """A new one for launch `number`."""
        name = self._name(number, checkout.repo.address)
        session = Session(name, number, checkout.repo, environment.key, self.clock.now())
        return session, sandbox(name, self.keys.session_token(name), checkout, environment, self.settings())

    def template(self, checkout: Checkout, environment: Environment) -> SandboxSpec:
        """What all such sessions have in common: equal ones can stand for each other."""
        return sandbox("", "", checkout, environment, self.settings())

    def _name(self, number: int, address: RepoAddress) -> SessionName:
        """Where hosts of sessions are a list, its end says which is this session's."""
        suffix = "".join(secrets.choice(NAME_ALPHABET) for _ in range(8))
        if labels := session_labels(self.settings().service, self.certified()):
            suffix += MARK + session_label(labels, self.names(), number)
        return session_name(address.name, suffix)
