"""How do sandboxes reach the web? In: the state directory, this process's environment. Out: as this service does."""

from __future__ import annotations

import os

from perijove.backends import statedir
from perijove.domain.state import State
from perijove.domain.way_out import WayOut, unusable, usable, way_out
from perijove.log import log


def outward(state: State) -> WayOut:
    """What sandboxes cannot use of it is said, and left out."""
    authorities = None
    try:
        authorities = statedir.authorities(state, os.environ)
    except OSError as error:
        log.warning("sandboxes trust the authorities of the system alone", message=str(error)[:300])
    way = way_out(os.environ, authorities)
    for why in unusable(way):
        log.warning("sandboxes do not use a proxy of the environment", message=why)
    return usable(way)
