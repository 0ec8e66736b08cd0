"""A front that answers later than our looks wait and sooner than a CA gives up: it is slow, and not dead."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from perijove.backends.probes import hops
from perijove.domain.state import State
from tests.e2e.certified import ADDRESS, certified_world

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
HOST, SLOW = "slow.example", "127.0.0.9"
LATE = hops.LIMIT + 0.6
"""Seconds until it answers."""


@contextmanager
def slow_front(port: int, behind: int) -> Iterator[None]:
    """Passes each GET on to the same name at port `behind`, late."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            threading.Event().wait(LATE)
            with closing(http.client.HTTPConnection(ADDRESS, behind, timeout=10)) as onward:
                onward.request("GET", self.path, headers=dict(self.headers))
                answer = onward.getresponse()
                body = answer.read()
            with suppress(ConnectionError):  # whoever did not wait is gone
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

    server = ThreadingHTTPServer((SLOW, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="slow front")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_gets_its_certificate(tmp_path: Path, empty_state: State) -> None:
    with certified_world(tmp_path) as world, slow_front(world.pebble.http_port, world.http_port):
        service = world.service(empty_state, HOST)
        world.dns.set(HOST, "A", SLOW)
        service.up()
        try:
            assert world.has(HOST, 60)
            events = service.cli("get", "events")
        finally:
            service.stop()
    assert "takes connections and does not answer in time" in events, "our look did not wait for it"
