"""What the doctor says: a failure that a check saw, how sure it is, and which other finding explains it. Pure."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from enum import StrEnum

from perijove.domain.failures import Failure

_BUILT_IN = {"", "apps", "networking.k8s.io", "storage.k8s.io"}
"""Groups whose kinds kubectl knows without them."""
_SILENCE = re.compile(r"no answer|answer in time|time(?:d )?out", re.IGNORECASE)


class Confidence(StrEnum):
    """How far the evidence goes."""

    POSSIBLE = "possible"
    """it fits, and other causes fit as well"""
    LIKELY = "likely"
    """probes agree with it, and nothing seen speaks against it"""
    CERTAIN = "certain"
    """the evidence says so itself"""


def sureness(failure: Failure) -> Confidence:
    """Of what was seen in a moment: silence may be a busy machine's, or a lost packet's; all else says so itself."""
    told = (failure.cause, *(one.saw for one in failure.evidence))
    return Confidence.LIKELY if any(map(_SILENCE.search, told)) else Confidence.CERTAIN


@dataclass(frozen=True, slots=True)
class Change:
    """One object of a cluster, changed by a JSON merge patch (RFC 7396)."""

    group: str
    """`` for the core group."""
    kind: str
    namespace: str
    """`` for what has none."""
    name: str
    patch: str

    @property
    def command(self) -> str:
        """The same by hand."""
        where = ("-n", self.namespace) if self.namespace else ()
        resource = (self.kind if self.group in _BUILT_IN else f"{self.kind}.{self.group}").lower()
        metadata = json.loads(self.patch).get("metadata", {})
        if metadata.keys() == {"annotations"}:
            notes = (f"{key}-" if value is None else f"{key}={value}" for key, value in metadata["annotations"].items())
            return shlex.join(("kubectl", *where, "annotate", resource, self.name, *notes))
        return shlex.join(("kubectl", *where, "patch", resource, self.name, "--type", "merge", "-p", self.patch))


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
    changes: tuple[Change, ...] = ()
    """What of the remedy a program may do, asked for by name: it stands in `commands` too."""
    objects: tuple[str, ...] = ()
    """All that it is about, named as in `subject`; none where that is all."""
    since: float = 0
    """Since when it is so, or was first seen to be, in Unix seconds; 0 where nothing tells."""
    because_of: str = ""
    """The subject of the finding that explains this one, where several may have its code."""
    follows: Confidence = Confidence.CERTAIN
    """How surely it is that one that explains it."""

    @property
    def code(self) -> str:
        return self.failure.kind.code
