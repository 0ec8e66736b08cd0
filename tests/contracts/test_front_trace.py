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
ACME = "/.well-known/acme-challenge/"
SITES = """server { listen @; server_name one.example; return 200 one; }
server { listen @; server_name two.example *.two.example; return 200 two; }
server { listen @ default_server; server_name _; return 200 default; }
server { listen @; server_name .both.example; return 200 both; }
server { listen @; server_name mail.*; return 200 mail; }
server { listen @; server_name *.deep.two.example; return 200 deep; }
server { listen @; server_name ~^w+\\.(?<zone>[a-z]+)\\.test$; return 301 https://$zone.example/; }
server { listen @; server_name ~test$; return 200 regex; }"""
CASES: dict[str, tuple[str, str, str]] = {
    "exact name": (SITES, "one.example", "/"),
    "exact name, other case, a dot at its end": (SITES, "ONE.example.", "/"),
    "wildcard name": (SITES, "x.two.example", "/"),
    "longest wildcard": (SITES, "a.deep.two.example", "/"),
    "name of a dot, itself": (SITES, "both.example", "/"),
    "name of a dot, below": (SITES, "x.both.example", "/"),
    "wildcard at the end": (SITES, "mail.nowhere", "/"),
    "first regular expression, its capture": (SITES, "www.lab.test", "/"),
    "second regular expression": (SITES, "x.test", "/"),
    "nobody's name": (SITES, "nowhere.invalid", "/"),
    "first server is the default": (
        "server { listen @; server_name a.b; return 200 first; } server { listen @; return 200 second; }", "c.d", "/",
    ),
    "a return of the server wins over locations": (
        f"server {{ listen @; return 301 https://$server_name$request_uri; location ^~ {ACME} "
        f"{{ return 200 acme; }} }}",
        "a.b", CHALLENGED,
    ),
    "$server_name is the first name": (
        "server { listen @; server_name first.b second.b; return 301 https://$server_name$request_uri; }",
        "second.b", CHALLENGED,
    ),
    "$host is the name asked for": (
        "server { listen @; server_name first.b second.b; return 301 https://$host$request_uri; }", "second.b", "/x",
    ),
    "longest prefix": (
        f"server {{ listen @; location / {{ return 200 root; }} location {ACME} {{ return 200 acme; }} }}",
        "a", CHALLENGED,
    ),
    "a regular expression wins over a prefix": (
        f"server {{ listen @; location {ACME} {{ return 200 acme; }} location ~ /\\. {{ return 403; }} }}",
        "a", CHALLENGED,
    ),
    "^~ wins over a regular expression": (
        f"server {{ listen @; location ~ /\\. {{ return 403; }} location ^~ {ACME} {{ return 200 acme; }} }}",
        "a", CHALLENGED,
    ),
    "= wins over all": (
        f"server {{ listen @; location ^~ {ACME} {{ return 200 p; }} location = {CHALLENGED} {{ return 200 is; }} }}",
        "a", CHALLENGED,
    ),
    "first of two regular expressions, one of any case": (
        "server { listen @; location ~* WELL { return 200 any; } location ~ well { return 200 exact; } }",
        "a", CHALLENGED,
    ),
    "nested location": (
        "server { listen @; location / { location /.well-known/ { return 200 inner; } return 200 outer; } }",
        "a", CHALLENGED,
    ),
    "nested regular expression ends the search": (
        "server { listen @; location / { location ~ acme { return 200 inner; } } location ~ . { return 200 outer; } }",
        "a", CHALLENGED,
    ),
    "nested ^~ does not keep an outer regular expression away": (
        "server { listen @; location / { location ^~ /.well { return 200 in; } } location ~ . { return 200 re; } }",
        "a", CHALLENGED,
    ),
    "no location at all": ("server { listen @; root /nowhere; }", "a", CHALLENGED),
    "try_files to a status": (
        "server { listen @; root /nowhere; location / { try_files $uri $uri/ =410; } }", "a", CHALLENGED,
    ),
    "try_files to a named location": (
        "server { listen @; root /nowhere; location / { try_files $uri @app; } location @app { return 200 app; } }",
        "a", CHALLENGED,
    ),
    "try_files to another path": (
        "server { listen @; root /nowhere; location / { try_files $uri /i; } location = /i { return 200 index; } }",
        "a", CHALLENGED,
    ),
    "error_page to a named location": (
        "server { listen @; root /nowhere; error_page 404 = @app; location @app { return 200 app; } }", "a", CHALLENGED,
    ),
    "error_page elsewhere": (
        "server { listen @; error_page 403 https://help.example/; location / { deny all; } }", "a", CHALLENGED,
    ),
    "deny all": ("server { listen @; location / { deny all; proxy_pass http://#; } }", "a", CHALLENGED),
    "allow some, deny all": (
        "server { listen @; location / { allow 192.0.2.1; deny all; proxy_pass http://#; } }", "a", CHALLENGED,
    ),
    "a return comes before deny": ("server { listen @; deny all; location / { return 200 r; } }", "a", CHALLENGED),
    "internal": ("server { listen @; location / { internal; proxy_pass http://#; } }", "a", CHALLENGED),
    "if of a name": (
        "server { listen @; if ($host = a.b) { return 301 https://$host$request_uri; } return 404; }",
        "a.b", CHALLENGED,
    ),
    "if that does not hold": (
        "server { listen @; if ($host = a.b) { return 301 https://$host$request_uri; } return 404; }",
        "c.d", CHALLENGED,
    ),
    "if of a regular expression": (
        "server { listen @; if ($request_uri !~ ^/.well-known/) { return 301 https://$host; } return 200 acme; }",
        "a", CHALLENGED,
    ),
    "break of a server keeps its return away": (
        f'server {{ listen @; if ($uri ~ "^{ACME}") {{ break; }} return 301 https://$host/;'
        f" location {ACME} {{ return 200 acme; }} }}",
        "a", CHALLENGED,
    ),
    "if in a location with a proxy_pass": (
        "server { listen @; location / { if ($http_upgrade = '') { set $x 1; } proxy_pass http://#; } }",
        "a", CHALLENGED,
    ),
    "if on a file": (
        "server { listen @; root /nowhere; location / { if (!-e $request_filename) { return 200 none; } } }",
        "a", CHALLENGED,
    ),
    "rewrite to https": (
        "server { listen @; rewrite ^(.*)$ https://$host$1 permanent; }", "a.b", CHALLENGED,
    ),
    "rewrite with a flag redirect": ("server { listen @; rewrite ^/(.*) /b/$1 redirect; }", "a", "/x"),
    "rewrite last": (
        "server { listen @; location / { rewrite ^/.well-known/(.*) /in/$1 last; } location /in/ { return 200 in; } }",
        "a", CHALLENGED,
    ),
    "rewrite break": (
        "server { listen @; location / { rewrite ^/.well-known/(.*) /in/$1 break; proxy_pass http://#/x/; } }",
        "a", CHALLENGED,
    ),
    "rewrite of the server": (
        "server { listen @; rewrite ^/.well-known/(.*) /in/$1; location /in/ { proxy_pass http://#; } }",
        "a", CHALLENGED,
    ),
    "set and a map": (
        "map $host $to { hostnames; default no; a.b https://mapped.example; *.c https://wild.example; }"
        " server { listen @; set $there $to; return 302 $there$request_uri; }",
        "x.c", CHALLENGED,
    ),
    "proxy_pass without a path": (
        f"server {{ listen @; location {ACME} {{ proxy_pass http://#; }} }}",
        "a", CHALLENGED,
    ),
    "proxy_pass with a path": (f"server {{ listen @; location {ACME} {{ proxy_pass http://#/; }} }}", "a", CHALLENGED),
    "proxy_pass of a folder without its slash": (
        "server { listen @; location /.well-known { proxy_pass http://#/; } }", "a", CHALLENGED,
    ),
    "proxy_pass with Host": (
        "server { listen @; proxy_set_header Host $host; location / { proxy_pass http://#; } }", "a.b", CHALLENGED,
    ),
    "proxy_set_header within hides those without": (
        "server { listen @; proxy_set_header Host $host; location / { proxy_set_header X y; proxy_pass http://#; } }",
        "a.b", CHALLENGED,
    ),
    "proxy_pass with variables": (
        "server { listen @; set $up #; location / { proxy_pass http://$up/fixed; } }", "a", CHALLENGED,
    ),
    "proxy_pass is not inherited": (
        "server { listen @; root /nowhere; location / { proxy_pass http://#; location /.well-known/ { } } }",
        "a", CHALLENGED,
    ),
    "the very address wins over all addresses": (
        "server { listen @; return 200 very; } server { listen *; server_name a.b; return 200 any; }", "a.b", "/",
    ),
}  # fmt: skip


def details() -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Further cases, as they stand in `front_details.txt`: each `map` gets a variable of its own."""
    text = (Path(__file__).parent / "front_details.txt").read_text()
    for number, case in enumerate(text.split("\n## ")[1:]):
        head, _, body = case.partition("\n")
        name, host, path = head.split(" | ")
        mapped = "".join(line for line in body.splitlines() if line.startswith("map "))
        block = f"{mapped} server {{ listen @; root /nowhere; {body.removeprefix(mapped)} }}"
        yield name, (block.replace("$m", f"$mapped_{number}"), host, path.replace("CHALLENGE", CHALLENGED))


CASES |= dict(details())


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
