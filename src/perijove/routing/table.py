"""What should the data plane do? In: settings, state directory, our static files. Out: the table. Pure."""

from __future__ import annotations

from pathlib import Path

from perijove.domain.nouns import DataPlaneTable
from perijove.domain.settings import Settings
from perijove.domain.state import State


def table(settings: Settings, state: State, assets: Path, assets_version: str) -> DataPlaneTable:
    """The whole of it; no session stands in it, since their sockets are found by name."""
    return DataPlaneTable(
        listen=settings.service.http,
        control=state.control_socket,
        sessions=state.session_sockets,
        assets=assets,
        assets_version=assets_version,
    )
