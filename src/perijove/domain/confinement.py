"""How our own code reads what strangers wrote: in a process that may die, within these bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from perijove.domain.failures import HUNG, KILLED, Evidence, Failure, Kind

MIB = 1024**2


class Identity(StrEnum):
    """Who such a process is where the service is root: each has a uid of its own, so that none meets another's."""

    READER = "reader"
    """Parses texts; owns nothing."""
    FETCHER = "fetcher"
    """Brings repositories; owns the folder that it fills."""
    INSTALLER = "installer"
    """Makes environments; owns uv's cache and what stands there."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one call may use. `memory`, `cpu` and `file_size` hold for each process that it starts as well."""

    identity: Identity
    seconds: float
    """From the call to its answer."""
    cpu: int
    """Seconds of processor time (RLIMIT_CPU)."""
    memory: int
    """Bytes of private memory (RLIMIT_DATA; setrlimit(2))."""
    file_size: int
    """Bytes of one file that it writes (RLIMIT_FSIZE)."""
    output: int = 16 * MIB
    """Bytes of its answer."""
    writes: tuple[Path, ...] | None = None
    """The only folders that it may change, where the kernel has Landlock (5.13); None: whatever its uid may."""
    reads: tuple[Path, ...] | None = None
    """The only folders that it may read beside those, Python and the system's; None: whatever its uid may."""


READING = Bounds(Identity.READER, seconds=20, cpu=5, memory=512 * MIB, file_size=0)
"""For parsers."""


class Limit(StrEnum):
    """Which bound was met."""

    TIME = "time"
    MEMORY = "memory"
    SIZE = "size"
    """of a file"""
    DEPTH = "depth"
    """of nesting"""
    OUTPUT = "output"
    CRASH = "crash"
    """None: it died of what it read (SIGSEGV and the like)."""
    KILLED = "killed"
    """None: somebody else ended it, as a machine does that runs out of memory."""
    HUNG = "hung"
    """None: the process that was to do it said nothing, and we ended it."""


class Beyond(Exception):
    """A call met a bound, or died. `limit` says which; the text says it in words that may follow `it needs`."""

    def __init__(self, limit: Limit, words: str) -> None:
        super().__init__(words)
        self.limit = limit

    def told(self, kind: Kind, what: str) -> Failure:
        """A failure of `what` was read: of this kind, unless what it read had no part in it."""
        if self.limit is Limit.HUNG:
            return HUNG(f"a process that was to read {what} said nothing", Evidence(what, str(self)))
        if self.limit is Limit.KILLED:
            return KILLED(f"a process that read {what} was ended by somebody else", Evidence(what, str(self)))
        return kind(f"{what} needs {self}", Evidence(what, f"limit of {self.limit}"))
