"""A TLS proxy in front of Pebble that does what Pebble cannot: rate limits, CAA, slow and lost orders, portals.

    with running_proxy(tmp_path, pebble) as proxy:           # proxy.directory, proxy.ca_file as of a Pebble
        proxy.rule = on("/order-plz", problem(429, "rateLimited", "too many", {"Retry-After": "3600"}))
        proxy.rule = on("/my-order/", edited(status="processing", certificate=None), times=3)   # as often as said
        proxy.rule = any_of(on(…), on(…))
        proxy.rule = lambda exchange: None                    # nothing is changed, as at the start
        proxy.date_ahead = 86400                              # of its Date

Host is passed on, so the URLs that Pebble makes lead through the proxy and their signatures hold. A rule gets an
`Exchange`: it returns an Answer, for which Pebble need not be asked, or None.
Pebble's paths: /dir /nonce-plz /sign-me-up /order-plz /my-order/ /authZ/ /chalZ/ /finalize-order/ /certZ/ /revoke-cert.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fakes.pebble import Pebble
from tests.fakes.private_ca import DAY, PrivateCa

_KEPT = {"content-type", "replay-nonce", "location", "link", "retry-after"}
_LIMIT = 20.0


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Nothing goes back, and the connection ends."""


@dataclass(frozen=True)
class Exchange:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    forward: Callable[[], Answer]
    """Asks Pebble."""

    @property
    def protected(self) -> dict[str, Any]:
        """The signature's header."""
        return dict(json.loads(_unpacked(json.loads(self.body)["protected"])))

    @property
    def payload(self) -> Any:
        """What was signed; None for POST-as-GET."""
        text = _unpacked(json.loads(self.body)["payload"])
        return json.loads(text) if text else None


Rule = Callable[[Exchange], Answer | None]


def problem(status: int, kind: str, detail: str, headers: dict[str, str] | None = None, **document: Any) -> Answer:
    """A problem document; `kind` without its prefix."""
    told = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, "status": status, **document}
    return Answer(status, json.dumps(told).encode(), {"Content-Type": "application/problem+json", **(headers or {})})


def html(status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """What a captive portal says."""
    kind = {"Content-Type": "text/html; charset=utf-8"}
    return Answer(status, b"<!DOCTYPE html><title>Log in</title>", kind | (headers or {}))


def told(document: Any, headers: dict[str, str] | None = None) -> Answer:
    """JSON."""
    return Answer(200, json.dumps(document).encode(), {"Content-Type": "application/json", **(headers or {})})


def edited(headers: dict[str, str] | None = None, **changes: Any) -> Rule:
    """Pebble's JSON with other members; None takes one out."""

    def rule(exchange: Exchange) -> Answer:
        answer = exchange.forward()
        document = {**json.loads(answer.body), **changes}
        document = {key: value for key, value in document.items() if value is not None}
        return replace(answer, body=json.dumps(document).encode(), headers={**answer.headers, **(headers or {})})

    return rule


def on(path: str, then: Answer | Rule, times: int = 1_000_000, method: str = "") -> Rule:
    """For paths that begin so, as often as said."""
    left = [times]

    def rule(exchange: Exchange) -> Answer | None:
        if not exchange.path.startswith(path) or (method and exchange.method != method) or left[0] <= 0:
            return None
        left[0] -= 1
        return then if isinstance(then, Answer) else then(exchange)

    return rule


def any_of(*rules: Rule) -> Rule:
    """The first that answers."""
    return lambda exchange: next((answer for rule in rules if (answer := rule(exchange)) is not None), None)


@dataclass
class Proxy:
    """One that runs."""

    pebble: Pebble
    ca: PrivateCa
    port: int = 0
    rule: Rule = lambda exchange: None
    date_ahead: float = 0
    """Seconds by which its clock is ahead of this machine's."""
    asked: list[Exchange] = field(default_factory=list)
    open: set[socket.socket] = field(default_factory=set)

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    @property
    def ca_file(self) -> Path:
        return self.ca.file

    def paths(self, method: str = "POST") -> list[str]:
        """What it was asked for so far."""
        return [one.path for one in self.asked if one.method == method]


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64
    proxy: Proxy
    trust: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Here, in the connection's own thread, so that a handshake that hangs holds nobody up."""
        request.settimeout(_LIMIT)
        went = contextlib.suppress(OSError)  # the client does not trust us, or went: that is what some tests are for
        with went, self.trust.wrap_socket(request, server_side=True) as wrapped:
            self.proxy.open.add(wrapped)
            try:
                super().finish_request(wrapped, client_address)
            finally:
                self.proxy.open.discard(wrapped)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        forward = lambda: _forwarded(proxy.pebble, self.command, self.path, headers, body)  # noqa: E731
        exchange = Exchange(self.command, self.path, headers, body, forward)
        proxy.asked.append(exchange)
        answer = proxy.rule(exchange)
        self._reply(exchange.forward() if answer is None else answer)

    do_POST = do_HEAD = do_GET  # noqa: N815  the names that its base looks for

    def _reply(self, answer: Answer) -> None:
        if answer.cut:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        self.send_header("Date", formatdate(time.time() + self.server.proxy.date_ahead, usegmt=True))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _forwarded(pebble: Pebble, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    passed = {name: value for name, value in headers.items() if name in {"host", "content-type", "accept"}}
    upstream = http.client.HTTPSConnection("127.0.0.1", pebble.port, timeout=_LIMIT, context=pebble.trust)
    try:
        upstream.request(method, path, body or None, {**passed, "User-Agent": "proxy"})
        answer = upstream.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() in _KEPT}
        return Answer(answer.status, answer.read(), kept)
    finally:
        upstream.close()


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def running_proxy(
    folder: Path, pebble: Pebble, *, valid_from: float = -DAY, valid_until: float = 365 * DAY
) -> Iterator[Proxy]:
    """A proxy whose own certificate is valid for these seconds from now; its CA is another one than Pebble's."""
    ca = PrivateCa(folder / "proxy", "Proxy test root")
    leaf = ca.leaf(valid_from=valid_from, valid_until=valid_until)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.proxy = proxy = Proxy(pebble, ca, server.server_address[1])
    server.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.trust.load_cert_chain(leaf.chain, leaf.key)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="ACME proxy")
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        for one in tuple(proxy.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        server.server_close()
        thread.join(5)
