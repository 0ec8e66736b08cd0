"""What stands around an `Authority` in its tests: HTTP-01 answers, signing requests, the way to a certificate."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from perijove.certifying import secret
from perijove.domain.certificate_ports import Authority
from perijove.domain.certificates import AuthorizationView, OrderStatus, OrderView

LIMIT = 20.0
T = TypeVar("T")


@dataclass
class Answerer:
    """Answers HTTP-01 on `127.0.0.1:port` for every name."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    """Key authorizations by token."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers: dict[str, str] = self.server.answers  # type: ignore[attr-defined]
        body = answers.get(self.path.rpartition("/")[2], "").encode()
        self.send_response_only(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64


@contextmanager
def answering() -> Iterator[Answerer]:
    """An answerer that knows no token yet."""
    server = _Server(("127.0.0.1", 0), _Handler)
    answerer = Answerer(server.server_address[1])
    server.answers = answerer.answers  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="HTTP-01 answerer")
    thread.start()
    try:
        yield answerer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass(frozen=True)
class Wish:
    """A signing request and its key."""

    hosts: tuple[str, ...]
    key: bytes
    request: bytes
    """DER"""


def wish(*hosts: str) -> Wish:
    """A new key and a request for these names."""
    key = secret.new_key()
    return Wish(hosts, key, secret.request(hosts, key))


async def until(look: Callable[[], Awaitable[T]], done: Callable[[T], bool], limit: float = LIMIT) -> T:
    """What is seen once it is as wanted. Raises TimeoutError."""
    async with asyncio.timeout(limit):
        pause = 0.01
        while not done(seen := await look()):
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        return seen


async def show(authority: Authority, order: OrderView, answerer: Answerer) -> list[AuthorizationView]:
    """Answer what is pending of an order by HTTP-01; the authorizations as they were."""
    account = await authority.account()
    seen = [await authority.authorization(url) for url in order.authorizations]
    for one in seen:
        if one.status == "pending":
            challenge = next(offered for offered in one.challenges if offered.type == "http-01")
            answerer.answers[challenge.token] = f"{challenge.token}.{account.thumbprint}"
            await authority.answer(challenge.url)
    return seen


async def ready(authority: Authority, hosts: tuple[str, ...], answerer: Answerer, profile: str = "") -> OrderView:
    """A new order whose names are all shown."""
    order = await authority.new_order(hosts, profile)
    await show(authority, order, answerer)
    return await until(lambda: authority.order(order.url), lambda seen: seen.status is not OrderStatus.PENDING)


async def issued(authority: Authority, wanted: Wish, answerer: Answerer) -> bytes:
    """A certificate's chain, all the way from an order."""
    order = await ready(authority, wanted.hosts, answerer)
    assert order.status is OrderStatus.READY, order
    return await fetched(authority, await authority.finalize(order, wanted.request))


async def fetched(authority: Authority, order: OrderView) -> bytes:
    """The chain of an order that was handed its request."""
    done = await until(
        lambda: authority.order(order.url), lambda seen: seen.status not in {OrderStatus.PROCESSING, OrderStatus.READY}
    )
    assert done.status is OrderStatus.VALID, done
    return await authority.certificate(done.certificate)
