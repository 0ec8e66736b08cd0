"""Tables of TOML in a checkout, and why one of its files cannot be used. Pure. Raises Fail: `build.bad-file`."""

from __future__ import annotations

import tomllib
from typing import Any

from perijove.domain.failures import BAD_FILE, Evidence, Fail


def read(path: str, text: str) -> dict[str, Any]:
    """A file's text."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise unusable(path, "its tables are nested too deeply", text) from None
    except ValueError as error:  # also numbers of more digits than Python reads
        raise unusable(path, "it is not TOML", str(error)) from error


def unusable(path: str, why: str, saw: str) -> Fail:
    """What to raise for a file, with the beginning of what stood there."""
    return Fail(BAD_FILE(f"{path} cannot be used: {why}", Evidence(path, saw[:300])))
