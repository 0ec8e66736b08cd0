"""What a build's command runs in, in its pod: seen to its end, and all that it wrote packed for whoever fetches it.

Its text goes along in the pod's command, below `in_pod`, for any Python of 3.9 or newer: the standard library alone.
In: a JSON word, and the command's variables, all in one. Out, in a folder that is there: `changes.tar`, and as JSON
`ended`. A name that is gone is in the tar as an overlay has it: a character device 0/0.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    Seen = tuple[int, ...]

VARIABLES = "PERIJOVE_VARIABLES"
CHANGES, ENDED = "changes.tar", "ended"
DEEPEST = 200
"""Folders in one another."""
EVENTS = "/sys/fs/cgroup/memory.events"


class TooLarge(Exception):
    """It wrote more than may be kept."""


def main(told: dict[str, Any]) -> int:
    """Its exit status, which a signal's is 128 more than: so bubblewrap has it, too."""
    into, stacks = told["into"], [os.path.realpath(one) for one in told["overlays"]]
    before = [dict(_entries(root)) for root in stacks]
    status = _run(told["command"], json.loads(os.environ.pop(VARIABLES)))
    if os.getppid() == 1:  # a namespace of our own: nothing may write any more
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    ended: dict[str, Any] = {"status": status, "killed": _killed(), "too_large": False, "short": ""}
    try:
        for name in os.listdir(into):
            _remove(os.path.join(into, name))
        with tarfile.open(os.path.join(into, CHANGES), "w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
            packing = Packing(tar, told["size"], told["files"])
            if told["result"]:
                packing.plain(os.getcwd(), told["result"].split("/"))
            else:
                packing.tree(os.getcwd(), "home", None, (".cache",))
                for number, (root, seen) in enumerate(zip(stacks, before)):  # noqa: B905  newer than Python 3.9
                    packing.tree(root, f"layer-{number}", seen)
    except TooLarge:
        ended["too_large"] = True
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        ended["short"] = str(error)
    if ended["too_large"] or ended["short"]:
        _remove(os.path.join(into, CHANGES))
    with open(os.path.join(into, ENDED), "w") as file:
        json.dump(ended, file)
    return status


def _run(command: list[str], environ: dict[str, str]) -> int:
    try:
        status = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL).wait()
    except OSError as error:
        print(error, flush=True)  # noqa: T201
        return 127
    return status if status >= 0 else 128 - status


def _killed() -> int:
    """How many processes the kernel has ended for memory."""
    try:
        with open(EVENTS) as file:
            return int(dict(line.split() for line in file).get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _entries(root: str, left_out: Collection[str] = ()) -> Iterator[tuple[str, Seen]]:
    """What lies below a folder, and what of each says that it was changed: its inode's time alone nobody can set."""
    pending = [""]
    while pending:
        at = pending.pop()
        if at.count("/") > DEEPEST:
            raise TooLarge
        with _listed(os.path.join(root, at)) as found:
            for one in found:
                if at or one.name not in left_out:
                    path = at + "/" + one.name if at else one.name
                    facts = one.stat(follow_symlinks=False)
                    yield path, (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
                    if stat.S_ISDIR(facts.st_mode):
                        pending.append(path)


def _listed(folder: str) -> Any:
    try:
        return os.scandir(folder)
    except PermissionError:  # its owner, who we are, has closed it
        os.chmod(folder, 0o700)
        return os.scandir(folder)


class Packing:
    """Writes what there is room for, to one tar."""

    def __init__(self, tar: tarfile.TarFile, size: int, files: int) -> None:
        self.tar, self.size, self.files = tar, size, files

    def tree(self, root: str, name: str, before: dict[str, Seen] | None, left_out: Collection[str] = ()) -> None:
        """What is not as it was before; all, where nothing was."""
        there, wanted = set[str](), set[str]()
        for path, seen in _entries(root, left_out):
            there.add(path)
            if before is None or before.get(path) != seen:
                while path and path not in wanted:
                    wanted.add(path)
                    path = os.path.dirname(path)  # noqa: PLW2901
                if len(wanted) > self.files:
                    raise TooLarge
        for path in sorted(wanted):
            self.add(root, name, path)
        for path in sorted((before or {}).keys() - there):
            above = os.path.dirname(path)
            if not above or (above in there and stat.S_ISDIR(os.lstat(os.path.join(root, above)).st_mode)):
                self._write(tarfile.TarInfo(name + "/" + path), tarfile.CHRTYPE)

    def plain(self, root: str, parts: list[str]) -> None:
        """Files of a folder that have no other name, and the folders that they are in; no links, and nothing by one."""
        for part in parts:
            root = os.path.join(root, part)
            if part in ("", ".", "..") or os.path.islink(root) or not os.path.isdir(root):
                return
        for path, _ in sorted(_entries(root)):
            facts = os.lstat(os.path.join(root, path))
            if stat.S_ISDIR(facts.st_mode) or (stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1):
                self.add(root, "result", path)

    def add(self, root: str, name: str, path: str) -> None:
        at = os.path.join(root, path)
        facts, info = os.lstat(at), tarfile.TarInfo(name + "/" + path)
        info.mode, info.mtime = facts.st_mode & 0o777, facts.st_mtime
        if stat.S_ISDIR(facts.st_mode):
            self._write(info, tarfile.DIRTYPE)
        elif stat.S_ISLNK(facts.st_mode):
            info.linkname = os.readlink(at)
            self._write(info, tarfile.SYMTYPE)
        elif stat.S_ISREG(facts.st_mode):
            if not facts.st_mode & 0o400:
                os.chmod(at, 0o600)
            info.size = facts.st_size
            with open(at, "rb") as file:
                self._write(info, tarfile.REGTYPE, file)

    def _write(self, info: tarfile.TarInfo, kind: bytes, file: Any = None) -> None:
        self.size -= info.size
        self.files -= 1
        if self.size < 0 or self.files < 0:
            raise TooLarge
        info.type = kind
        self.tar.addfile(info, file)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
