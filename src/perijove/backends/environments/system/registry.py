"""Fetches an image from a registry, by its digest alone. Lives in a confined process.

In: the image (OCI distribution specification: a token, a list of manifests, a manifest, blobs). Out: its layers, each
checked against its digest. Raises Fail: `platform.base-unreachable`, `platform.base-unusable`.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio._backends._asyncio  # noqa: F401 - as the next
import certifi  # noqa: F401 - these httpx loads late, when their files may be out of a confined call's reach
import httpx

from perijove.backends.environments.installer import Room
from perijove.domain import sizes
from perijove.domain.failures import Evidence, Fail
from perijove.domain.images import ARCHITECTURES, DIGEST, HOMES
from perijove.domain.ports import Tell
from perijove.domain.system_failures import BASE_UNREACHABLE, BASE_UNUSABLE
from perijove.domain.system_settings import Image

SILENCE = 60.0
"""Seconds without an answer or a byte."""
LARGEST = 4 * 1024**2
"""Bytes of a manifest."""
MOST = 128
"""Layers."""
LISTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_PARAMETER = re.compile(r'(\w{1,30})="([^"]{0,1000})"')


async def fetched(image: Image, into: Path, room: Room, *, tell: Tell) -> tuple[Path, ...]:
    """Its layers, the lowest first, as files in a folder."""
    host = HOMES.get(image.registry, image.registry)
    name = urlsplit(f"//{host}").hostname or ""
    scheme = "http" if name in {"localhost", "127.0.0.1"} else "https"
    trusted = ssl.create_default_context()
    async with httpx.AsyncClient(verify=trusted, timeout=SILENCE, follow_redirects=True, max_redirects=5) as client:
        registry = Registry(client, f"{scheme}://{host}/v2/{image.name}", image)
        try:
            layers = await registry.layers()
            paths, whole = [], room
            for number, (digest, size) in enumerate(layers):
                tell(f"Fetching layer {number + 1} of {len(layers)}, {sizes.size(size)}")
                room = Room(room.size - size, room.files, room.short)
                if room.size < 0:
                    raise whole.outgrown(Evidence(digest, sizes.size(size)))
                paths.append(await registry.blob(digest, size, into / f"layer-{number}"))
        except httpx.HTTPError as error:
            raise registry.unreachable(str(error) or type(error).__name__) from error
    return tuple(paths)


class Registry:
    """One repository of one."""

    def __init__(self, client: httpx.AsyncClient, address: str, image: Image) -> None:
        self._client = client
        self._address = address
        self._image = image
        self._token: dict[str, str] = {}

    async def layers(self) -> list[tuple[str, int]]:
        """Digests and sizes of the image's layers, for this machine's kind of processor."""
        told = await self._manifest(self._image.digest)
        if "manifests" in told:
            told = await self._manifest(self._ours(told))
        found = [(layer.get("digest"), layer.get("size")) for layer in _objects(told, "layers")]
        named = [(d, s) for d, s in found if isinstance(d, str) and DIGEST.fullmatch(d) and isinstance(s, int)]
        layers = [(digest, size) for digest, size in named if size >= 0]  # less than nothing would make room for others
        if not layers or len(layers) != len(found) or len(layers) > MOST:
            raise _unusable("it lists no layers that can be fetched", str(found))
        return layers

    def _ours(self, told: Mapping[str, Any]) -> str:
        wanted = ARCHITECTURES.get(platform.machine(), platform.machine())
        for one in _objects(told, "manifests"):
            about, digest = one.get("platform"), one.get("digest")
            if not isinstance(about, dict) or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
                continue
            if about.get("os") == "linux" and about.get("architecture") == wanted:
                return digest
        raise _unusable(f"it has nothing for {wanted}", json.dumps(told)[:300])

    async def _manifest(self, digest: str) -> dict[str, Any]:
        content = b""
        async for chunk in self._read(f"manifests/{digest}", ", ".join((*LISTS, *MANIFESTS))):
            content += chunk
            if len(content) > LARGEST:
                raise _unusable("its manifest is too large", digest)
        _check(hashlib.sha256(content).hexdigest(), digest)
        try:
            told = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _unusable("its manifest is no JSON", str(error)) from error
        if not isinstance(told, dict):
            raise _unusable("its manifest is no object", str(told)[:100])
        return told

    async def blob(self, digest: str, size: int, to: Path) -> Path:
        """Checked as it comes."""
        hashed, left = hashlib.sha256(), size
        with to.open("xb") as file:
            async for chunk in self._read(f"blobs/{digest}", "*/*"):
                left -= len(chunk)
                if left < 0:
                    raise _unusable("a layer is larger than its manifest says", digest)
                hashed.update(chunk)
                file.write(chunk)
        _check(hashed.hexdigest(), digest)
        return to

    async def _read(self, path: str, accept: str) -> Any:
        url = f"{self._address}/{path}"
        for again in (True, False):
            async with self._client.stream("GET", url, headers={"Accept": accept, **self._token}) as answer:
                asks = answer.headers.get("WWW-Authenticate", "")
                if answer.status_code == httpx.codes.UNAUTHORIZED and again and asks.lower().startswith("bearer "):
                    await self._introduce(asks)
                    continue
                if answer.status_code != httpx.codes.OK:
                    raise self.unreachable(f"{answer.status_code} {answer.reason_phrase}", path)
                async for chunk in answer.aiter_raw():
                    yield chunk
                return

    async def _introduce(self, asks: str) -> None:
        """Fetch the token that anybody gets."""
        told = dict(_PARAMETER.findall(asks))
        realm = told.pop("realm", "")
        wanted = {name: told[name] for name in ("service", "scope") if name in told}
        if not realm.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise self.unreachable(f"it asks for a token from {realm[:200]!r}")
        answer = await self._client.get(realm, params=wanted)
        token = None
        with suppress(ValueError, AttributeError):
            token = answer.json().get("token") or answer.json().get("access_token")
        if not isinstance(token, str):
            raise self.unreachable(f"{answer.status_code}: no token for anybody", realm)
        self._token = {"Authorization": f"Bearer {token}"}

    def unreachable(self, saw: str, where: str = "") -> Fail:
        cause = f"{self._image.registry} does not give {self._image.name}"
        return Fail(BASE_UNREACHABLE(cause, Evidence(where or self._address, saw[:300])))


def _objects(told: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = told.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _check(found: str, digest: str) -> None:
    if f"sha256:{found}" != digest:
        raise _unusable("what the registry gave is something else", f"sha256:{found}, not {digest}")


def _unusable(why: str, saw: str) -> Fail:
    return Fail(BASE_UNUSABLE(f"the image cannot be used: {why}", Evidence("registry", saw[:300])))
