"""What a web server in front is told to pass on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from perijove.doctor.front import lines
from perijove.domain.settings import ServiceSettings
from tests.fakes.certificate_desk import SERVED, WAITING

HOSTS = (WAITING, SERVED)


def behind(*networks: str, http: tuple[str, ...] = (), own: str = "192.0.2.7") -> lines.Front:
    return lines.front(ServiceSettings(hosts=HOSTS, behind=networks, http=http), own)


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
    for text in (lines.nginx(found), lines.haproxy(found), lines.apache(found)):
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
    assert line in [one.strip() for one in lines.nginx(behind("127.0.0.1")).splitlines()]


def test_nginx_answers_the_challenge_before_it_redirects() -> None:
    text = lines.nginx(behind("127.0.0.1"))
    assert text.index(lines.CHALLENGE) < text.index("return 301") < text.index("listen 443")
    assert f"perijove cert export {WAITING}" in text


@pytest.mark.parametrize(
    "word",
    ["X-Forwarded-For %[src]", "X-Forwarded-Proto https", "timeout tunnel 1h", "unless { ssl_fc } or { path_beg"],
)
def test_haproxy_is_told_as_much(word: str) -> None:
    assert word in lines.haproxy(behind("127.0.0.1"))


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_haproxy_takes_the_lines_as_they_stand(tmp_path: Path) -> None:
    given = [line.partition(":") for line in lines.haproxy(behind("127.0.0.1")).splitlines()]
    of = {
        name: [f"  {text.strip()}" for section, _, text in given if section == name] for name in ("frontend", "backend")
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
    assert word in lines.apache(behind("127.0.0.1"))


def test_traefik_is_told_in_two_files_of_yaml() -> None:
    start, separator, own = lines.traefik(behind("127.0.0.1")).partition("# a file of its providers.file\n")
    assert separator
    entry = yaml.safe_load(start)["entryPoints"]["websecure"]
    assert entry["http"]["encodedCharacters"] == {"allowEncodedSlash": True, "allowEncodedPercent": True}
    assert entry["transport"]["respondingTimeouts"]["readTimeout"] == "0s"
    http = yaml.safe_load(own)["http"]
    routers = http["routers"]
    assert routers["perijove"]["rule"] == f"Host(`{WAITING}`) || Host(`{SERVED}`)"
    assert routers["perijove-challenge"]["rule"] == f"PathPrefix(`{lines.CHALLENGE}`)"
    assert routers["perijove-challenge"]["priority"] > len(routers["perijove"]["rule"]), "its own are their lengths"
    assert "middlewares" not in routers["perijove-challenge"]
    assert http["services"]["perijove"]["loadBalancer"]["servers"] == [{"url": "http://127.0.0.1:8000"}]


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        ("nginx", ["location /binder/ {", f"location ^~ {lines.CHALLENGE} {{"]),
        ("HAProxy", [f"use_backend perijove if {{ path /binder }} or {{ path_beg /binder/ {lines.CHALLENGE} }}"]),
        ("Apache", ['ProxyPass "/binder/" "http://127.0.0.1:8000/binder/"', f'ProxyPass "{lines.CHALLENGE}" "http']),
        ("Caddy", ["@perijove path /binder /binder/*", "reverse_proxy @perijove 127.0.0.1:8000 {"]),
        ("Traefik", [f"(Host(`{WAITING}`) || Host(`{SERVED}`)) && PathPrefix(`/binder`)"]),
    ],
)
def test_nothing_but_a_path_and_the_challenge_is_passed_on_where_the_host_serves_more(
    name: str, passed: list[str]
) -> None:
    service = ServiceSettings(hosts=HOSTS, behind=("127.0.0.1",), base="/binder/")
    below = lines.WRITTEN[name](lines.front(service, ""))
    assert all(line in below for line in passed), below
    assert not any(line in lines.WRITTEN[name](behind("127.0.0.1")) for line in passed if "^~" not in line)
    if name == "Traefik":
        assert yaml.safe_load(below.partition("providers.file\n")[2])["http"]["routers"]["perijove"]["tls"] == {}
