"""A Git host that speaks the device flow (RFC 8628) on loopback, in GitHub's and GitLab's own words.

GitHub's are those of its documentation ("Authorizing OAuth apps", Device flow): errors come with status 200. GitLab's
are doorkeeper-device_authorization_grant's, as the RFC has it: with status 400.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

CODE: dict[str, Any] = {
    "device_code": "3584d83530557fdd1f46af8289938c8ef79f9dc5",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 900,
    "interval": 5,
}
PENDING = {
    "error": "authorization_pending",
    "error_description": "The authorization request is still pending.",
    "error_uri": "https://docs.github.com/developers/apps/authorizing-oauth-apps#error-codes-for-the-device-flow",
}
SLOW_DOWN = {
    "error": "slow_down",
    "error_description": "Too many requests have been made in the same timeframe.",
    "interval": 10,
}
EXPIRED = {"error": "expired_token", "error_description": "This 'device_code' has expired."}
DENIED = {"error": "access_denied", "error_description": "The authorization request was denied."}
DISABLED = {"error": "device_flow_disabled", "error_description": "Device Flow must be explicitly enabled for this App"}
TOKEN = {"access_token": "gho_16C7e42F292c6912E7710c838347Ae178B4a", "token_type": "bearer", "scope": "repo,gist"}
SHORT = {
    "access_token": "de6780bc506a0446309bd9362820ba8aed28aa506c71eedbe1c5c4f9dd350e54",
    "token_type": "Bearer",
    "expires_in": 7200,
    "refresh_token": "8257e65c97202ed1726cf9571600918f3bffb2544b26e00a61df9897668c33a1",
    "scope": "read_repository",
}


@dataclass
class DeviceHost:
    """What it says next, and what it was asked."""

    url: str = ""
    says: list[tuple[int, Any]] = field(default_factory=list)
    """Status and body of each answer to come; the last one stays."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def say(self, *bodies: Any, status: int = 200) -> None:
        self.says = [(status, body) for body in bodies]


class _Handler(BaseHTTPRequestHandler):
    host: DeviceHost

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.host.asked.append((self.path, form))
        status, body = self.host.says.pop(0) if len(self.host.says) > 1 else self.host.says[0]
        as_json = self.headers.get("Accept") == "application/json"  # else GitHub answers with a form's fields
        content = (json.dumps(body) if as_json and not isinstance(body, str) else str(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return None


@contextmanager
def device_host() -> Iterator[DeviceHost]:
    """One that answers, for as long as the block lasts."""
    host = DeviceHost()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": host}))
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), name="device host")
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
