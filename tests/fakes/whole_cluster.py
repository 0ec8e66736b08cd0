"""A Kubernetes API server on loopback (kmock's transport) for any objects: server-side apply, removal, by their paths.

As the real one it knows no object of a namespace that is not there, takes manifests of the published schemas alone, and
gives an object that an apply does not change its version of before. `refusals` answers by path in its place.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import kmock
from aiohttp import web

from tests.fakes.cluster_api import VERSION, kubeconfig
from tests.fakes.schemas import wrong_manifest
from tests.fakes.session_cluster import status

Json = dict[str, Any]
SCHEMAS = "1.34"


class WholeCluster(kmock.RawHandler):
    """What is there, and what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, Json] = {}
        """By path, as `/api/v1/namespaces/perijove`."""
        self.asked: list[str] = []
        self.refusals: dict[str, web.Response] = {}
        self._version = 0

    @property
    def kinds(self) -> list[str]:
        """`kind name`"""
        return sorted(f"{one['kind']} {one['metadata']['name']}" for one in self.objects.values())

    def hold(self, path: str, thing: Json) -> None:
        self._version += 1
        thing["metadata"]["resourceVersion"] = f"{self._version}"
        self.objects[path] = thing

    async def _handle(self, request: kmock.Request) -> web.StreamResponse:
        path, method = request.url.path, request.method.name
        if "version" in path:
            return web.json_response(VERSION)
        self.asked.append(f"{method} {path}")
        if path in self.refusals and method == "PATCH":
            return self.refusals[path]
        if method == "PATCH":
            return self._apply(path, request)
        if method == "DELETE" and "labelSelector" in request.params:
            chosen = dict(one.split("=") for one in request.params["labelSelector"].split(","))
            for name, one in list(self.objects.items()):
                if name.startswith(f"{path}/") and chosen.items() <= one["metadata"]["labels"].items():
                    del self.objects[name]
            return web.json_response({"kind": "Status", "status": "Success"})
        if path not in self.objects:
            return status(404, "NotFound", f"{path} not found")
        if method == "DELETE":
            return web.json_response(self.objects.pop(path))
        answer = web.json_response(self.objects[path])
        # A controller comes between a look and an apply: of 1.20.2 it was seen with claims and Deployments.
        self.hold(path, {**self.objects[path], "metadata": {**self.objects[path]["metadata"]}, "status": {"seen": 1}})
        return answer

    def _apply(self, path: str, request: kmock.Request) -> web.Response:
        wanted = json.loads(request.body)
        assert request.headers["Content-Type"] == "application/apply-patch+yaml"
        assert request.params["fieldManager"] == "perijove"
        assert "globalDefault" not in wanted, "it is kept where true: with false each apply writes a version"
        about = wanted["metadata"]
        if "namespace" in about and f"/api/v1/namespaces/{about['namespace']}" not in self.objects:
            return status(404, "NotFound", f'namespaces "{about["namespace"]}" not found')
        if not wanted["apiVersion"].startswith("gateway.") and (wrong := wrong_manifest(wanted, SCHEMAS)):
            return status(422, "Invalid", wrong)
        before = self.objects.get(path, {"metadata": {}})
        after = _laid(before, wanted)
        if after != before:
            self.hold(path, after)
        return web.json_response(self.objects[path], status=200 if before["metadata"] else 201)


def _laid(before: Any, wanted: Any) -> Any:
    """One over the other; lists whole."""
    if not isinstance(before, dict) or not isinstance(wanted, dict):
        return copy.deepcopy(wanted)
    return {**before, **{key: _laid(before.get(key), value) for key, value in wanted.items()}}


@asynccontextmanager
async def whole_cluster(folder: Path) -> AsyncIterator[tuple[WholeCluster, Path]]:
    """One that runs, and kubectl's configuration for it."""
    async with WholeCluster() as cluster, kmock.Server(cluster) as server:
        yield cluster, kubeconfig(folder, str(server.url), "default")
