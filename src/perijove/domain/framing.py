"""Whose pages may hold ours and sessions' in a frame. Pure."""

from __future__ import annotations

import re
from typing import Protocol

NOBODY = "none"
_SOURCE = re.compile(r"\*|[a-z][a-z0-9+.-]*://[\w.*:\[\]-]+", re.ASCII | re.IGNORECASE)
"""An origin that a Content-Security-Policy can name, or all of http and https."""


class FramingConfig(Protocol):
    """What the operator says of it: the table `service` of the settings."""

    @property
    def frame_ancestors(self) -> tuple[str, ...]: ...
    @property
    def cors_allow_origin(self) -> tuple[str, ...]: ...


def frame_ancestors(config: FramingConfig) -> tuple[str, ...]:
    """As a Content-Security-Policy names them; none where nobody may."""
    return tuple(filter(_SOURCE.fullmatch, config.frame_ancestors or config.cors_allow_origin))


def faults(config: FramingConfig) -> list[tuple[str, str]]:
    """What is wrong with the setting, and what was seen."""
    why, said = "must be origins like https://book.example.org, or `none` alone", config.frame_ancestors
    return [] if said == (NOBODY,) else [(why, one) for one in said if not _SOURCE.fullmatch(one)]
