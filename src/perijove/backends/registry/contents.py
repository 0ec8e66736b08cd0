"""What an image of an environment holds: the layers of all that its sandboxes are shown. Reads folders.

In: an Environment, and the repository's files. Out: layers, the lowest first: the system, the server and what it runs
on, the environment by its distributions, what postBuild made of it, the repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from perijove.backends.registry.distributions import layers
from perijove.backends.registry.packing import Entry, Layer, entries
from perijove.domain.nouns import Environment
from perijove.launching.start.sandbox import HOME

ROOT, SESSION = (0, 0), (1000, 1000)
"""Owners in the image: of the system, and of all that a session may change."""
MOST = 60
"""Layers of one image: an engine mounts 127 at most, and each is a request."""
PLACE = PurePosixPath("/opt/perijove/environment")
"""Where the environment lies, whatever its key is, so that others share its layers; its own path leads there."""


def contents(environment: Environment, checkout: Path) -> list[Layer]:
    """One on this machine's own system has no system in its image. Raises Fail: `registry.unpackable`."""
    found = system(environment.root)
    found += [_whole(f"server {mount.target}", mount.source, mount.target, SESSION) for mount in environment.mounts]
    (own,) = environment.overlays
    lowest, *over = own.layers
    links = {str(own.target): str(PLACE)}
    found += layers(lowest, PLACE, entries(lowest), SESSION, links, max(1, MOST - len(found) - len(over) - 1))
    found += [_whole("postBuild", path, Path(PLACE), SESSION) for path in over]
    return [*found, _whole("repository", environment.home or checkout, Path(HOME), SESSION)]


def system(root: Sequence[Path]) -> list[Layer]:
    """The layers of a root file system's folders, the lowest first."""
    return [_whole(f"system {number}", path, Path("/"), ROOT) for number, path in enumerate(root)]


def _whole(name: str, source: Path, target: Path, owner: tuple[int, int]) -> Layer:
    """A folder, or a single file."""
    shown = entries(source) if source.is_dir() else {"": Entry(source.stat())}
    return Layer(name, source, PurePosixPath(target), shown, owner)
