"""The cluster's API, as far as sessions need it, asked through kr8s. In: requests. Out: answers, lists, a watch.

Each wait is limited, and so are a list's pages and a watch's objects; a single answer is as long as the API makes it.
A token that expired is read anew once; what the API refuses is the caller's.
"""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, NoReturn

import anyio
import httpx
import kr8s
from kr8s.asyncio import Api

from perijove.backends.kubernetes.manifests import MANAGER
from perijove.backends.kubernetes.refusals import (
    CONFLICT,
    CREATED,
    GONE,
    MISSING,
    OK,
    UNAUTHORIZED,
    Answer,
    refused,
    unreachable,
)
from perijove.domain.cluster import JSON, Thing, listed, mapping, text
from perijove.domain.failures import Fail

# kr8s says of each version newer than itself that it is not supported; only paths that we name are asked for.
warnings.filterwarnings("ignore", message="Kubernetes version", category=UserWarning)
LIMIT = 30.0
"""Seconds for an answer. They are anyio's: cancelled by asyncio, kr8s waits on for a program that says who we are."""
WATCH = 60
"""Seconds that the API is asked to keep a watch; it is taken up where it was then."""
QUIET = WATCH + LIMIT
"""Seconds without a word after which a watch is given up: a connection may be dead and not say so."""
PAGE, PAGES = 500, 100
"""Pods of a page, and pages of a list: more than a cluster of a thousand nodes runs."""
LARGEST = 2 * 1024**2
"""Bytes of one object; etcd takes 1.5 MiB."""
LINE, LINES = 64 * 1024, 20_000
"""Bytes of a line of a container's log, what goes on is another one; and lines of it in a second: a flood waits."""
LOG = 256 * 1024
"""Bytes of a container's log that are followed: what a server says while it starts."""
Version = str
_ERRORS = (
    kr8s.ServerError, kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.HTTPError, OSError, ValueError, KeyError,
    TypeError, RuntimeError,
)  # fmt: skip
"""RuntimeError: of a program that was to say who we are, and failed."""
APPLY = "application/apply-patch+yaml"


class Gone(Exception):
    """What happened since that version is not kept any more (410): all has to be listed again."""


class Cluster:
    """One namespace of a cluster."""

    def __init__(
        self, namespace: str, kubeconfig: str | None = None, limit: float = LIMIT, context: str | None = None
    ) -> None:
        """Within a cluster, without `kubeconfig`: by the service account of the pod that this runs in.

        `limit`: seconds for an answer. `context`: of the kubeconfig; None: its own.
        """
        self._limit = limit
        self._namespace = namespace
        self._where = {"kubeconfig": kubeconfig, "context": context}
        self._api: Api | None = None
        self._opening = asyncio.Lock()

    async def _opened(self) -> Api:
        async with self._opening:
            if self._api is None:
                # An own object: kr8s.api() would hand out one that another event loop left.
                api = Api(**self._where, namespace=self._namespace, bypass_factory=True)
                api.timeout = self._limit
                self._api = await api
            return self._api

    async def close(self) -> None:
        """Let go of its connections."""
        # kr8s has no word for it.
        if self._api is not None and self._api._session is not None:  # noqa: SLF001
            await self._api._session.aclose()  # noqa: SLF001
        self._api = None

    async def ask(
        self, method: str, path: str, body: Any = None, *, base: str = "/api", params: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Answer:  # fmt: skip
        """Raises Fail: `cluster.api-unreachable`."""
        options: dict[str, Any] = {"params": params or {}, "headers": {"Content-Type": content}}
        if body is not None:
            options["content"] = json.dumps(body)
        asked = f"{method} {path}"
        try:
            with anyio.fail_after(self._limit):
                async with self._sent(method, base, path, options) as response:
                    return _read(asked, response)
        except TimeoutError as error:
            raise Fail(unreachable(asked, f"no answer within {self._limit:.0f} s")) from error
        except _ERRORS as error:
            raise Fail(unreachable(asked, f"{type(error).__name__}: {error}")) from error

    @asynccontextmanager
    async def _sent(
        self, method: str, base: str, path: str, options: Mapping[str, Any], stream: bool = False
    ) -> AsyncIterator[httpx.Response]:
        with anyio.fail_after(self._limit):
            api = await self._opened()
        for last in (False, True):
            call = api.call_api(
                method, version="v1", base=base, namespace=self._namespace, url=path, raise_for_status=False,
                stream=stream, **options,
            )  # fmt: skip
            async with call as response:
                if response.status_code != UNAUTHORIZED or last:
                    yield response
                    return
            # The token of a service account is another one each hour. kr8s would cut all connections for it.
            with anyio.fail_after(self._limit):
                await api.auth.reauthenticate()
            if api._session is not None and api.auth.token:  # noqa: SLF001
                api._session.headers["Authorization"] = f"Bearer {api.auth.token}"  # noqa: SLF001

    async def delete(self, path: str, *, base: str = "/api", uid: str = "", grace: int = 0) -> bool:
        """False where there is none, or another one than that of this uid. Raises Fail: `cluster.*`."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        options |= {"gracePeriodSeconds": grace} | ({"preconditions": {"uid": uid}} if uid else {})
        answer = await self.ask("DELETE", path, options, base=base)
        if answer.status >= 300 and answer.status not in (MISSING, CONFLICT):
            raise Fail(refused(answer))
        return answer.status < 300

    async def apply(self, plural: str, manifest: JSON, base: str) -> None:
        """Have it be so, whatever stood there. Raises Fail: `cluster.*`."""
        path, params = f"{plural}/{manifest['metadata']['name']}", {"fieldManager": MANAGER, "force": "true"}
        answer = await self.ask("PATCH", path, manifest, base=base, params=params, content=APPLY)
        if answer.status not in (OK, CREATED):
            raise Fail(refused(answer))

    async def pods(self, selector: str) -> tuple[list[Thing], Version]:
        """All pods with these labels, and as of when. Raises Fail: `cluster.*`; Gone, where it took too long."""
        found: list[Thing] = []
        params: dict[str, Any] = {"labelSelector": selector, "limit": PAGE}
        for _ in range(PAGES):
            answer = await self.ask("GET", "pods", params=params)
            if answer.status != OK:
                _raise_for(answer)
            found += [_pod(one) for one in listed(answer.body, "items")]
            about = mapping(answer.body.get("metadata"))
            params["continue"] = text(about.get("continue"))
            if not params["continue"]:
                return found, text(about.get("resourceVersion"))
        raise Fail(unreachable(answer.asked, f"the list has not ended after {PAGES} pages"))

    async def watch(self, selector: str, since: Version) -> AsyncGenerator[tuple[str, Thing, Version], None]:
        """What became of them since: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`; until the API ends it.

        Raises Fail: `cluster.*`; Gone.
        """
        params = {
            "watch": "1", "labelSelector": selector, "resourceVersion": since, "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH,
        }  # fmt: skip
        async with aclosing(self._streamed("WATCH pods", "pods", params, QUIET)) as lines:
            async for line in lines:
                try:
                    told = _told("WATCH pods", line)
                except ValueError as error:
                    raise Fail(unreachable("WATCH pods", f"{type(error).__name__}: {error}")) from error
                yield told

    async def log(self, pod: str, container: str, limit: float, most: int = LOG) -> AsyncGenerator[str, None]:
        """What a container that runs says, line by line from its first, until it ends or says nothing for so many
        seconds; of it so many bytes at most. Raises Fail: `cluster.*`; Gone.
        """
        params = {"container": container, "follow": "true", "limitBytes": most}
        async with aclosing(self._streamed("GET pods/log", f"pods/{pod}/log", params, limit, LINE)) as lines:
            async for line in lines:
                yield line.decode(errors="replace")

    async def _streamed(
        self, asked: str, path: str, params: Mapping[str, Any], quiet: float, cut: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """Lines of an answer that goes on; `quiet`: seconds without one after which it is given up; `cut`: bytes of one
        beyond which it is another, 0 for none.

        Raises Fail: `cluster.*`; Gone.
        """
        try:
            options = {"params": params, "timeout": httpx.Timeout(self._limit, read=quiet)}
            async with self._sent("GET", "/api", path, options, stream=True) as response:
                if response.status_code != OK:
                    await response.aread()
                    _raise_for(_read(asked, response))
                async with aclosing(_lines(response, cut)) as lines:
                    async for line in lines:
                        yield line
        except _ERRORS as error:
            raise Fail(unreachable(asked, f"{type(error).__name__}: {error}")) from error


def _pod(raw: JSON) -> Thing:
    """Without what nobody here reads and which makes up half of it."""
    about = {key: value for key, value in mapping(raw.get("metadata")).items() if key != "managedFields"}
    return Thing({"kind": "Pod", **raw, "metadata": about})


async def _lines(response: httpx.Response, cut: int) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if cut:
            await asyncio.sleep(len(lines) / LINES)
            if len(rest) > cut:
                yield rest
                rest = b""
        if len(rest) > LARGEST:
            raise ValueError("an object is larger than any can be")
    if rest.strip():
        yield rest


def _told(asked: str, line: bytes) -> tuple[str, Thing, Version]:
    event = mapping(json.loads(line))
    kind, about = text(event.get("type")), mapping(event.get("object"))
    if kind == "ERROR":
        code = about.get("code")
        _raise_for(Answer(asked, code if isinstance(code, int) else 500, about, text(about.get("message"))))
    one = _pod(about)
    return kind, one, text(one.metadata.get("resourceVersion"))


def _raise_for(answer: Answer) -> NoReturn:
    """Raises Fail: what was refused; Gone."""
    if answer.status == GONE:
        raise Gone
    raise Fail(refused(answer))


def _read(asked: str, response: httpx.Response) -> Answer:
    try:
        body = mapping(response.json())
    except ValueError:
        body = {}
    words = text(body.get("message")) or ("" if response.is_success else response.text[:500])
    told = response.headers.get("Retry-After", "")
    after = float(told) if re.fullmatch(r"[0-9]{1,9}", told) else 0.0
    return Answer(asked, response.status_code, body, words, after)
