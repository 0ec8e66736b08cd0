"""A state directory into one file, while the service runs or not. In: a State. Out: a gzipped tar, 0600. Acts."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import stat
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from perijove import durable
from perijove.backends.backup.contents import CONTROL, FORMAT, LARGEST_TEXT, MANIFEST, SETTINGS, Copied, Manifest
from perijove.domain.failures import STATE_UNUSABLE, Evidence, Fail
from perijove.domain.state import State

LEFT_OUT = {".cache", "caddy", "free-disk"}
"""In `control`: made again."""


def write(state: State, config: Path, file: Path) -> Copied:
    """Write a backup, aside and renamed. Raises Fail: `platform.state-unusable`, `platform.disk-full`."""
    manifest = Manifest(FORMAT, version("perijove"), time.time(), os.uname().nodename, str(state.root))
    with durable.told(file), tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as folder:
        aside = Path(folder) / "backup"
        links = _links(state.control)
        journal = _journal(state, Path(folder))
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as archive:
                _add_text(archive, MANIFEST, json.dumps(asdict(manifest)).encode())
                settings = config.is_file() and config.stat().st_size <= LARGEST_TEXT
                if settings:
                    _add_text(archive, SETTINGS, config.read_bytes())
                files, size = _add_all(archive, state, journal, links)
            raw.flush()
            os.fsync(raw.fileno())
        aside.rename(file)
        durable.sync(file.parent)
    return Copied(manifest, files, size, str(config) if settings else "")


def _journal(state: State, folder: Path) -> dict[Path, Path]:
    """The journal as it is at one moment, whoever writes it meanwhile: where to read it instead."""
    if not state.database.exists():
        return {}
    copied = folder / "journal"
    os.close(os.open(copied, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"{state.database.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copied)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as error:
        raise Fail(STATE_UNUSABLE("the journal cannot be copied", Evidence(str(state.database), str(error)))) from error
    return {state.database: copied}


def _links(control: Path) -> dict[Path, str]:
    """Looked at first: what they lead to, such as the revision of a certificate that is served, is there then."""
    return {path: str(path.readlink()) for path in _below(control) if path.is_symlink()}


def _below(folder: Path) -> Iterator[Path]:
    """All that is to be kept; what is only half-written is none of it."""
    for path in sorted(folder.iterdir()):
        half = path.name.startswith(".") and path.name.endswith(".aside")
        if half or (path.name in LEFT_OUT and folder.name == CONTROL):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            try:
                yield from _below(path)
            except FileNotFoundError:  # it went meanwhile, and was no longer wanted
                continue


def _add_all(
    archive: tarfile.TarFile, state: State, journal: dict[Path, Path], links: dict[Path, str]
) -> tuple[int, int]:
    """How many files, and their bytes."""
    files = size = 0
    of_database = {state.database.with_name(state.database.name + end) for end in ("", "-wal", "-shm", "-journal")}
    _add(archive, CONTROL, state.control, None)
    for path, copied in journal.items():
        files, size = files + 1, size + (_add(archive, _name(state, path), copied, None) or 0)
    with durable.as_owner(state.control):  # a link that its user puts in a file's place shows nothing of root's
        for path in _below(state.control):
            if path in of_database:
                continue
            try:
                added = _add(archive, _name(state, path), path, links.get(path))
            except FileNotFoundError:  # as above
                continue
            if added is not None:
                files, size = files + 1, size + added
    return files, size


def _name(state: State, path: Path) -> str:
    return f"{CONTROL}/{path.relative_to(state.control)}"


def _add(archive: tarfile.TarFile, name: str, path: Path, link: str | None) -> int | None:
    """Bytes of a file that was added; None for what is none."""
    found = path.lstat()
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    if stat.S_ISREG(found.st_mode):
        with path.open("rb") as content:
            member.size = os.fstat(content.fileno()).st_size
            archive.addfile(member, content)
        return member.size
    if stat.S_ISDIR(found.st_mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif stat.S_ISLNK(found.st_mode) and link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member)
    return None


def _add_text(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
    archive.addfile(member, io.BytesIO(content))
