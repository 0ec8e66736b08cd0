"""A folder of objects, as `kubectl get -o yaml` or `-o json` writes them, with what was recorded beside them.

In: a folder, and the time it shall be judged at. Out: a Recording. Read are `*.yaml`, `*.yml` and `*.json`,
`probes.json`, `logs/` and `served-*.pem`; `front/` is another backend's. Links that lead out are not followed.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from perijove.backends.cluster import sifting
from perijove.backends.cluster.kinds import BY_PLURAL
from perijove.backends.cluster.yaml_text import documents
from perijove.domain.cluster import Recording, Thing, day, listed, mapping, moment, text
from perijove.domain.cluster_failures import RECORDING_UNREADABLE
from perijove.domain.failures import Evidence, Fail

END_OF_LOG = 256 * 1024
"""Bytes that are read of a log, its last ones."""
MOST_OF_A_FILE = 256 * 1024
"""Bytes that are read of a file of certificates."""
MOST_FILES = 200
"""Logs that are read."""
OBJECTS = {".yaml", ".yml", ".json"}
_MOMENTS = ("lastTimestamp", "firstTimestamp", "eventTime")


def recorded(folder: Path, now: float | None = None) -> Recording:
    """All of it. `now` is Unix seconds; without it the newest time that stands in the recording.

    Raises Fail: `cluster.recording-unreadable` where there is no folder, or nothing in it.
    """
    if not folder.is_dir():
        raise Fail(RECORDING_UNREADABLE("it is no folder", Evidence("--from", str(folder))))
    found: list[Thing] = []
    whole: set[str] = set()
    unseen: dict[str, str] = {}
    with _collector_resting():
        for path in sorted(folder.rglob("*")):
            if path.suffix in OBJECTS and _is_object(path.relative_to(folder)) and _stays(path, folder):
                found += _objects(path, folder, whole, unseen)
    document = _json(folder / "probes.json", unseen)
    probes = sifting.probes(document)
    if not found and not probes:
        seen = "; ".join(f"{name}: {why}" for name, why in unseen.items()) or "no object in any *.yaml or *.json"
        raise Fail(RECORDING_UNREADABLE("there is nothing in it to look at", Evidence(str(folder), seen[:500])))
    newest, which = _newest(found, moment(mapping(document).get("now")))
    return Recording(
        str(folder),
        newest if now is None else now,
        which if now is None else "--now",
        tuple(found),
        probes,
        dict(_texts(folder, "logs", END_OF_LOG)),
        None,
        {path.name: sifting.certificate(_end(path, MOST_OF_A_FILE), path.name) for path in _served(folder)},
        frozenset(whole | {one.kind for one in found}),
        unseen,
    )


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Objects by the hundred thousand, none of them garbage: looking for it takes as long as reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _is_object(name: Path) -> bool:
    """Whether a file's place says that objects stand in it."""
    first = name.parts[0]
    return not first.startswith(("probes", "front", "logs", ".")) and ".." not in name.parts


def _stays(path: Path, folder: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def _objects(path: Path, folder: Path, whole: set[str], unseen: dict[str, str]) -> list[Thing]:
    name = str(path.relative_to(folder))
    try:
        content = path.read_text(errors="replace")
        read = [json.loads(content)] if path.suffix == ".json" else list(documents(content))
        for document in read:
            kind = text(mapping(document).get("kind")).removesuffix("List")
            if "items" in mapping(document) and kind:
                whole.add(kind)
        found = list(sifting.things(read))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        unseen[name] = f"{type(error).__name__}: {error}"[:300]
        return []
    if path.stem in BY_PLURAL:
        whole.add(BY_PLURAL[path.stem])
    return found


def _json(path: Path, unseen: dict[str, str]) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes()[: 4 * MOST_OF_A_FILE])
    except (OSError, ValueError) as error:
        unseen[path.name] = f"{type(error).__name__}: {error}"[:300]
        return None


def _texts(folder: Path, name: str, most: int) -> Iterator[tuple[str, str]]:
    """Names and ends of the files below a folder."""
    inside = [path for path in sorted((folder / name).rglob("*")) if _stays(path, folder)]
    for path in inside[:MOST_FILES]:
        yield str(path.relative_to(folder)), _end(path, most).decode(errors="replace")


def _end(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        return file.read(most)


def _served(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("served-*.pem")) if _stays(path, folder)]


def _newest(found: list[Thing], recorded_at: float) -> tuple[float, str]:
    """The newest time that something in it tells, and which that is."""
    if recorded_at:
        return recorded_at, f"probes.json, now: {day(recorded_at)}"
    newest, where = 0.0, "nothing in it tells a time"
    for thing in found:
        told = [moment(thing.raw.get(key)) for key in _MOMENTS] if thing.kind == "Event" else []
        told += [thing.created, thing.deleting]
        told += [moment(one.get("lastTransitionTime")) for one in listed(thing.status, "conditions")]
        told += [moment(one.get("lastHeartbeatTime")) for one in listed(thing.status, "conditions")]
        if max(told) > newest:
            newest = max(told)
            where = f"the newest time in it, of {thing.said}: {day(newest)}"
    return newest, where
