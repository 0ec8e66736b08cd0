"""Where sessions of a cluster listen, as Caddy looks for it: a folder a session, in it a file of that name. Acts.

So Caddy is not told anew for each, and sessions go on while the control plane is away.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from perijove import durable
from perijove.domain.nouns import SessionName


class UpstreamFolder:
    """Which servers listen where. Everything raises Fail: `platform.disk-full`, `platform.state-unusable`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with durable.told(folder):
            durable.folder(folder)

    def lead(self, session: SessionName, address: str) -> None:
        """To an `address:port`; `` to nowhere."""
        own = self._folder / session
        with durable.told(self._folder):
            there = os.listdir(own) if own.exists() else None
            if there is not None and there != [address]:
                shutil.rmtree(own)
            if address and there != [address]:
                own.mkdir(mode=0o700)
                os.close(os.open(own / address, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def keep(self, sessions: Collection[SessionName]) -> None:
        """Forget all others."""
        with durable.told(self._folder):
            for session in set(os.listdir(self._folder)) - set(sessions):
                shutil.rmtree(self._folder / session)
