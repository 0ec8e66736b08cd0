"""A registry of images on loopback, as far as pulling by digest goes (OCI distribution specification): a token for
anybody, a list of manifests, a manifest, layers. `faults` names what it does wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from perijove.domain.images import ARCHITECTURES

NAME = "library/debian"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registry:
    """What it holds: contents by their digests."""

    layers: Sequence[bytes]
    """tar files."""
    faults: frozenset[str] = frozenset()
    address: str = ""
    asked: list[str] = field(default_factory=list)
    contents: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        layers = [self._put("layer", gzip.compress(layer, 1)) for layer in self.layers]
        if "larger" in self.faults:
            layers = [{**layer, "size": 10} for layer in layers]
        if "negative" in self.faults:
            layers.insert(0, {**self._put("layer", b""), "size": -(1 << 60)})
        told = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self._put("config", b"{}"), "layers": layers}
        ours = ARCHITECTURES.get(platform.machine(), platform.machine())
        manifests = [
            {**self._put(MANIFEST, b"{}"), "platform": {"os": "linux", "architecture": "mips"}},
            {**self._put(MANIFEST, json.dumps(told).encode()), "platform": {"os": "linux", "architecture": ours}},
        ]
        if "other-machines" in self.faults:
            manifests.pop()
        self.digest = str(self._put(INDEX, json.dumps({"manifests": manifests}).encode())["digest"])
        if "tampered" in self.faults:
            digest = str(layers[-1]["digest"])
            kind, content = self.contents[digest]
            self.contents[digest] = (kind, content[:-1] + b"x")
        if "odd-manifest" in self.faults:
            self.digest = str(self._put(INDEX, b"[1, 2]")["digest"])

    def _put(self, kind: str, content: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.contents[digest] = (kind, content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    @property
    def image(self) -> str:
        """As `platform.base` names it."""
        return f"{self.address}/{NAME}@{self.digest}"


@contextmanager
def served(registry: Registry) -> Iterator[Registry]:
    """On a port of loopback, until the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            registry.asked.append(parts.path)
            if parts.path == "/token":
                scope = parse_qs(parts.query).get("scope")
                self._answer(200, json.dumps({"token": f"pull {scope == [f'repository:{NAME}:pull']}"}).encode())
            elif self.headers.get("Authorization") != "Bearer pull True" or "closed" in registry.faults:
                self.send_response(401)
                asks = f'Bearer realm="http://{registry.address}/token",service="x",scope="repository:{NAME}:pull"'
                self.send_header("WWW-Authenticate", asks)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                kind, content = registry.contents.get(parts.path.rpartition("/")[2], ("", b""))
                self._answer(200 if kind else 404, content, kind)

        def _answer(self, status: int, content: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", f"{len(content)}")
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if "cut-off" in registry.faults else content)

        def log_message(self, *_: object) -> None:
            """Tell nobody."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.address = f"127.0.0.1:{server.server_address[1]}"
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), name="registry", daemon=True)
        serving.start()
        try:
            yield registry
        finally:
            server.shutdown()
            serving.join()
