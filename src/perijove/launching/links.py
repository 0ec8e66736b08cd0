"""What does a link mean that only its host can tell? In: texts. Out: links, and names to choose from.

A host is asked seldom: for a link that can be cut in several ways, and for the names that a form offers; what it said
is kept for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from perijove.domain.failures import Fail
from perijove.domain.nouns import RefNames, RepoAddress
from perijove.domain.ports import Repositories
from perijove.domain.settings import Settings
from perijove.launching.resolve.pasted import Link, pasted
from perijove.launching.start.admission import refusal

KEPT = 60.0
"""Seconds for which a host is not asked again."""
REMEMBERED = 500
"""Repositories of which the names are kept."""
AT_ONCE = 8
"""Hosts that are asked at once; others wait."""


@dataclass(eq=False)
class Links:
    """Reads links."""

    _repositories: Repositories
    _settings: Callable[[], Settings]
    _now: Callable[[], float] = time.monotonic
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE), init=False)
    _known: OrderedDict[str, tuple[float, RefNames]] = field(default_factory=OrderedDict, init=False)

    async def meant(self, text: str) -> Link:
        """What a text means; the longest ref that its host lists wins. Raises Fail: `resolve.*`, as `pasted` does."""
        link = pasted(text)
        if not link.longer:
            return link
        try:
            names = await self.names(link.address)
        except Fail:  # the launch itself will meet it, and says it with its evidence
            return link
        known = {*names.branches, *names.tags}
        return next((longer for longer in reversed(link.longer) if longer.address.ref in known), link)

    async def names(self, address: RepoAddress) -> RefNames:
        """Branches and tags of what may be launched here. Raises Fail: `resolve.*`, `start.not-allowed`."""
        if refused := refusal(address, self._settings().launching):
            raise Fail(refused)
        async with self._room:
            at, names = self._known.get(address.url, (-KEPT, RefNames((), ())))
            if self._now() - at < KEPT:
                return names
            names = await self._repositories.refs(address)
        self._known[address.url] = (self._now(), names)
        self._known.move_to_end(address.url)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return names
