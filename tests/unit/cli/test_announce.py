"""What `perijove up` prints beneath its address, in whole."""

from __future__ import annotations

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
from perijove.nearby import own_addresses
from perijove.web.certificate_objects import certificate
from tests.fakes.certificate_desk import SERVED, WAITING, records
from tests.unit.cli.conftest import Shell

HOSTS = (WAITING, SERVED)
WITH_NAMES = Settings(service=ServiceSettings(hosts=HOSTS))


def said(by: Callable[[Callable[[str], None]], object]) -> list[str]:
    """The lines of what it says."""
    texts: list[str] = []
    by(texts.append)
    return "\n".join(texts).splitlines()


@pytest.mark.parametrize(
    ("service", "told"),
    [
        (ServiceSettings(hosts=HOSTS, http3=True), "let UDP port 443 through too"),
        (ServiceSettings(https=("127.0.0.1:8443", "[::1]:9443"), http3=True), "let UDP port 8443 and 9443 through"),
        (ServiceSettings(hosts=HOSTS), ""),
        (ServiceSettings(hosts=HOSTS, http3=True, behind=("192.0.2.1",)), ""),
        (ServiceSettings(hosts=HOSTS, http3=True, https=("off",)), ""),
    ],
)
def test_what_a_firewall_must_let_through_for_http3_is_said(service: ServiceSettings, told: str) -> None:
    said = announce.quic(service)
    assert (told in said) if told else said == ""


def test_each_name_has_a_line(perijove: Shell) -> None:
    lines = said(lambda say: announce.certificates(Client(perijove.state), WITH_NAMES, say))
    assert [line.split()[0] for line in lines] == [f"https://{WAITING}/", f"https://{SERVED}/"]
    assert f"`perijove describe certificate {WAITING}`" in lines[0]
    assert "certificate by R11" in lines[1]


def test_without_https_nothing_is_asked(state: State) -> None:
    plain = Settings(service=ServiceSettings(http=("127.0.0.1:8000",)))
    assert said(lambda say: announce.certificates(Client(state), plain, say)) == []


def test_a_service_that_stops_meanwhile_harms_nothing(state: State) -> None:
    """In a process of its own, as there: httpcore leaves a socket that could not connect to the collector."""
    words = (
        "import pathlib, sys; from perijove.cli import announce; from perijove.cli.client import Client;"
        "from perijove.domain.settings import Settings; from perijove.domain.state import State;"
        "announce.certificates(Client(State(pathlib.Path(sys.argv[1]))), Settings(), print)"
    )
    command = [sys.executable, "-c", words, str(state.root)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "platform.not-up" in ran.stdout


def test_a_service_of_another_version_is_told_apart(perijove: Shell) -> None:
    with pytest.raises(Fail) as told:
        Client(perijove.state).call("GET", "/what-only-a-later-version-has")
    assert told.value.failure.kind is NOT_UP
    assert "another version" in told.value.failure.message


def test_behind_a_web_server_its_configuration_is_printed(state: State) -> None:
    lines = said(lambda say: announce.passing_on(ServiceSettings(hosts=(WAITING,), behind=("127.0.0.1",)), say))
    heads = [line.strip() for line in lines if line.strip().endswith("in front:")]
    assert heads == [f"For {name} in front:" for name in ("nginx", "HAProxy", "Apache", "Caddy", "Traefik")]
    assert "        proxy_pass http://127.0.0.1:8000;" in [line[4:] for line in lines]
    assert lines[0] == heads[0]


def test_a_web_server_that_cannot_reach_us_is_told_of(state: State) -> None:
    lines = said(lambda say: announce.passing_on(ServiceSettings(hosts=(WAITING,), behind=("192.0.2.9",)), say))
    assert "which 192.0.2.9 cannot reach" in lines[0]


@pytest.mark.parametrize(
    ("service", "addresses"),
    [
        pytest.param(ServiceSettings(http=("127.0.0.1:8000", "localhost:8000", "[::1]:8000")), [], id="loopback"),
        pytest.param(ServiceSettings(http=("192.0.2.7:8000",)), ["http://192.0.2.7:8000/"], id="one address"),
        pytest.param(ServiceSettings(http=("[2001:db8::7]:80",)), ["http://[2001:db8::7]/"], id="of version 6"),
        pytest.param(ServiceSettings(http=("192.0.2.7:80",), base="/b/"), ["http://192.0.2.7/b/"], id="below a path"),
        pytest.param(ServiceSettings(http=("0.0.0.0:80",), hosts=("a.example.org",)), [], id="it has a name"),
        pytest.param(ServiceSettings(http=("192.0.2.7:80",), behind=("192.0.2.1",)), [], id="behind another server"),
    ],
)
def test_where_others_reach_it_is_said(service: ServiceSettings, addresses: list[str]) -> None:
    assert list(announce.on_this_network(service)) == addresses


def test_where_it_listens_everywhere_all_addresses_of_this_machine_are_said() -> None:
    told = announce.on_this_network(ServiceSettings(http=("0.0.0.0:8000",)))
    ours = {f"http://{address}:8000/" for address in own_addresses(4)}
    assert set(told) == ours
    assert not [address for address in ours if address.startswith(("http://127.", "http://169.254."))]


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
