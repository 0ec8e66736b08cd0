"""Folders that a sandbox may write to and nobody else sees changed: overlays, or copies where there can be none.

In: an order's stacks of folders, and a folder for what is written over them. Out: how bubblewrap shows each, and
afterwards what was written, as layers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC
from functools import partial
from pathlib import Path

from perijove.backends.pad import mounting
from perijove.backends.pad.master import Master
from perijove.backends.pad.spawning import in_child
from perijove.backends.pad.trees import NO_LINKS, Allowance, Copying
from perijove.backends.pad.wire import Order
from perijove.domain.failures import BUILD_DISK, BUILD_TOO_LARGE, Evidence, Fail
from perijove.domain.nouns import Limits, Overlay
from perijove.domain.sizes import inodes, size
from perijove.domain.system_failures import NO_ROOT

ROOT = Path("/")
LEFT_OUT = (".cache",)
"""What of a home is nobody's after the run."""


@dataclass(frozen=True, slots=True)
class Laid:
    """One stack, as a sandbox is shown it."""

    target: Path
    lowers: tuple[Path, ...]
    """Shown beneath `upper`, the lowest first; none where `upper` is a copy of them all."""
    upper: Path
    """What the sandbox writes."""
    work: Path
    """Overlayfs's own, on the same disk."""

    @property
    def is_root(self) -> bool:
        return self.target == ROOT

    @property
    def arguments(self) -> list[str]:
        """Of bubblewrap."""
        if not self.lowers:
            return ["--bind", str(self.upper), str(self.target)]
        shown = [word for lower in self.lowers for word in ("--overlay-src", str(lower))]
        return [*shown, "--overlay", str(self.upper), str(self.work), str(self.target)]


def stacks_of(order: Order, *, copied: bool) -> Sequence[Overlay]:
    """Its root, where it has one of its own, and its overlays. Raises Fail: `platform.no-root`."""
    if not order.root:
        return order.overlays
    if copied:  # a whole system for each sandbox
        raise Fail(NO_ROOT("folders cannot be laid over one another here", Evidence("isolation", "overlay: no")))
    return (Overlay(order.root, ROOT), *order.overlays)


async def lay(
    overlays: Sequence[Overlay], folder: Path, own: Path, uid: int | None, master: Master, *, copied: bool
) -> list[Laid]:
    """Make them ready: mounts in `folder`, what is written in `own`. Raises OSError."""
    laid = []
    for number, overlay in enumerate(overlays):
        upper, work = own / f"upper-{number}", own / f"work-{number}"
        if copied:
            await in_child(partial(_copy, overlay.layers, upper, uid, master))
            laid.append(Laid(overlay.target, (), upper, work))
            continue
        for path in (upper, work):
            path.mkdir(mode=0o755)
            if uid is not None:
                os.chown(path, uid, uid)
        lowers = overlay.layers
        if uid is not None:
            lowers = tuple(_shown(layer, folder, uid, master) for layer in overlay.layers)
        laid.append(Laid(overlay.target, lowers, upper, work))
    return laid


def _shown(layer: Path, folder: Path, uid: int, master: Master) -> Path:
    """A layer as the sandbox's own. Only what is the master's: root has no more to give away."""
    number = sum(1 for path in folder.iterdir() if path.name.startswith("lower-"))
    at = folder / f"lower-{number}"
    at.mkdir()
    with _opened(layer, master) as opened:
        mounting.show(opened, at, uid)
    return at


def _copy(layers: Sequence[Path], into: Path, uid: int | None, master: Master) -> None:
    copying = Copying(Allowance(2**62, 2**62), None if uid is None else (uid, uid), applied=True, rights=master.rights)
    for layer in layers:
        with _opened(layer, master) as opened:
            copying.copy(opened, into)


@contextlib.contextmanager
def _opened(layer: Path, master: Master) -> Iterator[int]:
    opened = master.folder(layer)
    try:
        yield opened
    finally:
        os.close(opened)


def clear(folder: Path) -> None:
    """Once a sandbox has ended: take the mounts away, so that its folder can be removed."""
    for path in folder.glob("lower-*"):
        mounting.hide(path)
    for path in folder.glob("own/work-*/work"):  # closed by the kernel
        with contextlib.suppress(OSError):
            path.chmod(0o700)


async def take_layers(
    home: Path, laid: Sequence[Laid], into: Path, limits: Limits, master: Master, *, system: bool = False
) -> None:
    """What a run wrote, to a new folder: `home`, and for each stack `layer-N`, or `whole-N` where it was a copy.

    Of its root nothing, but for a `system`'s. Raises Fail: `build.too-large`, `build.disk-full`.
    """
    into.mkdir()
    into.chmod(0o755)
    owner = (master.uid, master.gid) if master.other else None
    room = Allowance(limits.disk, inodes(limits.disk))
    taken: list[tuple[Path, Path, tuple[str, ...]]] = [(home, into / "home", LEFT_OUT)]
    taken += [(one.upper, into / "root", ()) for one in laid if one.is_root and system]
    for number, one in enumerate(one for one in laid if not one.is_root):
        taken.append((one.upper, into / f"{'layer' if one.lowers else 'whole'}-{number}", ()))
    try:
        await in_child(partial(_take, taken, Copying(room, owner)))
    except OSError as error:
        if error.errno == EFBIG:
            where = Evidence("build.disk", f"{size(limits.disk)}, {inodes(limits.disk)} files")
            raise Fail(BUILD_TOO_LARGE("what it wrote is more than may be kept", where)) from error
        if error.errno not in {ENOSPC, EDQUOT}:
            raise
        raise Fail(BUILD_DISK("no space is left for what it wrote", Evidence(str(into), str(error)))) from error


def _take(taken: Sequence[tuple[Path, Path, tuple[str, ...]]], copying: Copying) -> None:
    for source, into, left_out in taken:
        copying.left_out = left_out
        opened = os.open(source, NO_LINKS | os.O_DIRECTORY)
        try:
            copying.copy(opened, into)
        finally:
            os.close(opened)
