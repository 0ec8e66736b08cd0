"""Pushes to a registry (OCI distribution specification 1.1): blobs that it has not, a manifest; and says who we are.

In: files and their digests. Out: whether anything was moved. Nothing is tried again here: what is there already is not
moved again, so whoever tries the whole again loses nothing. Who we are is told to the registry and to whom it names for
tokens, never to anybody that a redirect or an upload's address leads to. Raises Fail: `registry.*`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO
from urllib.parse import urlencode

import httpx

from perijove.backends.registry.addresses import Repository, is_loopback
from perijove.backends.registry.answers import Answer, refused, unanswered
from perijove.backends.registry.credentials import Login
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.registry_failures import NO_REGISTRY, OCI_REFUSED, OCI_TLS, OCI_UNAUTHORISED

SILENCE, CONNECTING = 60.0, 15.0
"""Seconds without a byte."""
ANSWERED, UPLOADED = 120.0, 3600.0
"""Seconds of a whole request, and of one that moves a layer."""
LARGEST = 64 << 10
"""Bytes of an answer that are read."""
PIECE = 1 << 20
REDIRECTS = 5
Headers = Mapping[str, str]
_PARAMETER = re.compile(r'(\w{1,30})="([^"]{0,1000})"')


@asynccontextmanager
async def connected(
    repository: Repository, login: Login | None, ca_file: Path | None = None
) -> AsyncIterator[Registry]:
    """`ca_file` has authorities, in PEM, that are trusted beside this machine's. Raises Fail: `registry.tls`."""
    trust = await asyncio.to_thread(ssl.create_default_context)
    if ca_file is not None:
        try:
            trust.load_verify_locations(ca_file)
        except OSError as error:
            raise Fail(OCI_TLS("its authority's file cannot be read", Evidence(str(ca_file), str(error)))) from error
    silence = httpx.Timeout(SILENCE, connect=CONNECTING)
    plain = {"Accept-Encoding": "identity"}
    async with httpx.AsyncClient(
        verify=trust,
        timeout=silence,
        max_redirects=REDIRECTS,
        headers=plain,
        event_hooks={"request": [_possible]},
    ) as client:
        yield Registry(client, repository, login)


class Registry:
    """A repository of one, and who we are there."""

    def __init__(self, client: httpx.AsyncClient, repository: Repository, login: Login | None) -> None:
        self._client = client
        self.repository = repository
        self._login = login
        self._authorization = ""
        self._introducing = asyncio.Lock()

    async def has(self, digest: str) -> bool:
        """Whether a blob is there."""
        what = f"{self.repository.image} does not say what it has"
        address = f"{self.repository.address}/blobs/{digest}"
        answer = await self._ask("HEAD", address, what)
        if answer.status not in {200, 404}:
            in_words = await self._ask("GET", address, what)
            raise Fail(self._refused(in_words if in_words.status == answer.status else answer, what))
        return answer.status == 200

    async def push(self, file: IO[bytes], digest: str, size: int) -> None:
        """A blob of `size` bytes that is not there, at once: POST, then PUT."""
        what = f"a layer cannot be pushed to {self.repository.image}"
        begun = await self._ask("POST", self._uploads, what)
        await self._upload(begun, file, digest, size, what)

    async def mount(self, digest: str, other: str) -> bool:
        """Whether the registry could take a blob over from another of its repositories, by its name."""
        what = f"a layer cannot be taken over to {self.repository.image}"
        answer = await self._ask("POST", f"{self._uploads}?mount={digest}&from={other}", what)
        if answer.status == 202 and "location" in answer.headers:  # it could not, and began an upload instead
            await self._ask("DELETE", self._leads(answer, what), what)
        return answer.status == 201

    async def named(self, reference: str, kind: str) -> str:
        """The digest of the manifest that a tag means; `` where there is none."""
        what = f"{self.repository.image} does not say what it has"
        answer = await self._ask("HEAD", f"{self.repository.address}/manifests/{reference}", what, {"Accept": kind})
        if answer.status not in {200, 404}:
            raise Fail(self._refused(answer, what))
        return answer.headers.get("docker-content-digest", "") if answer.status == 200 else ""

    async def name(self, reference: str, kind: str, manifest: bytes, digest: str) -> None:
        """A manifest, whose blobs are all there, by a tag or its digest."""
        what = f"the image cannot be named {self.repository.image}:{reference}"
        address = f"{self.repository.address}/manifests/{reference}"
        answer = await self._ask("PUT", address, what, {"Content-Type": kind}, manifest)
        if answer.status != 201:
            raise Fail(self._refused(answer, what))
        told = answer.headers.get("docker-content-digest", digest)
        if told != digest:
            raise Fail(
                OCI_REFUSED(f"{what}: it took another one", Evidence(answer.asked, f"{told}, not {digest}"[:300]))
            )

    @property
    def _uploads(self) -> str:
        return f"{self.repository.address}/blobs/uploads/"

    async def _upload(self, begun: Answer, file: IO[bytes], digest: str, size: int, what: str) -> None:
        if begun.status != 202:
            raise Fail(self._refused(begun, what))
        to = self._leads(begun, what)
        to += f"{'&' if '?' in to else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": f"{size}"}
        answer = await self._ask("PUT", to, what, headers, file)
        if answer.status != 201:
            raise Fail(self._refused(answer, what))

    def _leads(self, answer: Answer, what: str) -> str:
        """Where an upload goes on; never to where others listen if the registry has TLS."""
        location = answer.headers.get("location", "")
        to = _url(location, self.repository.address)
        why = "it does not say where to"
        if to is not None and location and to.scheme in {"http", "https"}:
            if to.scheme == "https" or self.repository.scheme == "http":
                return str(to)
            why = "it leads from https to http, as behind a web server that does not pass X-Forwarded-Proto on"
        raise Fail(NO_REGISTRY(f"{what}: {why}", Evidence(answer.asked, _bare(location) or "no Location")))

    async def _ask(
        self,
        method: str,
        url: str,
        what: str,
        headers: Mapping[str, str] | None = None,
        content: bytes | IO[bytes] = b"",
    ) -> Answer:
        """Once more where it asks who we are."""
        for again in (True, False):
            told = self._authorization
            ours = _origin(url) == _origin(self.repository.origin)
            sent = {**(headers or {}), **({"Authorization": told} if told and ours else {})}
            answer = await self._once(method, url, what, sent, content)
            if answer.status != 401 or not again or not ours:
                break
            await self._introduce(answer, told, what)
        return answer

    async def _once(
        self, method: str, url: str, what: str, headers: Headers, content: bytes | IO[bytes] = b""
    ) -> Answer:
        asked, body, uploading = f"{method} {_bare(url)}", b"", not isinstance(content, bytes)
        sent = content or None if isinstance(content, bytes) else _pieces(content)
        follow = method == "HEAD"
        asking = self._client.stream(method, url, headers=headers, content=sent, follow_redirects=follow)
        try:
            async with asyncio.timeout(UPLOADED if uploading else ANSWERED), asking as answer:
                async for chunk in answer.aiter_raw():
                    body = (body + chunk)[:LARGEST]
                    if len(body) == LARGEST:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise Fail(self._silent(unanswered(error, asked, what, uploading=uploading))) from error
        return Answer(asked, answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body)

    async def _introduce(self, asks: Answer, told: str, what: str) -> None:
        """By the scheme that it asks for; once for all who are asked at the same time."""
        async with self._introducing:
            if self._authorization != told:
                return
            challenge = asks.headers.get("www-authenticate", "")
            if "bearer " in challenge.lower():
                self._authorization = f"Bearer {await self._token(challenge, asks, what)}"
            elif "basic" in challenge.lower() and self._login is not None and self._login.name:
                self._authorization = _basic(self._login)
            else:
                has = "nothing that it asks for" if self._login else "nothing for it"
                raise Fail(
                    OCI_UNAUTHORISED(f"{what}: the credentials have {has}", Evidence(asks.asked, challenge[:300]))
                )

    async def _token(self, challenge: str, asks: Answer, what: str) -> str:
        """Of whom the registry names (distribution's token.md; oauth.md where we have a token already)."""
        told = dict(_PARAMETER.findall(challenge))
        realm, service = told.get("realm", ""), told.get("service", "")
        if not self._trusted(realm):
            why = f"{what}: it has us ask for a token where others listen"
            raise Fail(NO_REGISTRY(why, Evidence(asks.asked, challenge[:300])))
        scopes = dict.fromkeys((*told.get("scope", "").split(), f"repository:{self.repository.name}:pull,push"))
        if self._login is not None and self._login.token:
            own = {"grant_type": "refresh_token", "refresh_token": self._login.token, "client_id": "perijove"}
            form = urlencode({"service": service, "scope": " ".join(scopes), **own}).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await self._once("POST", realm, what, kind, form)
        else:
            query = urlencode([("service", service), *(("scope", one) for one in scopes)])
            headers = {"Authorization": _basic(self._login)} if self._login is not None else {}
            address = f"{realm}{'&' if '?' in realm else '?'}{query}"
            answer = await self._once("GET", address, what, headers)
        if token := answer.token:
            return token
        refusal = 401 if answer.status in {400, 403} else answer.status
        raise Fail(self._refused(replace(answer, status=refusal), f"{what}: no token is given"))

    def _trusted(self, realm: str) -> bool:
        """Whether a password may be sent there: by TLS, on this machine, or to the registry where it has none."""
        url, ours = _url(realm), httpx.URL(self.repository.origin)
        if url is None or not url.host:
            return False
        bare = ours.scheme == "http" and url.host == ours.host
        return url.scheme == "https" or (url.scheme == "http" and (is_loopback(url.host) or bare))

    def _refused(self, answer: Answer, what: str) -> Failure:
        return self._silent(refused(answer, what))

    def _silent(self, failure: Failure) -> Failure:
        """Without our secrets, which a registry may repeat."""
        secrets = [self._authorization.partition(" ")[2]]
        if self._login is not None:
            secrets += [_basic(self._login).partition(" ")[2], self._login.password, self._login.token]
        evidence = failure.evidence
        for secret in filter(None, secrets):
            evidence = tuple(replace(one, saw=one.saw.replace(secret, "…")) for one in evidence)
        return replace(failure, evidence=evidence)


async def _possible(request: httpx.Request) -> None:
    """A port beyond all, to which a stranger's redirect may lead, is no error of a socket's."""
    if (request.url.port or 0) >= 1 << 16:
        raise httpx.UnsupportedProtocol("there is no such port")


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, 0)
    while piece := await asyncio.to_thread(file.read, PIECE):
        yield piece


def _basic(login: Login) -> str:
    """RFC 7617."""
    return f"Basic {b64encode(f'{login.name}:{login.password}'.encode()).decode()}"


def _url(told: str, at: str = "") -> httpx.URL | None:
    """None where a stranger's words are no address."""
    try:
        return httpx.URL(at).join(told) if at else httpx.URL(told)
    except (httpx.InvalidURL, ValueError):
        return None


def _origin(url: str) -> tuple[str, str, int | None]:
    """By which it is told whose an address is (RFC 6454)."""
    parts = httpx.URL(url)
    return parts.scheme, parts.host, parts.port


def _bare(url: str) -> str:
    """Without what may be a secret."""
    return url.partition("?")[0][:300]
