"""A local folder as a repository: its content's hash as the commit, and a copy of it. Not pure.

In a git working tree: the files that git tracks or would add, as they stand; else every file. Git's own folder is
never copied: its configuration may hold the operator's secrets.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from perijove.backends.git.program import Call, git
from perijove.backends.git.size import Allowance, checked_path, entries
from perijove.domain.failures import FETCH_FAILED, REPO_NOT_FOUND, Evidence, Fail, Failure

DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_DEEPEST = 20


async def digest(source: Path, allowance: Allowance) -> str:
    """The hash of a folder's files: paths, whether executable, links' targets, bytes.

    Raises Fail: `resolve.repo-not-found`, `resolve.too-large`, `resolve.bad-tree`, `resolve.fetch-failed`.
    """
    names = await _names(source)
    return await asyncio.to_thread(_walked, source, names, None, allowance)


async def copied(source: Path, target: Path, allowance: Allowance) -> str:
    """Copy a folder's files to `target`, which must not exist; the hash of what was copied. Raises as digest()."""
    names = await _names(source)
    await asyncio.to_thread(target.mkdir, mode=0o755)
    return await asyncio.to_thread(_walked, source, names, target, allowance)


def changed(folder: str) -> Failure:
    """A snapshot that was taken is not there any more."""
    return FETCH_FAILED("the folder's snapshot is gone", Evidence(folder, "no snapshot"), remedy="Launch it again.")


async def _names(source: Path) -> list[str]:
    if not source.is_dir():
        saw = "not a folder" if source.exists() else "nothing there"
        raise Fail(REPO_NOT_FOUND("there is no such folder", Evidence(str(source), saw), remedy="Check the path."))
    listed = await _listed(source, 0)
    return sorted(set(listed)) if listed else sorted(_every(source))


async def _listed(source: Path, depth: int) -> list[str]:
    """What git tracks or would add below a folder, its submodules' files included; nothing outside a working tree."""
    call = Call(("safe.directory=*",), {"GIT_CEILING_DIRECTORIES": ""}, protocols="none")
    ran = await git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=source, call=call)
    names: list[str] = []
    for raw in ran.out.split(b"\0") if ran.status == 0 else ():
        name = os.fsdecode(raw).rstrip("/")
        path = source / name
        if not name:
            continue
        if path.is_dir() and not path.is_symlink():
            inner = await _listed(path, depth + 1) if depth < _DEEPEST else []
            names += [f"{name}/{inside}" for inside in inner]
        else:
            names.append(name)
    return names


def _every(source: Path) -> Iterator[str]:
    try:
        for entry in entries(source, leave_out=".git"):
            if not entry.is_dir(follow_symlinks=False):
                yield os.path.relpath(entry.path, source)
    except PermissionError as error:
        raise _unreadable("a folder of it cannot be read", error) from error


def _walked(source: Path, names: list[str], target: Path | None, allowance: Allowance) -> str:
    """Hash files in order, copying them where there is a target; files that are gone are passed over."""
    digest = hashlib.sha256()
    for name in names:
        path = source / name
        checked_path(os.fsencode(name))
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                kind, content = b"l", os.fsencode(os.readlink(path))
                if target:
                    _parent(target, name).symlink_to(os.fsdecode(content))
                inner = hashlib.sha256(content).digest()
            elif stat.S_ISREG(mode):
                kind = b"x" if mode & stat.S_IXUSR else b"f"
                allowance.take(path.stat().st_size, 1, f"{source}, so far")
                inner = _file(path, _parent(target, name) if target else None, kind == b"x")
            else:
                continue
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            raise _unreadable("a file of it cannot be read", error) from error
        digest.update(b"%s %d %s\0%s" % (kind, len(os.fsencode(name)), os.fsencode(name), inner))
    return digest.hexdigest()


def _unreadable(cause: str, error: PermissionError) -> Fail:
    return Fail(FETCH_FAILED(cause, Evidence(str(error.filename), str(error)), remedy="Make it readable."))


def _parent(target: Path, name: str) -> Path:
    copy = target / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    return copy


def _file(path: Path, copy: Path | None, executable: bool) -> bytes:
    with path.open("rb") as file:
        if copy is None:
            return hashlib.file_digest(file, "sha256").digest()
        with copy.open("xb") as out:
            shutil.copyfileobj(file, out, 1 << 20)
    copy.chmod(0o755 if executable else 0o644)
    with copy.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
