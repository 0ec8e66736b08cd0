"""What does the operator's page show beside what every page has? One value that wiring makes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from perijove.certifying.records import CertificateRecord
from perijove.domain.ports import Environments
from perijove.web.service_admin import ServiceAdmin


@dataclass(frozen=True, slots=True)
class Examined:
    """What the doctor came to, as `perijove doctor --json` tells it."""

    at: float
    """Unix seconds."""
    told: Sequence[Mapping[str, Any]]
    """Root causes."""
    fixes: Sequence[str]
    """What it can do of it by itself, in words that one can do by hand too."""
    unseen: str = ""
    """Why it could not look."""

    @property
    def planned(self) -> str:
        """All of `fixes` in a few letters, by which somebody agrees to just these."""
        return hashlib.sha256("\n".join(self.fixes).encode()).hexdigest()[:16]


class Doctor(Protocol):
    """Looks at this service; one look at a time."""

    @property
    def last(self) -> Examined | None:
        """None before it has looked."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it looks, or soon will."""
        ...

    def begin(self, agreed: str = "") -> None:
        """Have it look soon, and mend first what it can, where that is still what somebody agreed to, by `planned`."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts behind it."""

    service: ServiceAdmin
    environments: Environments
    certificates: Callable[[], Sequence[CertificateRecord]]
    doctor: Doctor
