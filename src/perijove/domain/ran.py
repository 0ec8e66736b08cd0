"""What a run of foreign code came to, and what it did not reach. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PROXY = "Perijove's egress proxy: "
"""Begins a line of a sandbox's log that the proxy tells, among those of what runs there."""


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
