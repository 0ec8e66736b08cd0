"""What the doctor says: a failure that a check saw, how sure it is, and which other finding explains it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perijove.domain.failures import Failure


class Confidence(StrEnum):
    """How far the evidence goes."""

    POSSIBLE = "possible"
    """it fits, and other causes fit as well"""
    LIKELY = "likely"
    """probes agree with it, and nothing seen speaks against it"""
    CERTAIN = "certain"
    """the evidence says so itself"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or will be."""

    failure: Failure
    subject: str
    """What it is about, as its operators name it: `Certificate binderhub/tls`, `front/nginx.conf:12`."""
    confidence: Confidence
    because: str = ""
    """The code of the finding that explains this one; a root cause has none."""
    commands: tuple[str, ...] = ()
    """The remedy as text to paste: shell commands, lines of a configuration, a unified diff."""
    foreseen: bool = False
    """Whether nothing is broken yet."""
    surer_with: str = ""
    """What to show the doctor so that it can say more."""

    @property
    def code(self) -> str:
        return self.failure.kind.code
