"""An image's two documents (OCI image specification 1.1: config.md, manifest.md). Pure.

In: layers that were packed, and how a session is started. Out: bytes, the same for the same.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence

from perijove.backends.registry.packing import Packed
from perijove.domain.images import ARCHITECTURES
from perijove.domain.nouns import Environment
from perijove.launching.start.sandbox import HOME

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def config(environment: Environment | None, layers: Sequence[tuple[str, Packed]], user: tuple[int, int]) -> bytes:
    """How it is started, and which layers it has, each with its name."""
    machine = platform.machine()
    started = {
        "Cmd": list(environment.command) if environment else [],
        "Env": [f"{name}={value}" for name, value in (*(environment.environ if environment else ()), ("HOME", HOME))],
        "User": f"{user[0]}:{user[1]}",
        "WorkingDir": HOME,
    }
    return _written({
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": started,
        "rootfs": {"type": "layers", "diff_ids": [packed.diff_id for _, packed in layers]},
        "history": [{"created_by": f"perijove: {name}"} for name, _ in layers],
    })  # fmt: skip


def manifest(config: bytes, layers: Sequence[Packed]) -> bytes:
    """What a registry is given by its tag."""
    listed = [{"mediaType": LAYER, "digest": one.digest, "size": one.size} for one in layers]
    about = {"mediaType": CONFIG, "digest": digest(config), "size": len(config)}
    return _written({"schemaVersion": 2, "mediaType": MANIFEST, "config": about, "layers": listed})


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _written(told: object) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
