"""What is kept of a session's home once it has ended, and how it is given back to the next one. Pure.

Names are as Python reads a disk's: bytes that are no UTF-8 stand in them as surrogates.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from perijove.domain.nouns import SessionName

Parts = tuple[str, ...]
"""A path below the home, name by name."""

OF_PROGRAMS = (
    *(".bash_history", ".cache", ".conda", ".config", ".ipython", ".jupyter", ".lesshst", ".local", ".npm"),
    *(".python_history", ".viminfo", ".wget-hsts"),
)
"""What programs keep for themselves at the top of a home."""
CACHES = ("__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules")
"""What programs make anew, wherever it lies."""
LEAST = 1024**2
"""Bytes that each session's work counts as, lest there be too many."""


class LeftOut(StrEnum):
    """Why something that changed is not kept, in words."""

    CACHE = "caches and programs' own files"
    LINK = "links"
    SPECIAL = "devices, pipes and sockets"
    CLOSED = "files and folders that are closed to reading"
    DEEP = "folders too deep in one another"
    LARGE = "files beyond session.keep_size"
    MANY = "files beyond session.keep_files"


@dataclass(frozen=True, slots=True)
class KeepTerms:
    """For whom, and within which bounds, a session's changes are kept."""

    visitor: str
    """The public half of their key, which seals."""
    repository: str
    """Its canonical name."""
    commit: str
    size: int
    """Bytes of all files."""
    files: int
    given_back: SessionName = ""
    """Whose work it was given back: what is kept of both stands in the newer one."""


@dataclass(frozen=True, slots=True)
class KeptWork:
    """What is kept of one session; all of it but the files themselves."""

    session: SessionName
    visitor: str
    repository: str
    commit: str
    at: float
    """Unix seconds."""
    size: int
    """Bytes of all files, as they lay in the home."""
    files: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many of what, by the words of `LeftOut`."""
    given_back: SessionName = ""
    """As in `KeepTerms`."""

    @property
    def whole(self) -> bool:
        """Whether nothing was left out for a bound."""
        return not {LeftOut.LARGE, LeftOut.MANY, LeftOut.CLOSED, LeftOut.DEEP} & self.left_out.keys()


@dataclass(frozen=True, slots=True)
class Change:
    """A file that was not given so."""

    path: Parts
    size: int
    """Bytes."""
    was: str = ""
    """SHA-256 of the file that was given in its place, hex; `` where there was none."""


def is_nobodys(path: Parts) -> bool:
    """Whether it belongs to programs, which make it anew."""
    return path[0] in OF_PROGRAMS or path[-1] in CACHES


def chosen(changes: Sequence[Change], size: int, files: int) -> tuple[Sequence[Change], Mapping[str, int]]:
    """What fits within the bounds, the smallest first, and how many do not: so one large file costs no notebook."""
    taken, left_out = list[Change](), dict[str, int]()
    for change in sorted(changes, key=lambda one: (one.size, one.path)):
        size -= change.size
        if len(taken) < files and size >= 0:
            taken.append(change)
        else:
            why = LeftOut.LARGE if size < 0 else LeftOut.MANY
            left_out[why] = left_out.get(why, 0) + 1
    return sorted(taken, key=lambda one: one.path), left_out


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What became of kept files in a new session's home."""

    files: int = 0
    """Those that are there now, also where they were already."""
    beside: tuple[str, ...] = ()
    """Those that lie beside the repository's own, by their paths as people read them, of many the first."""
    no_room: int = 0
    """Those for which the home had no room."""
    refused: int = 0
    """Those whose place in the home is closed, or is no folder."""


def shown(path: Parts) -> str:
    """A path as people read it, whatever it holds."""
    text = "/".join(path).encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def archive_name(path: Parts) -> Parts:
    """A path that every system can unpack below a folder: no name in it is empty, `.` or `..`, or has a separator."""
    return tuple(_plain(part) for part in path)


def _plain(part: str) -> str:
    text = "".join(letter if letter.isprintable() and letter not in '/\\:*?"<>|' else "_" for letter in part)
    return "_" * len(text) if not text.strip(". ") else text.rstrip(". ") or "_"


def to_remove(works: Sequence[KeptWork], now: float, keep: float, most: int, most_of_one: int) -> Sequence[KeptWork]:
    """What is kept for too long, or too much, sizes in bytes and `keep` in seconds; each counts at least `LEAST`.

    Of one visitor the oldest goes first. Of all, that of whoever has most: nobody's large files cost others theirs.
    """
    gone = [work for work in works if now - work.at >= keep]
    of = dict[str, list[KeptWork]]()
    for work in sorted((work for work in works if now - work.at < keep), key=lambda work: work.at, reverse=True):
        of.setdefault(work.visitor, []).append(work)
    held = {visitor: sum(map(_counted, theirs)) for visitor, theirs in of.items()}
    for visitor, theirs in of.items():
        while held[visitor] > most_of_one:
            gone.append(theirs.pop())
            held[visitor] -= _counted(gone[-1])
    total, order = sum(held.values()), [(-size, visitor) for visitor, size in held.items()]
    heapq.heapify(order)
    while total > most:
        visitor = heapq.heappop(order)[1]
        gone.append(of[visitor].pop())
        held[visitor] -= _counted(gone[-1])
        total -= _counted(gone[-1])
        heapq.heappush(order, (-held[visitor], visitor))
    return gone


def _counted(work: KeptWork) -> int:
    return max(work.size, LEAST)
