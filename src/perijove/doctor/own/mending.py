"""What `--fix` would change, of what was found. In: facts. Out: steps in words that one can do by hand too. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perijove.doctor.engine import Examination
from perijove.domain.failures import DATA_PLANE_DOWN, DISK_FULL
from perijove.domain.ground import Own


@dataclass(frozen=True, slots=True)
class Close:
    """Take the right to use a file of secrets from everybody but its owner."""

    path: Path
    mode: int

    @property
    def words(self) -> str:
        return f"chmod {self.mode:o} {shlex.quote(str(self.path))}"


@dataclass(frozen=True, slots=True)
class Clean:
    """Remove environments that no session uses."""

    words: str = "perijove clean"


@dataclass(frozen=True, slots=True)
class Remove:
    """Take away what stands among the environments and is none."""

    path: Path

    @property
    def words(self) -> str:
        return f"rm -r {shlex.quote(str(self.path))}"


@dataclass(frozen=True, slots=True)
class EndCaddy:
    """End a Caddy that does not answer: the service starts another. Sessions stay."""

    pid: int

    @property
    def words(self) -> str:
        return f"kill -9 {self.pid}   # Caddy, which the service starts again"


Step = Close | Remove | Clean | EndCaddy


def plan(own: Own, examination: Examination) -> tuple[Step, ...]:
    """In the order in which they are done. What is not among them has a remedy, and it takes a person."""
    return tuple(_steps(own, {finding.code for finding in examination.findings}))


def _steps(own: Own, codes: set[str]) -> Iterator[Step]:
    for path, mode in own.ground.too_open:
        yield Close(path, mode & 0o700)
    for one in own.ground.garbage:
        yield Remove(Path(one.where))
    runs = own.service.admin is None
    if DISK_FULL.code in codes and runs and own.ground.state is None:
        yield Clean()
    if DATA_PLANE_DOWN.code in codes and runs and own.service.caddy:
        yield EndCaddy(own.service.caddy)
