"""What a BinderHub answers at /health, /versions and /build, in its own words, on loopback.

with running_binderhub(hub=False) as upstream:     # `127.0.0.1:PORT`; it cannot call its hub
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAILED = "Failed to create temporary user for registry.example/binder-tiny-abc:0123\n"


@contextmanager
def running_binderhub(*, hub: bool, sessions: str = "") -> Iterator[str]:
    """One, ended whatever happens; `sessions`: the host of its hub, where that is another."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub, server.sessions = hub, sessions  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="binderhub")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        well = self.server.hub
        if self.path == "/health":
            checks = [
                {"service": "Docker registry", "ok": True},
                {"service": "JupyterHub API", "ok": well},
                {"service": "Pod quota", "total_pods": 3, "quota": 100, "ok": True, "_ignore_failure": True},
            ]
            self._told(200 if well else 503, json.dumps({"ok": well, "checks": checks}), "application/json")
        elif self.path == "/versions":
            self._told(200, json.dumps({"builder": "repo2docker:2024", "binderhub": "1.0.0"}), "application/json")
        elif self.path.startswith("/build/"):
            self._built(well)
        elif self.path.startswith("/user/tiny/") and self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.close_connection = True
        else:
            self._told(404, "<html><title>404</title></html>", "text/html")

    def do_POST(self) -> None:
        self._told(200, "{}", "application/json")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
        """Nothing."""

    def _built(self, well: bool) -> None:
        name, _, port = self.headers["Host"].partition(":")
        at = f"{self.server.sessions or name}:{port}" if port else self.server.sessions or name
        base = f"{self.headers.get('X-Forwarded-Proto', 'http')}://{at}"
        ready = {"phase": "ready", "message": "server running\n", "url": f"{base}/user/tiny/", "token": "t"}
        events = [{"phase": "waiting", "message": "Waiting\n"}, {"phase": "built", "message": "Found built image\n"}]
        events += [ready if well else {"phase": "failed", "message": FAILED}]
        self._told(200, "".join(f"data: {json.dumps(one)}\n\n" for one in events), "text/event-stream")

    def _told(self, status: int, body: str, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())
