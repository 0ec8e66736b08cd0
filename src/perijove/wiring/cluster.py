"""A cluster as a recording with the front's configuration beside it. In: a folder or a context. Out: a Recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perijove.backends.cluster.recording import recorded
from perijove.backends.cluster.writing import write
from perijove.backends.nginx.reading import main_file, read
from perijove.domain.cluster import Recording
from perijove.domain.failures import Fail
from perijove.domain.findings import Change


def from_folder(folder: Path, now: float | None) -> Recording:
    """What somebody recorded. Raises Fail: `cluster.recording-unreadable`."""
    seen = recorded(folder, now)
    if not (folder / "front").is_dir():
        return seen
    try:
        return replace(seen, front=read(main_file(folder / "front")))
    except Fail as error:
        # Nobody is forced to record a front that is nginx.
        return replace(seen, unseen={**seen.unseen, "front/": error.failure.message})


def save(seen: Recording, folder: Path, *, names: bool) -> None:
    """Write it down, to be judged elsewhere. Raises Fail: `cluster.recording-unwritable`, what the disk refuses."""
    write(seen, folder, names=names)


async def change(context: str | None, namespace: str | None, changes: Sequence[Change]) -> None:
    """What the remedy says. Raises Fail: `cluster.change-refused`, `cluster.api-unreachable`."""
    from perijove.backends.cluster import kubernetes  # noqa: PLC0415  imported late: kr8s takes half a second

    await kubernetes.change(context, namespace, changes)


async def from_context(context: str | None, namespace: str | None) -> Recording:
    """What a cluster says now. Raises Fail: `cluster.api-unreachable`."""
    from perijove.backends.cluster.kubernetes import asked  # noqa: PLC0415  imported late: kr8s takes half a second

    return await asked(context, namespace)
