"""Grants: an empty file for each browser that may open a session, which Caddy looks for at each request. Acts.

So nobody is asked, and sessions go on while the control plane is away. A grant is an HMAC of session and log-in.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from perijove import durable
from perijove.domain.keys import Keys
from perijove.domain.nouns import SessionName


class GrantFolder:
    """The port `Grants`."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._folder = folder
        self._keys = keys
        with durable.told(folder):
            durable.folder(folder)

    def give(self, session: SessionName, login: str) -> str:
        grant = self._keys.session_grant(session, login)
        with durable.told(self._folder):
            (self._folder / session).mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(self._folder / session / grant, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return grant

    def holds(self, session: SessionName, grant: str) -> bool:
        return re.fullmatch("[0-9a-f]{48}", grant) is not None and (self._folder / session / grant).exists()

    def withdraw(self, login: str) -> None:
        with durable.told(self._folder):
            for session in os.listdir(self._folder):
                (self._folder / session / self._keys.session_grant(session, login)).unlink(missing_ok=True)

    def keep(self, sessions: Collection[SessionName]) -> None:
        with durable.told(self._folder):
            for session in set(os.listdir(self._folder)) - set(sessions):
                shutil.rmtree(self._folder / session)
