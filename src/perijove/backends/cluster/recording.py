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
from perijove.backends.cluster.writing import LOOKED, sifted
from perijove.backends.cluster.yaml_text import Unusual, documents, members
from perijove.domain.cluster import JSON, Recording, Thing, day, items, listed, mapping, moment, text
from perijove.domain.cluster_failures import RECORDING_UNREADABLE
from perijove.domain.failures import Evidence, Fail

END_OF_LOG = 256 * 1024
"""Bytes that are read of a log, its last ones."""
MOST_OF_A_FILE = 256 * 1024
"""Bytes that are read of a file of certificates."""
MOST_FILES = 200
"""Logs that are read."""
OBJECTS = {".yaml", ".yml", ".json"}
LEFT_OF_JSON = frozenset((
    "terminationMessagePath", "terminationMessagePolicy", "imageID", "containerID", "volumeMounts", "projected",
    "lastProbeTime", "podIPs", "hostIPs", "dnsPolicy", "enableServiceLinks", "preemptionPolicy",
))  # fmt: skip
LEFT = LEFT_OF_JSON | {"managedFields"}
"""Keys that no rule reads, and of which there are many."""
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
    looked = mapping(_json(folder / LOOKED, unseen))
    found = _looked(looked, found, whole, unseen)
    probes = sifting.probes(document)
    left = len(list(listed(document, "probes"))) - len(probes)
    if left:
        unseen["probes.json"] = f"{left} probes are of kinds that are not known here"
    if not found and not probes:
        seen = "; ".join(f"{name}: {why}" for name, why in unseen.items()) or "no object in any *.yaml or *.json"
        raise Fail(RECORDING_UNREADABLE("there is nothing in it to look at", Evidence(str(folder), seen[:500])))
    newest, which = _newest(found, moment(mapping(document).get("now")) or moment(looked.get("now")))
    return Recording(
        str(folder),
        newest if now is None else now,
        which if now is None else "--now",
        tuple(found),
        probes,
        dict(_texts(folder, "logs", END_OF_LOG)),
        None,
        {path.name: sifting.certificate(_end(path, MOST_OF_A_FILE), path.name) for path in _served(folder)},
        frozenset(whole),
        unseen,
    )


def _looked(looked: JSON, found: list[Thing], whole: set[str], unseen: dict[str, str]) -> list[Thing]:
    """What `perijove record` wrote beside the objects: what it could see, and what is no secret of Secrets."""
    whole.update(text(one) for one in items(looked.get("whole")))
    unseen.update({str(what): text(why)[:300] for what, why in mapping(looked.get("unseen")).items()})
    try:
        return sifted(found, looked)
    except (TypeError, ValueError, KeyError) as error:
        unseen[LOOKED] = f"{type(error).__name__}: {error}"[:300]
        return found


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
    return not first.startswith(("probes", "front", "logs", ".")) and first != LOOKED and ".." not in name.parts


def _stays(path: Path, folder: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def _objects(path: Path, folder: Path, whole: set[str], unseen: dict[str, str]) -> list[Thing]:
    name = str(path.relative_to(folder))
    try:
        content = path.read_text(errors="replace")
        found = _members(content)
        if found:
            whole.update(one.kind for one in found)
        else:
            read = [json.loads(content, object_hook=_left)] if path.suffix == ".json" else list(documents(content))
            for document in read:
                kind = text(mapping(document).get("kind")).removesuffix("List")
                if "items" in mapping(document) and kind:
                    whole.add(kind)
            found = list(sifting.things(read))
            if len(found) > 1 or any("items" in mapping(document) for document in read):
                whole.update(one.kind for one in found)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        unseen[name] = f"{type(error).__name__}: {error}"[:300]
        return []
    if path.stem in BY_PLURAL:
        whole.add(BY_PLURAL[path.stem])
    elif not found:
        unseen[name] = "no object of Kubernetes stands in it"
    return found


def _members(content: str) -> list[Thing]:
    """Objects of a list as kubectl writes it, one by one; none where it is another text, which is read whole."""
    # Of Secrets it counts when which field was written.
    leave = LEFT if "kind: Secret\n" not in content else LEFT - {"managedFields"}
    try:
        return [one for member in members(content, leave) for one in sifting.things([member])]
    except (Unusual, IndexError, yaml.YAMLError):
        return []


def _left(made: dict[str, Any]) -> dict[str, Any]:
    """The same of JSON, as each object is read."""
    for name in LEFT_OF_JSON & made.keys():
        del made[name]
    return made


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
        return recorded_at, f"its own note of it: {day(recorded_at)}"
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
