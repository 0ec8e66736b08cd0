"""Which of a sandbox's limits are real on this machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the ground under the sandboxes gives: which limits are real here."""

    sandboxed: bool
    """False only with `isolation = none`."""
    own_uid: bool
    """Each session has a uid of its own."""
    cgroups: str
    """`v1`, `v2` or `` when limits are watched instead."""
    disk: str
    """`quota` or `watched`."""
    copied: str = ""
    """Why a session's own environment is a copy; `` where folders can be laid over one another for it."""
    open_policies: str = ""
    """What a pod reached though a NetworkPolicy forbids it; `` where that was not seen, or nobody has tried yet."""
    started: str = ""
    """Why servers are started that could be forked; `` where they are, or where nobody has asked for one."""
