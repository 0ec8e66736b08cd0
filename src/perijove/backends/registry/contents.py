"""What an image holds in place of a sandbox: the layers of all that this would be shown. Reads folders.

In: an environment, a session or a run of foreign code, and the files of its home. Out: layers, the lowest first: the
system, the server and what it runs on, the environment by its distributions, what postBuild made of it, the repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from perijove.backends.registry.distributions import layers
from perijove.backends.registry.packing import Entry, Layer, entries
from perijove.domain.nouns import Mount, Overlay
from perijove.launching.start.sandbox import HOME

ROOT, SESSION = (0, 0), (1000, 1000)
"""Owners in the image: of the system, and of all that a session may change."""
MOST = 60
"""Layers of one image: an engine mounts 127 at most, and each is a request."""
PLACE = PurePosixPath("/opt/perijove/environment")
"""Where the environment lies, whatever its key is, so that others share its layers; its own path leads there."""


PACKAGES = "site-packages"


class Shown(Protocol):
    """What a sandbox is shown beside its home, each as `SandboxSpec` has it."""

    @property
    def root(self) -> tuple[Path, ...]: ...
    @property
    def mounts(self) -> tuple[Mount, ...]: ...
    @property
    def overlays(self) -> tuple[Overlay, ...]: ...


def contents(shown: Shown, home: Path | None) -> list[Layer]:
    """Without a home it has an empty one, without a root no system. Raises Fail: `registry.unpackable`."""
    found = system(shown.root)
    for mount in shown.mounts:
        if mount.source.name == PACKAGES:
            found += _packages(mount)
        else:
            found.append(_whole(f"server {mount.target}", mount.source, mount.target, SESSION))
    for number, one in enumerate(shown.overlays):
        lowest, *over = one.layers
        place = PLACE if number == 0 else PurePosixPath(one.target)
        links = {str(one.target): str(PLACE)} if number == 0 else {}
        most = MOST - len(found) - len(over) - len(shown.overlays) if number == 0 else 1
        found += layers(lowest, place, entries(lowest), SESSION, links, max(1, most))
        found += [_whole("postBuild", path, Path(place), SESSION) for path in over]
    if home is not None:
        return [*found, _whole("repository", home, Path(HOME), SESSION)]
    empty = {"": Entry(shown.root[0].stat())} if shown.root else {}
    return [*found, Layer("home", Path(), PurePosixPath(HOME), empty, SESSION)]


def system(root: Sequence[Path]) -> list[Layer]:
    """The layers of a root file system's folders, the lowest first."""
    return [_whole(f"system {number}", path, Path("/"), ROOT) for number, path in enumerate(root)]


def _packages(mount: Mount) -> list[Layer]:
    """Those of an environment that are to be compiled, where sessions have them: what is compiled is there already."""
    top = mount.source.parents[2]
    within = mount.source.relative_to(top)
    found = {str(above) if above.name else "": Entry((top / above).stat()) for above in within.parents}
    found |= {(within / path).as_posix(): entry for path, entry in entries(mount.source).items()}
    return layers(top, PLACE, found, SESSION, {str(mount.target): str(PLACE / within)}, MOST // 2)


def _whole(name: str, source: Path, target: Path, owner: tuple[int, int]) -> Layer:
    """A folder, or a single file."""
    shown = entries(source) if source.is_dir() else {"": Entry(source.stat())}
    return Layer(name, source, PurePosixPath(target), shown, owner)
