from __future__ import annotations

from pathlib import Path

from perijove.domain.settings import ServiceSettings, Settings
from perijove.domain.state import State
from perijove.routing.table import table


def test_the_table_follows_from_settings_and_state() -> None:
    made = table(Settings(service=ServiceSettings(http=("0.0.0.0:80",))), State(Path("/state")), Path("/assets"), "v1")
    assert made.http == ("0.0.0.0:80",)
    assert made.control == Path("/state/run/control.sock")
    assert made.sessions == Path("/state/s")
    assert (made.assets, made.assets_version) == (Path("/assets"), "v1")
