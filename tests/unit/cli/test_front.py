"""What a web server in front is told to pass on, and what the service says of its certificates as it starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perijove.cli import announce, front
from perijove.domain.settings import ServiceSettings
from perijove.web.certificate_objects import certificate
from tests.fakes.certificate_desk import SERVED, WAITING, records

HOSTS = (WAITING, SERVED)


def behind(*networks: str, http: tuple[str, ...] = (), own: str = "192.0.2.7") -> front.Front:
    return front.front(ServiceSettings(hosts=HOSTS, behind=networks, http=http), own)


@pytest.mark.parametrize(
    ("networks", "http", "upstream"),
    [
        pytest.param(("127.0.0.1",), (), "127.0.0.1:8000", id="on this machine"),
        pytest.param(("127.0.0.1", "::1"), ("0.0.0.0:8080",), "127.0.0.1:8080", id="on this machine, everywhere"),
        pytest.param(("192.0.2.9",), ("0.0.0.0:8080",), "192.0.2.7:8080", id="elsewhere: by our address"),
        pytest.param(("192.0.2.0/24",), ("192.0.2.8:80",), "192.0.2.8:80", id="elsewhere, one address"),
    ],
)
def test_the_address_is_one_that_the_server_in_front_reaches(
    networks: tuple[str, ...], http: tuple[str, ...], upstream: str
) -> None:
    found = behind(*networks, http=http)
    assert (found.upstream, found.unreachable) == (upstream, "")
    for text in (front.nginx(found), front.haproxy(found), front.apache(found)):
        assert upstream in text


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert behind("2001:db8::9", http=("[::]:8080",), own="2001:db8::7").upstream == "[2001:db8::7]:8080"


def test_a_server_elsewhere_cannot_reach_loopback_and_is_told_so() -> None:
    said = behind("192.0.2.9").unreachable
    assert "127.0.0.1:8000, which 192.0.2.9 cannot reach" in said
    assert "--http" in said


@pytest.mark.parametrize(
    "line",
    [
        f"server_name {WAITING} {SERVED};",
        "location ^~ /.well-known/acme-challenge/ {",
        "proxy_pass http://127.0.0.1:8000;",
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $perijove_connection;",
        "proxy_buffering off;",
        "proxy_read_timeout 1h;",
        "client_max_body_size 0;",
    ],
)
def test_nginx_is_told_each_thing_without_which_something_breaks(line: str) -> None:
    assert line in [one.strip() for one in front.nginx(behind("127.0.0.1")).splitlines()]


def test_nginx_answers_the_challenge_before_it_redirects() -> None:
    text = front.nginx(behind("127.0.0.1"))
    assert text.index(front.CHALLENGE) < text.index("return 301") < text.index("listen 443")
    assert f"perijove cert export {WAITING}" in text


@pytest.mark.parametrize(
    "word",
    ["X-Forwarded-For %[src]", "X-Forwarded-Proto https", "timeout tunnel 1h", "unless { ssl_fc } or { path_beg"],
)
def test_haproxy_is_told_as_much(word: str) -> None:
    assert word in front.haproxy(behind("127.0.0.1"))


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_haproxy_takes_the_lines_as_they_stand(tmp_path: Path) -> None:
    lines = [line.partition(":") for line in front.haproxy(behind("127.0.0.1")).splitlines()]
    of = {
        name: [f"  {text.strip()}" for section, _, text in lines if section == name] for name in ("frontend", "backend")
    }
    start = ["defaults", "  mode http", "  timeout client 9s", "  timeout server 9s", "  timeout connect 9s"]
    config = tmp_path / "haproxy.cfg"
    web = ["frontend web", f"  bind unix@{tmp_path}/web.sock", "  default_backend perijove", *of["frontend"]]
    config.write_text("\n".join([*start, *web, "backend perijove", *of["backend"], ""]))
    ran = subprocess.run(["haproxy", "-c", "-f", str(config)], capture_output=True, text=True, check=False, timeout=20)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "word", ["upgrade=websocket", "flushpackets=on", "ProxyPreserveHost On", r"^/\.well-known/acme-challenge/"]
)
def test_apache_is_told_as_much(word: str) -> None:
    assert word in front.apache(behind("127.0.0.1"))


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
