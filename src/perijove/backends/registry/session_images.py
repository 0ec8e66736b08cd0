"""The image of a session: all that its sandbox would be shown, published before its pod is asked for.

In: a SandboxSpec. Out: the image by its digest. The tag is a hash of what it is made of, so that the registry itself
says what is there already; nothing else is remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from perijove import durable
from perijove.backends.registry import images
from perijove.backends.registry.addresses import Repository
from perijove.backends.registry.client import connected
from perijove.backends.registry.contents import contents, system
from perijove.backends.registry.credentials import login
from perijove.backends.registry.packing import FORMAT, Layer
from perijove.backends.registry.publishing import Publishing
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Environment, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.registry_failures import UNPACKABLE
from perijove.domain.sizes import size


class SessionImages:
    """Those of one registry."""

    def __init__(self, repository: Repository, credentials: str, notes: Path) -> None:
        """`credentials`: a file as `docker login` writes it, read anew each time; `` for none."""
        self._repository = repository
        self._credentials = credentials
        self._notes = notes
        self._one_by_one = WeakValueDictionary[str, asyncio.Lock]()
        with durable.told(notes):
            durable.folder(notes)

    async def published(self, spec: SandboxSpec, tell: Tell) -> str:
        """`registry.example/name@sha256:…`. Raises Fail: `registry.*`, `platform.*`."""
        image, tag = _image(spec), _tag(spec)
        if image.home is None or not image.root:
            why = "it has no home" if image.root else "it stands on this machine's own system (platform.root)"
            raise Fail(UNPACKABLE(why, Evidence("session", spec.session)))
        return await self._published(image, tag, lambda: contents(image, image.home or Path()), tell)

    async def system(self, root: Sequence[Path], tell: Tell) -> str:
        """A root file system alone, whose layers sessions on it share. Raises Fail: `registry.*`, `platform.*`."""
        image = Environment("system", Path("/"), "", (), (), (), root=tuple(root))
        return await self._published(image, _hash(FORMAT, image.root), lambda: system(image.root), tell)

    async def _published(self, image: Environment, tag: str, contents: Callable[[], list[Layer]], tell: Tell) -> str:
        known = login(Path(self._credentials), self._repository.registry) if self._credentials else None
        lock = self._one_by_one.setdefault(tag, asyncio.Lock())
        if lock.locked():
            tell("Waiting for its image, which another launch publishes")
        async with lock, connected(self._repository, known) as registry:
            if digest := await registry.named(tag, images.MANIFEST):
                return f"{self._repository.image}@{digest}"
            with durable.told(self._notes):
                layers = await durable.in_thread(contents)
            done = await Publishing(registry, self._notes).publish(image, layers, tag, tell)
        tell(f"Published {done.image}: {done.moved} of {done.layers} layers pushed, {size(done.size)}")
        return done.image


def _image(spec: SandboxSpec) -> Environment:
    """What is the same for all its sessions: command and variables are each pod's own, secrets among them."""
    path = spec.overlays[0].target
    return Environment(
        path.name, path, "", (), (), spec.mounts, overlays=spec.overlays, home=spec.home_from, root=spec.root
    )


def _tag(spec: SandboxSpec) -> str:
    """All folders are named by their contents, but an operator's own: the commit stands for that."""
    commit = dict(spec.environ).get("BINDER_PERSISTENT_REQUEST", "")
    return _hash(FORMAT, spec.root, spec.mounts, spec.overlays, spec.home_from, commit)


def _hash(*made_of: object) -> str:
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]
