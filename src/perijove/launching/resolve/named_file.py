"""Does a commit have the file that a link names, and if not, which one may be meant? In: a checkout. Out: paths.

Links outlive what they name: a notebook is moved to a folder, its capitals change, or `%20` was encoded twice.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

MOST = 50_000
"""Files and folders that are looked at."""
TOLD = 3
"""Of those that may be meant."""
MAKERS = tuple(f"{folder}{name}" for folder in ("", "binder/", ".binder/") for name in ("postBuild", "start"))
"""Scripts of a repository that may make the file before anybody opens it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A commit without the file that its link names. Paths are relative to the repository."""

    named: str
    meant: tuple[str, ...]
    """At most `TOLD` of them."""
    count: int
    """How many may be, those that were not looked at being one."""
    made: str = ""
    """A script of the repository that may make it; `` for none."""

    @property
    def only(self) -> str:
        """The one that must be meant; `` where that is not sure."""
        return self.meant[0] if self.count == 1 and not self.made else ""

    @property
    def sentence(self) -> str:
        """For whoever launches it."""
        made = f", unless {self.made} makes it" if self.made else ""
        has = f"; it has {', '.join(self.meant)}" if self.meant else ""
        more = " and others of that name" if self.count > len(self.meant) else ""
        return f"This commit has no {self.named}{made}{has}{more}{', which is opened' if self.only else ''}"


def missing(root: Path, named: str, most: int = MOST) -> Missing | None:
    """What stands in the place of a path that a checkout does not have; None where it has it.

    `most`: how many files and folders are looked at.
    """
    if _stands(root, named):
        return None
    paths = list(islice(_paths(root), most + 1))
    found = likely(named, paths)
    made = next((path for path in MAKERS if (root / path).is_file()), "")
    unseen = len(paths) > most  # and may be meant as well
    return Missing(named, tuple(found[:TOLD]), len(found) + (unseen and bool(found)), made)


def likely(named: str, paths: list[str]) -> list[str]:
    """Which of these may be meant: those that differ only in how they are written, else of this name elsewhere."""
    whole, last = _plain(named), named.rpartition("/")[2]
    same = [path for path in paths if _plain(path) == whole]
    same = same or [path for path in paths if path.rpartition("/")[2] == last]
    return sorted(same or [path for path in paths if _plain(path.rpartition("/")[2]) == _plain(last)], key=_depth)


def _plain(path: str) -> str:
    """A path without what is lost or changed on the way to a link."""
    return unicodedata.normalize("NFC", unquote(path).replace("+", " ")).casefold()


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path


def _stands(root: Path, named: str) -> bool:
    """Whether it is there; what lies behind a link out of the checkout is not looked at, and not missed."""
    try:
        real = (root / named).resolve()
        return not real.is_relative_to(root.resolve()) or real.exists()
    except (OSError, RuntimeError, ValueError):  # a name too long, a loop of links
        return False


def _paths(root: Path) -> Iterator[str]:
    """Files and folders, the hidden ones left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = "" if folder == str(root) else f"{Path(folder).relative_to(root)}/"
        for name in (*folders, *sorted(names)):
            if not name.startswith(".") and name.isprintable():
                yield inner + name
