"""PowerDNS's HTTP API on loopback, over a zone server's records: what a provider of dns-lexicon talks to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dns.name

from tests.fakes.dns_zone import ZoneServer


class _Api(BaseHTTPRequestHandler):
    """A zone is read and changed as PowerDNS 4's `/zones` does; `/hook` changes one record by a plain POST."""

    zone: ZoneServer
    token: str
    timeout = 10

    def do_GET(self) -> None:
        if self._allowed():
            with self.zone.lock:
                self._answer(200, {"kind": "Native", "rrsets": list(_rrsets(self.zone, self._origin()))})

    def do_PATCH(self) -> None:
        if self._allowed():
            for change in self._body()["rrsets"]:
                self.zone.put(change["name"], *(one["content"].strip('"') for one in change["records"]))
            self._answer(204, None)

    def do_POST(self) -> None:
        body = self._body()
        held = [one for one in self.zone.texts(body["name"]) if one != body["value"]]
        self.zone.put(body["name"], *held, *([body["value"]] if body["what"] == "present" else []))
        self._answer(200, None)

    def _allowed(self) -> bool:
        if self.headers.get("X-API-Key") == self.token:
            return True
        self._answer(401, {"error": f"the key {self.headers.get('X-API-Key')} is not known"})
        return False

    def _origin(self) -> dns.name.Name:
        return dns.name.from_text(self.path.rpartition("/")[2])

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, body: Any) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Says nothing."""


@contextmanager
def powerdns(zone: ZoneServer, token: str) -> Iterator[str]:
    """Its URL, until the end of the block."""
    api = type("Api", (_Api,), {"zone": zone, "token": token})
    server = ThreadingHTTPServer(("127.0.0.1", 0), api)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _rrsets(zone: ZoneServer, origin: dns.name.Name) -> Iterator[dict[str, Any]]:
    for name, found in zone.zones[origin].iterate_rdatasets():
        records = [{"content": one.to_text(), "disabled": False} for one in found]
        yield {"name": name.to_text(), "type": found.rdtype.name, "ttl": found.ttl, "records": records}
