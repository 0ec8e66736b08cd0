"""A service's backup is restored where nothing of it is left, and goes on there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, until
from tests.fakes.ports import free_port

pytestmark = pytest.mark.e2e
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")


def serial(service: Service) -> str:
    """Of the certificate that is served for localhost; `` while there is none."""
    rows = json.loads(service.cli("get", "secrets", "-o", "json"))["items"]
    return next((str(row["status"]["serial"]) for row in rows), "")


def test_history_and_certificates_are_there_where_a_backup_is_restored(
    module_state: State, empty_state: State, tmp_path: Path
) -> None:
    file, https = tmp_path / "perijove.tar.gz", {"SERVICE_HTTPS": f"127.0.0.1:{free_port()}"}
    first = Service(module_state, https).up()
    try:
        session = first.session(HELLO).name
        before = until(lambda: serial(first))
        assert "0600" in first.cli("backup", str(file), "--config", str(tmp_path / "none.toml"))
        first.cli("restore", str(file), status=1)
        assert "platform.already-up" in first.told[-1]
        secret = module_state.secret.read_bytes()
    finally:
        first.stop()
    shutil.rmtree(module_state.root)

    second = Service(empty_state, https)
    said = second.cli("restore", str(file), "--config", str(tmp_path / "none.toml"))
    assert str(module_state.root) in said
    second.up()
    try:
        assert empty_state.secret.read_bytes() == secret
        assert serial(second) == before
        (launch,) = json.loads(second.cli("get", "launches", "-o", "json"))
        assert (launch["state"], launch["session"]) == ("ready", session)
        assert json.loads(second.cli("get", "session", session, "-o", "json"))["state"] == "over"
        assert second.launch(HELLO)[0]["event"]["is"] == "Requested"
        assert {row["number"] for row in json.loads(second.cli("get", "launches", "-o", "json"))} == {1, 2}
    finally:
        second.stop()
