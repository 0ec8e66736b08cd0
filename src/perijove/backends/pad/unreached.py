"""What the egress proxy tells the pad of hosts that a sandbox did not reach: one message each. Pure.

The proxy reads strangers' bytes and may be theirs: what it says is bounded here, and nothing but shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from perijove.domain.ran import PROXY, Unreached, Withheld

REACHED = "reached"
"""In the place of a reason: what was not reached before now was."""
MOST = 64
"""Messages that are heard for one sandbox; a proxy that is what it was tells half as many hosts."""
SAID, HOST = 500, 300
"""Characters."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message: the host with its port (or `` for any), why, and the proxy's words."""

    host: str
    why: str
    said: str


def packed(name: str, told: Told) -> bytes:
    """For the sandbox `name`."""
    parts = (name, told.why, told.host[:HOST], told.said[:SAID])
    return "\0".join(part.replace("\0", "?") for part in parts).encode(errors="replace")


def unpacked(message: bytes) -> tuple[str, Told] | None:
    """The sandbox's name and what is told of it; None for what no proxy of ours says."""
    parts = message.decode(errors="replace").split("\0")
    if len(parts) != 4 or parts[1] not in {REACHED, *Withheld}:
        return None
    name, why, host, said = parts
    return name, Told(_shown(host[:HOST]), why, _shown(said[:SAID]))


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(slots=True)
class Heard:
    """What one sandbox did not reach so far."""

    tell: Callable[[str], None]
    """Takes a line of the sandbox's log."""
    _unreached: dict[str, Unreached] = field(default_factory=dict)
    _left: int = MOST

    @property
    def unreached(self) -> tuple[Unreached, ...]:
        return tuple(self._unreached.values())

    def take(self, told: Told) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        self._unreached.pop(told.host, None)
        if told.why != REACHED:
            self._unreached[told.host] = Unreached(told.host, Withheld(told.why), told.said)
            self.tell(PROXY + told.said)
