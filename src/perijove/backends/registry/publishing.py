"""Publishes an environment as an image: what was packed before is not packed again, what is there is not moved again.

In: layers, and a registry. Out: the image by its digest, and what had to be moved. Digests are kept by layers' keys, in
a folder; a note that is lost only costs the packing.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from perijove import durable
from perijove.backends.registry import images
from perijove.backends.registry.client import Registry
from perijove.backends.registry.contents import SESSION
from perijove.backends.registry.packing import Layer, Packed, pack
from perijove.domain.images import DIGEST
from perijove.domain.nouns import Environment
from perijove.domain.ports import Tell
from perijove.domain.sizes import size

AT_ONCE = 2
"""Layers that are packed and pushed at the same time; so many lie beside the notes meanwhile."""


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it."""

    image: str
    """By its digest, as engines pull it."""
    layers: int
    packed: int
    moved: int
    """Of its layers, those that were packed and those that the registry had not."""
    size: int
    """Bytes that were moved."""


@dataclass(slots=True)
class _Layer:
    """One that is in the registry now."""

    packed: Packed
    was_packed: bool
    moved: bool


@dataclass(frozen=True, slots=True)
class Publishing:
    """To one repository of a registry."""

    registry: Registry
    notes: Path
    """A folder of ours; packed layers have their place on its disk too, without a name, so that none is ever left."""
    kept: int = 20_000
    """Notes that are kept, the latest used."""

    async def publish(
        self, layers: Sequence[Layer], tag: str, tell: Tell = lambda _: None, how: Environment | None = None
    ) -> Published:
        """`how` it is started, where its image says that.

        Raises Fail: `registry.*`, `platform.disk-full`, `platform.state-unusable`.
        """
        tell(f"Packing {len(layers)} layers for {self.registry.repository.image}")
        places = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._layer(one, places, tell), name=f"layer {one.name[:80]}") for one in layers
                ]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the others were cancelled for it
        done = [task.result() for task in tasks]
        named = [(layer.name, one.packed) for layer, one in zip(layers, done, strict=True)]
        config = images.config(how, named, SESSION)
        if not await self.registry.has(about := images.digest(config)):
            await self.registry.push(io.BytesIO(config), about, len(config))
        manifest = images.manifest(config, [packed for _, packed in named])
        digest = images.digest(manifest)
        await self.registry.name(tag, images.MANIFEST, manifest, digest)
        with durable.told(self.notes):
            await durable.in_thread(lambda: tidy(self.notes, self.kept))
        moved = [one for one in done if one.moved]
        packed = sum(one.was_packed for one in done)
        size = sum(one.packed.size for one in moved)
        return Published(f"{self.registry.repository.image}@{digest}", len(done), packed, len(moved), size)

    async def _layer(self, layer: Layer, places: asyncio.Semaphore, tell: Tell) -> _Layer:
        async with places:
            key = await durable.in_thread(lambda: layer.key)
            known = self._noted(key)
            if known is not None and await self._has(*known):
                self._note(key, known[0])
                return _Layer(known[0], was_packed=False, moved=False)
            with durable.told(self.notes), tempfile.TemporaryFile(dir=self.notes) as file:
                packed = await durable.in_thread(lambda: pack(layer, file))
                if moved := not await self.registry.has(packed.digest):
                    tell(f"Pushing {layer.name}, {size(packed.size)}")
                    await self.registry.push(file, packed.digest, packed.size)
            self._note(key, packed)
            return _Layer(packed, was_packed=True, moved=moved)

    async def _has(self, packed: Packed, where: str) -> bool:
        """There, or in another repository of the same registry, from which it is taken over."""
        if await self.registry.has(packed.digest):
            return True
        registry, _, name = where.partition("/")
        elsewhere = registry == self.registry.repository.registry and name != self.registry.repository.name
        return elsewhere and await self.registry.mount(packed.digest, name)

    def _noted(self, key: str) -> tuple[Packed, str] | None:
        """A layer's digests, and the repository to which it was last pushed."""
        try:
            told = json.loads((self.notes / key).read_bytes())
            packed, where = Packed(told["digest"], told["diff_id"], told["size"]), told["where"]
            right = DIGEST.fullmatch(packed.digest) and DIGEST.fullmatch(packed.diff_id)
            return (packed, where) if right and isinstance(packed.size, int) and isinstance(where, str) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _note(self, key: str, packed: Packed) -> None:
        """Not synced: a note that is lost is made again."""
        with durable.told(self.notes), tempfile.NamedTemporaryFile("w", dir=self.notes, delete=False) as file:
            try:
                json.dump({**asdict(packed), "where": self.registry.repository.image}, file)
                file.flush()
                os.rename(file.name, self.notes / key)
            finally:
                Path(file.name).unlink(missing_ok=True)


def tidy(notes: Path, kept: int) -> None:
    """Forget what nobody has published for longest."""
    held = []
    for path in notes.iterdir():
        with suppress(FileNotFoundError):  # what is published at the same time comes and goes
            held.append((path.stat().st_mtime, path))
    for _, path in sorted(held, reverse=True)[kept:]:
        path.unlink(missing_ok=True)
