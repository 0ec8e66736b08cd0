"""The configuration that `perijove up --behind` prints, taken by a real nginx: everything that must be passed on is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from perijove.doctor.front import lines as front
from perijove.domain.settings import ServiceSettings
from tests.fakes.nginx import missing, running_nginx, self_signed
from tests.fakes.ports import free_port

HOST = "binder.example.org"
SLOW = "/slow"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.same_for_any_user,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


class Told(BaseHTTPRequestHandler):
    """Tells each request's path and headers; `/slow` sends one line and waits for the reader's leave for the next."""

    leave = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.path == SLOW:
            self.wfile.write(b"first\n")
            self.leave.wait(20)
            self.wfile.write(b"last\n")
        else:
            self.wfile.write(
                json.dumps({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}}).encode()
            )

    def do_PUT(self) -> None:
        length = len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(length).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
        """Nothing."""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """nginx's ports for http and https, before something that tells what it was asked."""
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    plain, tls = free_port(), free_port()
    chain, key = self_signed(folder, HOST)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="told")
    serving.start()
    upstream = f"127.0.0.1:{server.server_port}"
    text = front.nginx(front.front(ServiceSettings(hosts=(HOST,), behind=("127.0.0.1",), http=(upstream,)), ""))
    for ours, theirs in (
        ("    listen [::]:80;\n", ""),
        ("    listen [::]:443 ssl;\n", ""),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{tls} ssl;"),
        ("ssl_certificate /etc/nginx/perijove.pem;", f"ssl_certificate {chain};"),
        ("ssl_certificate_key /etc/nginx/perijove.key;", f"ssl_certificate_key {key};"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    try:
        with running_nginx(folder, http=text):
            yield plain, tls
    finally:
        Told.leave.set()
        server.shutdown()
        server.server_close()
        serving.join(20)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, trust_env=False, timeout=20, headers={"Host": HOST}) as client:
        yield client


def test_the_challenge_is_passed_on_and_all_else_on_port_80_redirected(
    ports: tuple[int, int], client: httpx.Client
) -> None:
    path = f"{front.CHALLENGE}a-token"
    answer = client.get(f"http://127.0.0.1:{ports[0]}{path}")
    assert (answer.status_code, answer.json()["path"], answer.json()["host"]) == (200, path, HOST)
    other = client.get(f"http://127.0.0.1:{ports[0]}/v2/gh/owner/repo/HEAD?a=b")
    assert (other.status_code, other.headers["location"]) == (301, f"https://{HOST}/v2/gh/owner/repo/HEAD?a=b")


def test_who_asks_and_how_is_passed_on_and_cannot_be_forged(ports: tuple[int, int], client: httpx.Client) -> None:
    forged = {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "http", "Host": f"{HOST}:8443"}
    told = client.get(f"https://127.0.0.1:{ports[1]}/user/x/", headers=forged).json()
    assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert told["host"] == f"{HOST}:8443"
    assert "connection" not in told, "a connection to the upstream may be kept"


def test_websockets_are_passed_on(ports: tuple[int, int], client: httpx.Client) -> None:
    asked = {"Upgrade": "websocket", "Connection": "Upgrade"}
    told = client.get(f"https://127.0.0.1:{ports[1]}/user/x/api/kernels/1/channels", headers=asked).json()
    assert (told["upgrade"], told["connection"]) == ("websocket", "upgrade")


def test_answers_are_passed_on_as_they_come(ports: tuple[int, int], client: httpx.Client) -> None:
    Told.leave.clear()
    with client.stream("GET", f"https://127.0.0.1:{ports[1]}{SLOW}") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        Told.leave.set()
        assert next(lines) == "last"


def test_a_large_notebook_is_saved(ports: tuple[int, int], client: httpx.Client) -> None:
    answer = client.put(f"https://127.0.0.1:{ports[1]}/user/x/api/contents/a.ipynb", content=b"x" * 3_000_000)
    assert (answer.status_code, answer.text) == (200, "3000000")
