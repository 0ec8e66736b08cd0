"""Why nothing answered: an exception as one of `Hop.error`'s words, with what the system said of it. Pure."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator

import httpx

WORDS = 300
"""Characters of an error that are kept."""
_BY_NUMBER = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
}
_CLOSED = "Server disconnected"


def seen_error(error: Exception) -> tuple[str, str]:
    """The word, and the system's own words."""
    if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
        return "silent", "connected, but no answer came"
    if isinstance(error, httpx.RemoteProtocolError):
        return "reset" if str(error).startswith(_CLOSED) else "not-http", str(error)[:WORDS]
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return "timeout", "no answer to the attempt to connect"
    for one in _origins(error):
        if isinstance(one, ssl.SSLError):
            return "tls", str(one)[:WORDS]
        if isinstance(one, OSError) and one.errno is not None:
            return _BY_NUMBER.get(one.errno, "unreachable"), str(one)[:WORDS]
    return "reset", (str(error) or type(error).__name__)[:WORDS]


def _origins(error: BaseException) -> Iterator[BaseException]:
    """What an exception came from, the first cause first."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    return reversed(chain)
