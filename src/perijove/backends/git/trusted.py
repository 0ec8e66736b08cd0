"""Whom git believes about https, for requests of our own. Not pure: read at the import, since it takes long."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from perijove.backends.git.access import CERTIFICATES


def trusted(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """Whom git would believe by these variables; None where that cannot be read."""
    file, folder = CERTIFICATES[:3], CERTIFICATES[3:]
    named = [next((environ[name] for name in names if environ.get(name)), None) for names in (file, folder)]
    try:
        return ssl.create_default_context(cafile=named[0], capath=named[1])
    except OSError:
        return None


TRUSTED = trusted(os.environ)
"""Imported by the process that calls are forked from, before it forks."""
