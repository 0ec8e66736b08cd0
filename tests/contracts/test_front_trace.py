"""What the trace says nginx answers is what nginx answers: both are asked, about the same files."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from perijove.backends.nginx.reading import read
from perijove.doctor.front.requests import CHALLENGED, Request
from perijove.doctor.front.servers import Front, front_of
from perijove.doctor.front.trace import trace
from tests.fakes.nginx import foretold, missing, running_nginx, self_signed
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.same_for_any_user, pytest.mark.skipif(bool(missing()), reason=missing() or "nginx is there")]
SITES = """server { listen @; server_name one.example; return 200 one; }
server { listen @; server_name two.example *.two.example; return 200 two; }
server { listen @ default_server; server_name _; return 200 default; }
server { listen @; server_name .both.example; return 200 both; }
server { listen @; server_name mail.*; return 200 mail; }
server { listen @; server_name *.deep.two.example; return 200 deep; }
server { listen @; server_name ~^w+\\.(?<zone>[a-z]+)\\.test$; return 301 https://$zone.example/; }
server { listen @; server_name ~test$; return 200 regex; }"""


def cases() -> Iterator[tuple[str, tuple[str, str, str]]]:
    """As they stand in `front_cases.txt`: each `map` gets a variable of its own."""
    text = (Path(__file__).parent / "front_cases.txt").read_text()
    for number, case in enumerate(text.split("\n## ")[1:]):
        head, _, body = case.partition("\n")
        name, host, path = head.split(" | ")
        mapped = "".join(line for line in body.splitlines() if line.startswith("map ") and "server {" not in line)
        block = f"{mapped} server {{ listen @; root /nowhere; {body.removeprefix(mapped)} }}"
        block = body.replace("SITES", SITES) if "server {" in body or "SITES" in body else block
        block = block.replace("$m", f"$mapped_{number}").replace("CHALLENGE", CHALLENGED)
        yield name, (block, host, path.replace("CHALLENGE", CHALLENGED))


CASES = dict(cases())


@dataclass(frozen=True)
class World:
    """One nginx with every case at an address of its own, and what it was told, as the doctor reads it."""

    port: int
    front: Front
    addresses: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, port, inner = tmp_path_factory.mktemp("front"), free_port(), free_port()
    addresses = {case: f"127.0.3.{number}" for number, case in enumerate(CASES, 1)}
    blocks = [f"server {{ listen 127.0.0.1:{inner}; return 200 'up $http_host $request_uri'; }}"]
    for case, (text, _, _) in CASES.items():
        filled = text.replace("listen @", f"listen {addresses[case]}:{port}")
        blocks.append(filled.replace("listen *", f"listen {port}").replace("#", f"127.0.0.1:{inner}"))
    with running_nginx(folder, "\n".join(blocks)):
        yield World(port, front_of(read(folder / "nginx.conf")), addresses)


def real(address: str, port: int, host: str, path: str, tls: ssl.SSLContext | None = None) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        if tls is not None:
            connection.sock = tls.wrap_socket(socket.create_connection((address, port), 10), server_hostname=host)
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode()
        if location := answer.getheader("Location"):
            return f"{answer.status} {location}"
        return f"{answer.status} {body}" if answer.status == 200 else str(answer.status)
    finally:
        connection.close()


@pytest.mark.parametrize("case", CASES)
def test_the_trace_agrees_with_nginx(world: World, case: str) -> None:
    _, host, path = CASES[case]
    address = world.addresses[case]
    hop = trace(world.front, Request("http", address, world.port, host, path))[0]
    assert foretold(hop) == real(address, world.port, host, path)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("", "400"),
        ("error_page 497 =301 https://$host:8443$request_uri;", "301 https://a.test:8443/x?y=1"),
        ("error_page 497 = @tls; location @tls { return 302 https://help.test/; }", "302 https://help.test/"),
    ],
    ids=["nothing", "a redirect", "a named location"],
)
def test_http_that_is_spoken_to_a_port_of_tls_agrees_with_nginx(tmp_path: Path, page: str, expected: str) -> None:
    port, (chain, key) = free_port(), self_signed(tmp_path, "a.test")
    server = f"listen 127.0.0.1:{port} ssl; ssl_certificate {chain}; ssl_certificate_key {key}; return 200 tls;"
    with running_nginx(tmp_path, f"server {{ {server} {page} }}"):
        front = front_of(read(tmp_path / "nginx.conf"))
        hop = trace(front, Request("http", "127.0.0.1", port, "a.test", "/x?y=1"))[0]
        assert foretold(hop) == real("127.0.0.1", port, "a.test", "/x?y=1") == expected


DUAL = {
    "one socket for both families": "server { listen [::]:@ ipv6only=off; server_name a.test; return 200 a; }"
    " server { listen [::]:@; server_name b.test; return 200 b; }",
    "a socket for each family": "server { listen @; server_name a.test; return 200 a; }"
    " server { listen [::]:@; server_name b.test; return 200 b; }",
    "both for both": "server { listen @; listen [::]:@; server_name a.test; return 200 a; }"
    " server { listen @; listen [::]:@ default_server; server_name b.test; return 200 b; }",
    "IPv6 alone": "server { listen [::]:@ ipv6only=on; server_name a.test; return 200 a; }",
}


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
@pytest.mark.parametrize("case", DUAL)
def test_which_family_arrives_where_agrees_with_nginx(tmp_path: Path, case: str) -> None:
    port = free_port()
    with running_nginx(tmp_path, DUAL[case].replace("@", str(port))):
        front = front_of(read(tmp_path / "nginx.conf"))
        for address, host in product(("127.0.0.1", "::1"), ("a.test", "b.test", "c.test")):
            hop = trace(front, Request("http", address, port, host, "/"))[0]
            try:
                answer = real(address, port, host, "/")
            except ConnectionRefusedError:
                answer = "nobody"
            assert foretold(hop) == answer, (address, host)


@pytest.mark.skipif(bool(missing(stream=True)), reason=missing(stream=True) or "nginx has stream")
def test_which_name_a_stream_hands_on_to_whom_agrees_with_nginx(tmp_path: Path) -> None:
    """As a front shares port 443 between an ingress and sites of its own."""
    port, one, two = (free_port() for _ in range(3))
    chain, key = self_signed(tmp_path, "a.test")
    tls = f"ssl_certificate {chain}; ssl_certificate_key {key};"
    http = f"{tls} server {{ listen 127.0.0.1:{one} ssl; return 200 one; }}"
    http += f" server {{ listen 127.0.0.1:{two} ssl; return 200 two; }}"
    stream = f"""upstream sites {{ server 127.0.0.1:{two}; }}
map $ssl_preread_server_name $to {{ hostnames; a.test 127.0.0.1:{one}; *.run.test 127.0.0.1:{one}; default sites; }}
server {{ listen 127.0.0.1:{port}; ssl_preread on; proxy_pass $to; }}"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with running_nginx(tmp_path, http, stream):
        front = front_of(read(tmp_path / "nginx.conf"))
        for host in ("a.test", "s1.run.test", "run.test", "b.test"):
            hop = trace(front, Request("https", "127.0.0.1", port, host, "/"))[-1]
            assert foretold(hop) == real("127.0.0.1", port, host, "/", context), host
