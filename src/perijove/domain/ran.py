"""What a run of foreign code came to, and what it did not reach. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

from perijove.domain.failures import KILLED, Evidence, Fail

PROXY = "Perijove's egress proxy: "
"""Begins a line of a sandbox's log that the proxy tells, among those of what runs there."""
OWN_PROXY = "this service's own proxy"
"""What it calls the operator's, behind it."""

BY_OTHERS = frozenset((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
"""No program of a run ends itself by these: somebody did, most likely the kernel that ran out of memory."""


class Withheld(StrEnum):
    """Why a sandbox got no connection."""

    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    LIMIT = "limit"
    """It had too many."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """What a sandbox asked the egress proxy for and never got."""

    host: str
    """With its port: `example.org:443`."""
    why: Withheld
    said: str
    """The proxy's words."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a foreign run ended."""

    status: int
    """Its exit status, negative for a signal."""
    unreached: tuple[Unreached, ...] = ()
    """In the order in which it asked."""

    def not_killed(self, who: str) -> Ran:
        """It, where it ended by itself; `who` ran. Raises Fail: `platform.killed`."""
        if -self.status in BY_OTHERS:
            raise Fail(KILLED(f"{who} was ended by somebody else", Evidence(who, f"ended by signal {-self.status}")))
        return self
