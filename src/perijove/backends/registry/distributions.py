"""Which files of an environment make a layer, so that environments that are alike share most of theirs.

In: what lies in a virtual environment, and what its distributions say they brought (RECORD, of the Python packaging
specifications). Out: layers, each large distribution one of its own. What RECORD says only decides who shares what:
every file lies in just one layer, wherever it claims to belong.
"""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import source_from_cache
from pathlib import Path, PurePosixPath

from perijove.backends.registry.packing import Entry, Layer

LARGE = 256 << 10
"""Bytes from which a distribution is a layer of its own."""
LONGEST = 16 << 20
"""Bytes of a RECORD that is read."""
INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
"""What whoever installs writes beside a distribution's own files: it says who asked for it, and where."""


def layers(
    source: Path,
    target: PurePosixPath,
    entries: Mapping[str, Entry],
    owner: tuple[int, int],
    links: Mapping[str, str],
    most: int,
) -> list[Layer]:
    """`most` of an environment: the largest distributions first, what is left over last, with further `links`."""
    owned = _owned(source, entries)
    sizes = {name: sum(entries[path].size for path in paths) for name, paths in owned.items()}
    ordered = sorted((name for name in owned if sizes[name] >= LARGE), key=lambda name: (-sizes[name], name))
    made, taken = [], set[str]()
    for name in ordered[: most - 1]:
        paths = owned[name]
        within = {path: entries[path] for path in (*_folders(paths), *paths)}
        made.append(Layer(name, source, target, within, owner))
        taken.update(paths)
    empty = {path for path, entry in entries.items() if entry.is_folder} - _folders(taken)
    left = {path for path, entry in entries.items() if not entry.is_folder and path not in taken} | empty
    rest = {path: entries[path] for path in (*_folders(left), *left)}
    return [*made, Layer("environment", source, target, rest, owner, links)]


def _owned(source: Path, entries: Mapping[str, Entry]) -> dict[str, set[str]]:
    """Each distribution's files; the first that names a file has it."""
    owner: dict[str, str] = {}
    for record in sorted(path for path in entries if path.endswith(".dist-info/RECORD")):
        folder = posixpath.dirname(record)
        site, name = posixpath.split(folder.removesuffix(".dist-info"))
        for listed in _listed(source / record, entries[record]):
            path = posixpath.normpath(posixpath.join(site, listed))
            own = path.startswith(f"{site}/") and posixpath.basename(path) not in INSTALLERS
            if own and path in entries and not entries[path].is_folder:
                owner.setdefault(path, name)
    for path in entries:
        if path.endswith(".pyc") and (source_of := _source(path)) in owner:
            owner[path] = owner[source_of]
    owned: dict[str, set[str]] = {}
    for path, name in owner.items():
        owned.setdefault(name, set()).add(path)
    return owned


def _listed(record: Path, entry: Entry) -> Iterator[str]:
    """Paths; what is no list is none."""
    if not entry.is_file or entry.size > LONGEST:
        return
    try:
        for line in csv.reader(io.StringIO(record.read_text(encoding="utf-8", errors="surrogateescape"), newline="")):
            if line and "\0" not in line[0]:
                yield line[0]
    except (csv.Error, OSError):
        return


def _source(path: str) -> str:
    try:
        return source_from_cache(path)
    except ValueError:
        return ""


def _folders(paths: Iterable[str]) -> set[str]:
    """All that lie above these, the topmost too."""
    found: set[str] = set()
    for path in paths:
        above = posixpath.dirname(path)
        while above not in found:
            found.add(above)
            above = posixpath.dirname(above)
    return found
