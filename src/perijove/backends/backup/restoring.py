"""A state directory out of one file. In: a backup, a State that holds nothing yet. Out: what came out. Acts.

All is unpacked aside and looked at; one rename has it stand. Whatever ends it before that, nothing has changed.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import sqlite3
import stat
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

from perijove import durable
from perijove.backends.backup.contents import CONTROL, FORMAT, LARGEST_TEXT, MANIFEST, SETTINGS, Copied, Manifest
from perijove.domain.failures import ALREADY_UP, Evidence, Fail
from perijove.domain.service_failures import BACKUP_UNREADABLE, STATE_OCCUPIED
from perijove.domain.state import State

CHUNK = 1024**2


def restore(state: State, config: Path, file: Path, owner: tuple[int, int], *, replace: bool) -> Copied:
    """Put a backup in place, `owner`'s; with `replace` what stands there is moved aside, else it is refused.

    Raises Fail: `platform.already-up`, `platform.state-occupied`, `platform.backup-unreadable`, `platform.disk-full`,
    `platform.state-unusable`.
    """
    with durable.told(state.root), _alone(state):
        _refuse_occupied(state, replace=replace)
        state.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        aside = state.root / ".restoring"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        try:
            copied, settings = _unpacked(file, aside)
            _look_at(aside / CONTROL, file)
            _give(aside / CONTROL, owner)
            _put_in_place(aside / CONTROL, state)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return Copied(copied.manifest, copied.files, copied.size, _settings_restored(settings, config))


@contextmanager
def _alone(state: State) -> Iterator[None]:
    """No service runs on it meanwhile. A lock that is not there is not made: it would be ours and not the service's."""
    path = state.run / "up.lock"
    if not path.exists():
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        raise Fail(ALREADY_UP(f"process {holder} holds {state.root}", Evidence(str(path), holder))) from None
    else:
        yield
    finally:
        os.close(descriptor)


def _refuse_occupied(state: State, *, replace: bool) -> None:
    if state.control.is_dir() and not replace and (there := sorted(path.name for path in state.control.iterdir())):
        raise Fail(STATE_OCCUPIED("it is not empty", Evidence(str(state.control), ", ".join(there)[:300])))


def _unpacked(file: Path, into: Path) -> tuple[Copied, bytes]:
    """What came out, and the settings file's bytes. Raises Fail, OSError."""
    files, size, settings, manifest = 0, 0, b"", None
    try:
        with gzip.open(file) as source, tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                if manifest is None:
                    manifest = _manifest(_text(archive, member) if member.name == MANIFEST else b"", file)
                elif member.name == SETTINGS:
                    settings = _text(archive, member)
                else:
                    _unpack(archive, member, into)
                    files, size = files + member.isreg(), size + member.size
            while source.read(CHUNK):  # to where gzip says that all of it came as it was written
                continue
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, FileExistsError) as error:
        raise _unreadable(file, str(error) or type(error).__name__) from error
    if manifest is None:
        raise _unreadable(file, "it is empty")
    return Copied(manifest, files, size, ""), settings


def _manifest(text: bytes, file: Path) -> Manifest:
    try:
        told = json.loads(text)
        manifest = Manifest(
            int(told["format"]), str(told["version"]), float(told["at"]), str(told["machine"]), str(told["root"])
        )
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _unreadable(file, "it does not begin as a backup of Perijove") from error
    if manifest.format > FORMAT:
        raise _unreadable(file, f"Perijove {manifest.version} wrote it, which is newer: format {manifest.format}")
    return manifest


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    if content is None or member.size > LARGEST_TEXT:
        raise ValueError(f"{member.name[:100]} is no text")
    return content.read()


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """One file, folder or link, where no other stands; nothing leads out of the folder. Raises ValueError."""
    name = PurePosixPath(member.name)
    if name.parts[:1] != (CONTROL,) or ".." in name.parts or not _is_real(into, name):
        raise ValueError(f"{member.name[:100]} has no place in a state directory")
    path, mode = into / name, stat.S_IMODE(member.mode) & 0o755
    if member.isdir():
        path.mkdir(mode=0o700)
    elif member.issym() and "/" not in member.linkname and member.linkname not in ("", "..", "."):
        path.symlink_to(member.linkname)
    elif member.isreg():
        content = archive.extractfile(member)
        assert content is not None
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as to:
            shutil.copyfileobj(content, to, CHUNK)
            to.flush()
            os.fsync(to.fileno())
    else:
        raise ValueError(f"{member.name[:100]} is no file")


def _is_real(into: Path, name: PurePosixPath) -> bool:
    """Whether it lies in folders that were unpacked before."""
    above = [into / one for one in name.parents]
    return all(path.is_dir() and not path.is_symlink() for path in above)


def _look_at(control: Path, file: Path) -> None:
    """What a service would not start with. Raises Fail: `platform.backup-unreadable`."""
    database, secret = control / "perijove.db", control / "secret"
    if not control.is_dir():
        raise _unreadable(file, "it holds no state directory")
    if secret.exists() and secret.stat().st_size != 32:
        raise _unreadable(file, "its secret is none")
    if database.exists():
        try:
            with closing(sqlite3.connect(database)) as db:
                said = db.execute("pragma quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            raise _unreadable(file, f"its journal: {said}")


def _give(control: Path, owner: tuple[int, int]) -> None:
    """Have all of it be the service's user's, and on the disk."""
    for folder, folders, names in os.walk(control):
        os.chown(folder, *owner)
        for name in (*folders, *names):
            os.chown(Path(folder) / name, *owner, follow_symlinks=False)
        durable.sync(Path(folder))
    control.chmod(0o700)


def _put_in_place(control: Path, state: State) -> None:
    """From one moment to the next."""
    if state.control.is_dir():
        if any(state.control.iterdir()):
            state.control.rename(state.root / time.strftime("control.%Y%m%dT%H%M%S"))
        else:
            state.control.rmdir()
    control.rename(state.control)
    durable.sync(state.root)


def _settings_restored(settings: bytes, config: Path) -> str:
    """Where they were written: in the usual place, or beside other ones; `` where they stand already or are none."""
    if not settings or (config.is_file() and config.read_bytes() == settings):
        return ""
    to = config if not config.exists() else config.with_name(f"{config.name}.restored")
    to.parent.mkdir(parents=True, exist_ok=True)
    durable.write(to, settings)
    if to == config:
        to.chmod(0o644)  # the service's user reads it
    return str(to)


def _unreadable(file: Path, why: str) -> Fail:
    return Fail(BACKUP_UNREADABLE(why, Evidence(str(file), why)))
