"""What would a commit put into its working tree? Counted from git's lists before anything is written. Not pure."""

from __future__ import annotations

import os
from pathlib import Path

from perijove.backends.git.program import Call, git
from perijove.backends.git.size import Allowance, checked_path, too_long
from perijove.backends.git.words import meant
from perijove.domain import sizes
from perijove.domain.failures import BAD_TREE, Evidence, Fail
from perijove.launching.resolve.giturl import shown

_LONGEST_TARGET = 4095
"""Bytes of a link's target: Linux's PATH_MAX without the NUL."""
_LONGEST_ENTRY = 8192
_LINK = b"120000"


async def counted(tree: Path, commit: str, below: str, allowance: Allowance) -> None:
    """Take what a commit's files will need from the allowance; git is stopped as soon as it is used up.

    `below` is where `tree` lies in the whole checkout: `` or a submodule's path with a slash.
    Raises Fail: `resolve.too-large`, `resolve.bad-tree`.
    """
    entries = _Entries(below, allowance)
    # Trees of trees that share all their objects name more files than any machine holds: nothing is collected here.
    listing = ("ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit)
    ran = await git(*listing, cwd=tree, call=Call(protocols="none"), take=entries.read)
    if ran.status != 0:
        raise Fail(meant(ran.said, "its list of files cannot be read", BAD_TREE))


class _Entries:
    """Reads the output of `git ls-tree -rtlz`, piece by piece: `MODE TYPE OBJECT SIZE<TAB>PATH<NUL>`."""

    def __init__(self, below: str, allowance: Allowance) -> None:
        self._below = os.fsencode(below)
        self._allowance = allowance
        self._seen: set[int] = set()
        self._rest = b""

    def read(self, piece: bytes) -> None:
        """Count the entries that are whole by now."""
        *whole, self._rest = (self._rest + piece).split(b"\0")
        for entry in whole:
            self._count(entry)
        if len(self._rest) > _LONGEST_ENTRY:
            raise Fail(too_long(os.fsdecode(self._rest)))

    def _count(self, entry: bytes) -> None:
        head, _, path = entry.partition(b"\t")
        mode, _, _, size = head.split()
        checked_path(self._below + path)
        count = int(size) if size.isdigit() else 0
        if mode == _LINK and count > _LONGEST_TARGET:
            raise _bad("the target of a link is too long", path, sizes.size(count))
        # Hashes, by a secret of this process, take as little memory for a long path as for a short one.
        key = hash(path)
        if key in self._seen:
            raise _bad("a path is there twice", path, "two entries")
        self._seen.add(key)
        self._allowance.take(count, 1, "files of the commit")


def _bad(cause: str, path: bytes, saw: str) -> Fail:
    return Fail(BAD_TREE(cause, Evidence(shown(os.fsdecode(path)), saw)))
