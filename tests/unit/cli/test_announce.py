"""What `perijove up` prints beneath its address, in whole."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perijove.cli import announce
from perijove.cli.client import Client
from perijove.domain.failures import NOT_UP, Fail
from perijove.domain.settings import ServiceSettings, Settings
from perijove.domain.state import State
from perijove.web.certificate_objects import certificate
from tests.fakes.certificate_desk import SERVED, WAITING, records
from tests.unit.cli.conftest import Shell

HOSTS = (WAITING, SERVED)
WITH_NAMES = Settings(service=ServiceSettings(hosts=HOSTS))


def printed(say: Callable[[], object]) -> tuple[list[str], str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        say()
    return out.getvalue().splitlines(), err.getvalue()


def test_each_name_has_a_line(perijove: Shell) -> None:
    lines, _ = printed(lambda: announce.certificates(Client(perijove.state), WITH_NAMES))
    assert [line.split()[0] for line in lines] == [f"https://{WAITING}/", f"https://{SERVED}/"]
    assert f"`perijove describe certificate {WAITING}`" in lines[0]
    assert "certificate by R11" in lines[1]


def test_without_https_nothing_is_asked(state: State) -> None:
    plain = Settings(service=ServiceSettings(http=("127.0.0.1:8000",)))
    assert printed(lambda: announce.certificates(Client(state), plain)) == ([], "")


def test_a_service_that_stops_meanwhile_harms_nothing(state: State) -> None:
    """In a process of its own, as there: httpcore leaves a socket that could not connect to the collector."""
    words = (
        "import pathlib, sys; from perijove.cli import announce; from perijove.cli.client import Client;"
        "from perijove.domain.settings import Settings; from perijove.domain.state import State;"
        "announce.certificates(Client(State(pathlib.Path(sys.argv[1]))), Settings())"
    )
    command = [sys.executable, "-c", words, str(state.root)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "platform.not-up" in ran.stderr


def test_a_service_of_another_version_is_told_apart(perijove: Shell) -> None:
    with pytest.raises(Fail) as told:
        Client(perijove.state).call("GET", "/what-only-a-later-version-has")
    assert told.value.failure.kind is NOT_UP
    assert "another version" in told.value.failure.message


def test_behind_a_web_server_its_configuration_is_printed(state: State) -> None:
    lines, err = printed(lambda: announce.passing_on(ServiceSettings(hosts=(WAITING,), behind=("127.0.0.1",))))
    heads = [line.strip() for line in lines if line.strip().endswith("in front:")]
    assert heads == ["For nginx in front:", "For HAProxy in front:", "For Apache in front:", "For Caddy in front:"]
    assert "        proxy_pass http://127.0.0.1:8000;" in [line[4:] for line in lines]
    assert err == ""


def test_a_web_server_that_cannot_reach_us_is_told_of(state: State) -> None:
    _, err = printed(lambda: announce.passing_on(ServiceSettings(hosts=(WAITING,), behind=("192.0.2.9",))))
    assert "which 192.0.2.9 cannot reach" in err


def told(folder: Path) -> dict[str, dict[str, Any]]:
    return {one.name: certificate(one) for one in records(folder, 1_800_000_000.0)}


def test_a_certificate_is_said_with_its_signer_and_end(tmp_path: Path) -> None:
    said = announce.line(told(tmp_path)[SERVED], ServiceSettings(hosts=HOSTS))
    assert said == f"https://{SERVED}/ certificate by R11, until 2027-03-17"


def test_a_certificate_that_is_missing_is_said_with_how_to_see_why(tmp_path: Path) -> None:
    row = told(tmp_path)[WAITING]
    see = f"see `perijove describe certificate {WAITING}`"
    said = announce.line(row, ServiceSettings(hosts=HOSTS))
    assert said == f"https://{WAITING}/ waits for its certificate (cert.redirect-not-forwarded): {see}"
    row["status"]["failure"] = None
    assert announce.line(row, ServiceSettings(hosts=HOSTS)) == f"https://{WAITING}/ certificate on its way: {see}"


def test_the_embedded_ca_s_is_said_with_how_to_trust_it(tmp_path: Path) -> None:
    row = told(tmp_path)[SERVED]
    row["metadata"]["name"], row["status"]["secret"]["issuer"] = "localhost", "local"
    said = announce.line(row, ServiceSettings())
    assert said.startswith("https://localhost:8443/ certificate by R11")
    assert "`perijove trust`" in said


def test_behind_another_server_the_address_is_that_server_s_matter(tmp_path: Path) -> None:
    said = announce.line(told(tmp_path)[SERVED], ServiceSettings(hosts=HOSTS, behind=("127.0.0.1",)))
    assert said.startswith(f"{SERVED} certificate by")
