"""The image of a session or a run: all that its sandbox would be shown, published before its pod is asked for.

In: a SandboxSpec or a ForeignRun. Out: the image by its digest. The tag is a hash of what it is made of, so that the
registry itself says what is there already; nothing else is remembered.
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
from perijove.backends.registry.contents import Shown, contents, system
from perijove.backends.registry.credentials import login
from perijove.backends.registry.packing import FORMAT, Layer
from perijove.backends.registry.publishing import Publishing
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import ForeignRun, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.registry_failures import UNPACKABLE
from perijove.domain.sizes import size

Contents = Callable[[], list[Layer]]


class SessionImages:
    """Those of one registry, of runs too."""

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
        if spec.home_from is None:
            raise Fail(UNPACKABLE("it has no home", Evidence("session", spec.session)))
        return await self._published(_shown(spec, spec.home_from), _tag(spec), tell)

    async def of_run(self, run: ForeignRun, tell: Tell) -> str:
        """The same for a run, whose folders are named anyhow: by what its layers hold, with a prefix by which a
        registry's retention may know images that nobody needs later. Raises Fail: `registry.*`, `platform.*`."""
        layers = await self._layers(_shown(run, run.home_from))
        tag = await durable.in_thread(lambda: f"build-{_hash([one.key for one in layers])}")
        return await self._published(lambda: layers, tag, tell)

    async def system(self, root: Sequence[Path], tell: Tell) -> str:
        """A root file system alone, whose layers sessions on it share. Raises Fail: `registry.*`, `platform.*`."""
        return await self._published(lambda: system(root), _hash(FORMAT, tuple(root)), tell)

    async def _published(self, contents: Contents, tag: str, tell: Tell) -> str:
        known = login(Path(self._credentials), self._repository.registry) if self._credentials else None
        lock = self._one_by_one.setdefault(tag, asyncio.Lock())
        if lock.locked():
            tell("Waiting for its image, which another launch publishes")
        async with lock, connected(self._repository, known) as registry:
            if digest := await registry.named(tag, images.MANIFEST):
                return f"{self._repository.image}@{digest}"
            done = await Publishing(registry, self._notes).publish(await self._layers(contents), tag, tell)
        tell(f"Published {done.image}: {done.moved} of {done.layers} layers pushed, {size(done.size)}")
        return done.image

    async def _layers(self, contents: Contents) -> list[Layer]:
        with durable.told(self._notes):
            return await durable.in_thread(contents)


def _shown(shown: Shown, home: Path | None) -> Contents:
    """Raises Fail: `registry.unpackable`."""
    if not shown.root:
        why = "it stands on this machine's own system (platform.root)"
        raise Fail(UNPACKABLE(why, Evidence("root", "none")))
    return lambda: contents(shown, home)


def _tag(spec: SandboxSpec) -> str:
    """All folders are named by their contents, but an operator's own: the commit stands for that."""
    commit = dict(spec.environ).get("BINDER_PERSISTENT_REQUEST", "")
    return _hash(FORMAT, spec.root, spec.mounts, spec.overlays, spec.home_from, commit)


def _hash(*made_of: object) -> str:
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]
