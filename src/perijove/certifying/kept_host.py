"""One host, and what is going on with its certificate: what `keeper` knows beside the journal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from perijove.certifying.files import FilesWatch
from perijove.certifying.forecast import Forecast
from perijove.certifying.renewal import RenewalDecision
from perijove.certifying.way import Attempt
from perijove.domain.certificates import CertificateSpec


@dataclass
class Kept:
    """One host, and what is going on with its certificate."""

    spec: CertificateSpec
    forecast: Forecast
    files: FilesWatch
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    attempt: Attempt | None = None
    task: asyncio.Task[None] | None = None
    taken_up: bool = False
    """Whether the journal was asked for an attempt that was cut off."""
    corrected: bool = True
    """Whether the settings may have been put right since the last failure: after a start or a change of them."""
    judged: bool = False
    """Whether what is served was seen since: trusted by browsers or not, for which the settings may say other roots."""
    decision: RenewalDecision | None = None
    next_at: float = 0
    """When the next attempt is due, where one failed."""
    by_hand: bool = False
    """Whether an operator asked for the attempt that runs."""
    dropped: bool = False
    """Whether the settings do not name it any more."""
