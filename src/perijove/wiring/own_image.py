"""Perijove itself as an image in a registry: the base, and on it what its lock file names. In: settings. Acts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from perijove import durable
from perijove.backends import statedir
from perijove.backends.installation.programs import OLDEST, PREFIX, source, tree
from perijove.backends.registry.addresses import Repository
from perijove.backends.registry.client import connected
from perijove.backends.registry.contents import ROOT
from perijove.backends.registry.credentials import login
from perijove.backends.registry.distributions import layers
from perijove.backends.registry.packing import Layer, entries
from perijove.backends.registry.publishing import Published, Publishing
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Environment
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.domain.system_failures import BASE_UNUSABLE
from perijove.wiring import bases

TAG = "latest"
MOST = 60
"""Layers of Perijove: an engine mounts 127 at most, and each is a request."""
PATH = f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin"


async def push(state: State, settings: Settings, to: Repository, credentials: Path | None, tell: Tell) -> Published:
    """What runs here, as an image. Raises Fail: `registry.*`, `platform.*`, `build.*`."""
    base = await bases.prepare(state, settings, tell, again=False)
    if tuple(int(part) for part in base.python.split(".")[:2]) < OLDEST:
        remedy = "Choose a newer platform.suite: trixie has Python 3.13."
        raise Fail(BASE_UNUSABLE("its Python is too old for Perijove", Evidence(base.key, base.python), remedy=remedy))
    return await published(state, base.root, Path(base.executable), base.python, to, credentials, tell)


async def published(
    state: State, root: Sequence[Path], by: Path, python: str, to: Repository, credentials: Path | None, tell: Tell
) -> Published:
    """On a root file system's folders, the lowest first, in which `by` is its Python. Raises Fail as `push`."""
    statedir.prepare(state)
    with tempfile.TemporaryDirectory(prefix=".own-image-", dir=state.image_layers.parent) as work:
        folder = Path(work) / "perijove"
        tell(f"Installing {source()} for Python {python}")
        await durable.in_thread(lambda: tree(folder, source(), by, python))
        made = [Layer(f"system {number}", path, PurePosixPath("/"), entries(path), ROOT)
                for number, path in enumerate(root)]  # fmt: skip
        made += layers(folder, PurePosixPath(PREFIX), entries(folder), ROOT, {}, MOST)
        how = Environment("perijove", PREFIX, python, ("perijove", "up"), (("PATH", PATH),), ())
        tell(f"Pushing {len(made)} layers to {to.image}")
        async with connected(to, login(credentials, to.registry) if credentials else None) as registry:
            return await Publishing(registry, state.image_layers).publish(made, TAG, how=how)
