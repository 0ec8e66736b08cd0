"""An API server of Kubernetes that speaks the real wire protocol (kmock), with the objects that a test gives it.

The double knows lists; pages, refusals, silence and logs are told to it by `answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kmock
import yaml
from aiohttp import web

from perijove.backends.cluster.kinds import KINDS, Served

TOKEN = "t0ken-of-the-account"
VERSION = {"major": "1", "minor": "31", "gitVersion": "v1.31.6"}
Json = dict[str, Any]


def api_version(kind: Served) -> str:
    return f"{kind.base.removeprefix('/apis/')}/{kind.version}" if kind.base != "/api" else kind.version


SERVED = {(kind.kind, api_version(kind)): kind for kind in KINDS}


def resource(kind: Served) -> str:
    return f"{api_version(kind)}/{kind.plural}"


@dataclass(frozen=True)
class ClusterApi:
    """One that runs: what it was asked, and kubectl's configuration for it."""

    double: kmock.KubernetesEmulator
    kubeconfig: Path

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Method and path of every request."""
        return [(str(one.method), one.url.path) for one in self.double]


NAMESPACES = "/api/v1/namespaces"


class _Double(kmock.KubernetesEmulator):
    """Which lists namespaces too: kmock takes the word for the beginning of one namespace's paths."""

    namespaces: tuple[int, Json]

    async def __call__(self, raw_request: web.BaseRequest) -> web.StreamResponse:
        if raw_request.path == NAMESPACES:
            return web.json_response(self.namespaces[1], status=self.namespaces[0])
        return await super().__call__(raw_request)


def _answer(given: Any) -> tuple[int, Any]:
    return given if isinstance(given, tuple) else (200, given)


@asynccontextmanager
async def serving(
    folder: Path, objects: Iterable[Json], answers: Mapping[str, Any] | None = None
) -> AsyncIterator[ClusterApi]:
    """`answers` by `get /path`, a body or status and body, come before the objects. Old groups: if they have any."""
    objects, told = list(objects), dict(answers or {})
    spaces = {"kind": "NamespaceList", "items": [one for one in objects if one["kind"] == "Namespace"]}
    async with _Double() as double, kmock.Server(double) as server:
        double.namespaces = _answer(told.pop(f"get {NAMESPACES}", spaces))
        for kind in SERVED.values():
            if not kind.legacy:
                double.resources[resource(kind)] = kmock.ResourceInfo(kind=kind.kind, namespaced=kind.namespaced)
        for thing in objects:
            kind = SERVED[thing["kind"], thing["apiVersion"]]
            double.objects[resource(kind), thing["metadata"].get("namespace"), thing["metadata"]["name"]] = thing
        # As real ones do; the double knows it without the slash.
        for path, answer in {"get /version/": VERSION, **told}.items():
            status, body = _answer(answer)
            double[path] << status << body
        yield ClusterApi(double, kubeconfig(folder, str(server.url)))


def kubeconfig(folder: Path, url: str, namespace: str = "binderhub") -> Path:
    """With two contexts, of which the first is the current one and the second leads nowhere."""
    clusters = [
        {"name": name, "cluster": {"server": at}} for name, at in (("here", url), ("gone", "http://127.0.0.1:9"))
    ]
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "me", "namespace": namespace}} for name in ("here", "gone")
    ]
    whole = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "clusters": clusters, "contexts": contexts,
        "users": [{"name": "me", "user": {"token": TOKEN}}],
    }  # fmt: skip
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(whole))
    return path


async def silence(_request: object) -> None:
    """An answer that never comes."""
    await asyncio.Event().wait()
