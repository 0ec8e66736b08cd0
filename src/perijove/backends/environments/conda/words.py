"""rattler's words → the failure they stand for. Pure."""

from __future__ import annotations

import re

from perijove.domain import failures
from perijove.domain.conda_failures import BAD_PACKAGE, CHANNEL_UNREACHABLE, NO_SUCH_CHANNEL
from perijove.domain.failures import Evidence, Failure

_TOKEN = re.compile(r"(/t/)[^/\s]+|(?<=://)[^/\s@]+@")
_DISK = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded")
_NO_CHANNEL = re.compile(r"could not find subdir '[^']*' in channel '(?P<channel>[^']*)'|404 Not Found")
_NETWORK = re.compile(
    r"error sending request|[Cc]onnection (?:refused|reset|closed)|dns error|HTTP status (?:server|client) error"
    r"|operation timed out|received unexpected status|failed to decode|tcp connect error|invalid peer certificate"
    r"|error decoding response body|unexpected end of file|incomplete message"
)
_BROKEN = re.compile(r"hash mismatch|Invalid checksum|invalid zip|invalid archive|corrupt|placeholder|paths\.json")
_UNKNOWN = re.compile(r"No candidates were found for (?P<spec>[^\n.]+(?:\.[^\n.]+)*)")
_MISSING = re.compile(r"(?P<spec>\S[^\n]*?), for which no candidates were found")
_VIRTUAL = re.compile(r"(?P<spec>__[a-z_]+[^\n,]*), for which no candidates were found")
_CONFLICT = re.compile(r"[Cc]annot solve the request|incompatible|conflicts with|excluded because")


def shown(words: str) -> str:
    """Without what opens a channel to whoever knows it."""
    return _TOKEN.sub(lambda found: f"{found[1] or ''}***" + ("" if found[1] else "@"), words)


def failure(words: str, doing: str) -> Failure:
    """What rattler's complaint comes to; `doing` says at what: `solving`, `fetching`, `linking`."""
    words = shown(words)
    evidence = Evidence("conda", words[-6000:])
    if _DISK.search(words):
        return failures.BUILD_DISK("no space is left for conda packages", evidence)
    if doing != "linking" and (found := _NO_CHANNEL.search(words)):
        where = found["channel"]
        if where or doing == "solving":
            return NO_SUCH_CHANNEL(f"there is no channel at {where or 'an address that is named'}", evidence)
        return CHANNEL_UNREACHABLE("a package that it lists is not there", evidence)
    if _BROKEN.search(words):
        return BAD_PACKAGE(_first(words), evidence)
    if _NETWORK.search(words):
        return CHANNEL_UNREACHABLE("conda packages could not be fetched", evidence)
    if found := _VIRTUAL.search(words):
        cause = f"a package needs {found['spec'].strip()}, which sessions do not have here"
        return failures.CONFLICT(cause, evidence, remedy="Ask the operator to name it in conda.virtual_packages.")
    if found := _UNKNOWN.search(words):
        return failures.NO_SUCH_PACKAGE(f"no channel has {found['spec'].strip()}", evidence)
    if found := _MISSING.search(words):
        return failures.CONFLICT(f"{_plain(found['spec'])} is needed, and no channel has it", evidence)
    if "cancelled" in words:
        return failures.BUILD_TOO_SLOW("which packages fit was not found out in time", evidence)
    if _CONFLICT.search(words):
        return failures.CONFLICT("no set of conda packages satisfies all that is asked for", evidence)
    return failures.INSTALL_FAILED(_first(words), evidence, remedy="Read the words below.")


def unknown(words: str) -> tuple[str, ...]:
    """Specs that no channel has any candidate for."""
    return tuple(found["spec"].strip() for found in _UNKNOWN.finditer(words))


def _plain(text: str) -> str:
    return re.sub(r"^[\s│├└─]+", "", text)


def _first(words: str) -> str:
    return next((line.strip() for line in words.splitlines() if line.strip()), "it ended without a word")[:300]
