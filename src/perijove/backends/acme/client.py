"""Signed requests to one CA, and the plain ones: what did it answer?

In: a URL, a payload, a key. Out: an Answer of whatever status. Put right here: nonces that are refused, and
connections that the CA closed while they were idle. Every wait is limited. Raises Fail where nothing usable came.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import h11
import httpx
from acme.jws import JWS
from josepy.errors import DeserializationError
from josepy.json_util import decode_b64jose
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from perijove.backends.acme import problems, reach, views
from perijove.backends.acme.connection import Connection, Cut, connect
from perijove.domain.certificate_failures import ACME_BAD_NONCE, ACME_NOT_ACME
from perijove.domain.certificates import Problem
from perijove.domain.failures import Evidence, Fail, Failure

NONCE_TRIES = 10
NONCES_KEPT = 64
STEP_LIMIT, WHOLE_LIMIT = 10.0, 20.0
"""Seconds for connecting or one read, and for a request with all of its tries."""
CONNECTIONS = 16
LARGEST = 1 << 20
"""Bytes of an answer that are read."""
SHOWN = 512
"""Characters of an answer that is not ACME's."""
JSON = "application/json"
_JOSE = {"Content-Type": "application/jose+json"}
_OURS = {"User-Agent": f"perijove/{version('perijove')}", "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    method: str
    url: str
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def where(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def said_at(self) -> float:
        """Its Date, or now."""
        return problems.date(self.headers.get("Date", "")) or time.time()

    @property
    def retry_after(self) -> float:
        """Seconds; 0 where it names none."""
        return problems.seconds(self.headers.get("Retry-After", ""), self.said_at)

    @property
    def location(self) -> str:
        """Where it says that what was made stands. Raises Fail: `cert.acme-not-acme`."""
        if not (said := self.headers.get("Location", "")):
            raise Fail(self.not_acme("it names no Location"))
        try:
            return str(httpx.URL(self.url).join(said))
        except httpx.InvalidURL as error:
            raise Fail(self.not_acme("its Location is no URL")) from error

    def json(self) -> Any:
        """Raises Fail: `cert.acme-not-acme`."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Fail(self.not_acme("it answers no JSON")) from error

    def problem(self) -> Problem:
        """For one that is not `ok`; without a document where it sent none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        if isinstance(document, Mapping):
            return views.problem(document, self.status)
        text = views.plain(" ".join(self.body[: 4 * SHOWN].decode(errors="replace").split()), SHOWN)
        if location := self.headers.get("Location", ""):
            text = f"Location: {views.plain(location, SHOWN)} {text}"
        return Problem("about:blank", text, self.status)

    def says(self, error: str) -> bool:
        """Whether it is a problem of this type, without the prefix."""
        return not self.ok and self.problem().type == problems.PREFIX + error

    def refused(
        self, asked: problems.Asked, profiles: tuple[str, ...] = (), problem: Problem | None = None
    ) -> problems.Refusal:
        """What `problems` makes a failure of."""
        terms = str(self._links().get("terms-of-service", ""))
        problem = problem or self.problem()
        return problems.Refusal(asked, self.where, problem, self.retry_after, self.said_at, profiles, terms)

    def not_acme(self, cause: str) -> Failure:
        """The failure of an answer that makes no sense, with its beginning."""
        kind = self.headers.get("Content-Type", "of no type")
        text = self.body[: 4 * SHOWN].decode(errors="replace")
        return ACME_NOT_ACME(cause, Evidence(self.where, views.plain(f"{self.status} {kind}: {text}", SHOWN)))

    def _links(self) -> Mapping[str, str]:
        found = httpx.Response(200, headers=self.headers).links
        return {str(relation): link.get("url", "") for relation, link in found.items() if relation}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a new key by itself, or an account's by its URL (RFC 8555, 6.2)."""

    key: JWKEC
    account: str = ""

    def sign(self, url: str, payload: bytes, nonce: bytes) -> bytes:
        """The request's body."""
        signed = JWS.sign(payload, self.key, ES256, nonce, url=url, kid=self.account or None)
        return str(signed.json_dumps()).encode()


class Client:
    """One CA's connections and nonces."""

    def __init__(self, ca_file: str, step_limit: float = STEP_LIMIT, whole_limit: float = WHOLE_LIMIT) -> None:
        self._ca_file = ca_file
        self._step_limit, self._whole_limit = step_limit, whole_limit
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._proxies: dict[str, str] = {}
        """By host, as the environment said when it was first asked."""
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)
        """By host and port."""
        self._trust: ssl.SSLContext | None = None
        self._nonces: deque[str] = deque(maxlen=NONCES_KEPT)

    async def get(self, url: str) -> Answer:
        """Without a signature."""
        async with _limited(url, self._whole_limit):
            return await self._sent("GET", url)

    async def signed(self, url: str, payload: bytes, signer: Signer, new_nonce: str, accept: str = JSON) -> Answer:
        """`payload` is JSON, or nothing for POST-as-GET (RFC 8555, 6.3). Raises Fail: `cert.bad-nonce` after ten."""
        async with _limited(url, self._whole_limit):
            nonce = self._nonces.pop() if self._nonces else await self._fresh(new_nonce)
            for _ in range(NONCE_TRIES):
                body = signer.sign(url, payload, _decoded(nonce, url))
                answer = await self._sent("POST", url, body, {**_JOSE, "Accept": accept})
                fresh = answer.headers.get("Replay-Nonce", "")
                if not answer.says("badNonce"):
                    if fresh:
                        self._nonces.append(fresh)
                    return answer
                nonce = fresh or await self._fresh(new_nonce)
        seen = problems.evidence(answer.refused(problems.Asked.OTHER))
        raise Fail(ACME_BAD_NONCE(f"{NONCE_TRIES} new ones in a row", seen))

    async def close(self) -> None:
        """End its connections; the next request opens new ones."""
        idle, self._idle = self._idle, defaultdict(list)
        for http in (one for many in idle.values() for one in many):
            http.close()

    async def _fresh(self, new_nonce: str) -> str:
        answer = await self._sent("HEAD", new_nonce)
        if nonce := answer.headers.get("Replay-Nonce", ""):
            return str(nonce)
        if not answer.ok:
            raise Fail(problems.failure(answer.refused(problems.Asked.DIRECTORY)))
        raise Fail(answer.not_acme("it gives no nonce"))

    async def _sent(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Twice where the CA closed the connection as we wrote; a nonce that was used up by then is refused and new."""
        try:
            try:
                return await self._once(method, url, body, headers)
            except Cut:
                return await self._once(method, url, body, headers)
        except (OSError, ValueError, h11.ProtocolError) as error:  # ValueError: a URL of no use, a label too long
            raise Fail(await self._explained(error, url)) from error

    async def _once(self, method: str, url: str, body: bytes, headers: Mapping[str, str] | None) -> Answer:
        async with self._connection(url) as connection:
            reply = await connection.ask(method, url, {**_OURS, **(headers or {})}, body, LARGEST)
        answer = Answer(method, url, reply.status, httpx.Headers(list(reply.headers)), reply.body)
        if not reply.whole:
            raise Fail(answer.not_acme("its answer has no end"))
        return answer

    async def _explained(self, error: Exception, url: str) -> Failure:
        """Why nothing came; for a certificate that is refused, with a look at it."""
        refused = reach.refused_certificate(error)
        if refused is None:
            return reach.unreachable(error, url)
        shown, date = b"", 0.0
        try:
            trust = reach.lenient(await asyncio.to_thread(reach.roots, self._ca_file), refused)
            connection = await connect(url, trust, self._proxy(url), self._step_limit)
            try:
                shown = connection.certificate()
                told = httpx.Headers(list((await connection.ask("GET", url, _OURS, b"", LARGEST)).headers))
                date = problems.date(told.get("Date", ""))
            finally:
                connection.close()
        except (OSError, ValueError, h11.ProtocolError) as second:
            refused = reach.refused_certificate(second) or refused
        return reach.untrusted(refused, url, shown, date)

    @asynccontextmanager
    async def _connection(self, url: str) -> AsyncIterator[Connection]:
        """The one to this host that was used last and can be used again, else a new one."""
        async with self._free:
            idle = self._idle[url.partition("://")[2].partition("/")[0]]
            while idle and not idle[-1].usable:
                idle.pop().close()
            connection = idle.pop() if idle else await self._connected(url)
            try:
                yield connection
            finally:
                if connection.usable:
                    idle.append(connection)
                else:
                    connection.close()

    def _proxy(self, url: str) -> str:
        """The environment's, asked once a host."""
        host = urlsplit(url).hostname or ""
        if host not in self._proxies:
            self._proxies[host] = reach.proxy(host)
        return self._proxies[host]

    async def _connected(self, url: str) -> Connection:
        if self._trust is None:
            self._trust = await asyncio.to_thread(reach.roots, self._ca_file)
        return await connect(url, self._trust, self._proxy(url), self._step_limit)


@asynccontextmanager
async def _limited(url: str, seconds: float) -> AsyncIterator[None]:
    """The end of a request's patience, as the failure that it is."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Fail(reach.unreachable(error, url)) from error


def _decoded(nonce: str, url: str) -> bytes:
    try:
        return bytes(decode_b64jose(nonce))
    except DeserializationError as error:
        seen = Evidence(url, views.plain(f"Replay-Nonce: {nonce}", SHOWN))
        raise Fail(ACME_NOT_ACME("its nonce is not base64url", seen)) from error
