"""What a node of a cluster does with an image: pulls it from its registry, and unpacks it."""

from __future__ import annotations

from pathlib import Path

from perijove.backends.environments.installer import Room
from perijove.backends.environments.system import registry as pulling
from perijove.backends.environments.system import unpacking
from perijove.domain.system_settings import Image

ROOM = Room(1 << 32, 1_000_000)


async def fetched(image: str, folder: Path) -> Path:
    """An image's files, as our own client fetches and unpacks any image."""
    folder.mkdir()
    name, _, digest = image.partition("@")
    host, _, path = name.partition("/")
    layers = await pulling.fetched(Image(host, path, digest), folder, ROOM, tell=print)
    unpacking.unpacked(layers, folder / "root", ROOM)
    return folder / "root"
