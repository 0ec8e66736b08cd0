"""What an operator says on the pages beside their title: who runs this, for whom, and where to turn. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINK = re.compile(r"(?:https?://|mailto:|/)[^\s<>\"]+", re.IGNORECASE)
_MAIL = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")


@dataclass(frozen=True, slots=True)
class PageSettings:
    text: str = ""
    """A sentence or two on the front page: who runs this service, and for whom."""
    banner: str = ""
    """What everybody should know now, on top of every page: `Down for an upgrade on Friday at 18:00`."""
    example: str = "gh/binder-examples/requirements/HEAD"
    """A launch to try, `provider/spec`, on the front page; empty: none."""
    help: str = ""
    """Where visitors find help: a web address."""
    privacy: str = ""
    """What becomes of visitors' data: a web address."""
    contact: str = ""
    """Whom visitors ask: a web address, or an e-mail address."""

    @property
    def links(self) -> dict[str, str]:
        """Where the foot of every page leads, by what it says there."""
        found = {"Help": self.help, "Privacy": self.privacy, "Contact": self.contact}
        return {name: f"mailto:{there}" if _MAIL.fullmatch(there) else there for name, there in found.items() if there}


def faults(page: PageSettings) -> Iterator[tuple[str, str, str]]:
    """What cannot be so: the setting's name below `page`, why, and what stood there."""
    for name in ("help", "privacy", "contact"):
        value = getattr(page, name)
        if value and not _LINK.fullmatch(value) and not (name == "contact" and _MAIL.fullmatch(value)):
            yield name, "must be an address: https://example.org/help" + " or an e-mail's" * (name == "contact"), value
