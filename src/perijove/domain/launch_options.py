"""What somebody asks of a launch beside its repository. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """As a link's query or a command says it."""

    again: bool = False
    """Its environment resolved and made anew, whatever the commit was resolved to before."""
    build_only: bool = False
    """Its environment, and no session."""
    fresh: bool = False
    """Nothing of an earlier session of theirs."""
    title: str = ""
    """What its session is called; `` for nothing in particular."""
    urlpath: str = ""
    """What is opened in its session, where that is a file or folder of the repository: `doc/tree/a.ipynb`; else ``."""
    served_at: str = ""
    """As in `Session`."""


NO_OPTIONS = LaunchOptions()
