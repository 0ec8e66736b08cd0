"""The last words of uv, pip and postBuild, and what a sandbox did not reach → the failure they stand for. Pure."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from perijove.domain import failures
from perijove.domain.egress_failures import BUILD_CONNECTIONS, HOST_FORBIDDEN, HOST_SILENT, PROXY_REFUSES
from perijove.domain.failures import Evidence, Failure
from perijove.domain.ran import OWN_PROXY, PROXY, Unreached, Withheld

FULL = re.compile(r"No space left on device|enough free space in /|os error 28|Disk quota exceeded|\[Errno 28\]")
_INDEX = re.compile(
    r"error sending request|Failed to fetch|[Cc]onnection (?:refused|reset)|dns error|Temporary failure in name"
    r"|Network is unreachable|due to network timeout|HTTP status (?:server|client) error|tunnel error"
    r"|invalid peer certificate"
    r"|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError|SSLCertVerificationError"
)
_UNTRUSTED = re.compile(r"UnknownIssuer|unable to get local issuer|self[- ]signed certificate")
"""By rustls, for uv, and by OpenSSL, for pip. Of an index, or of a proxy that opens TLS."""
_NETWORK = re.compile(
    _INDEX.pattern + r"|[Tt]unnel(?:l?ing)? (?:connection )?failed|[Pp]roxy (?:tunnel(?:l?ing)|CONNECT) \w*|via proxy"
    r"|proxy-connection-failed|(?:not|unable to) (?:resolve|connect)|Failed to (?:connect|download|open TCP)"
    r"|[Nn]ame or service not known|No route to host|[Cc]onnection (?:timed out|aborted|closed|error)|timed? ?out\b"
    r"|\b(?:URLError|ConnectionError|HTTPError|RemoteDisconnected|ConnectError|ConnectTimeout|TimeoutError)\b"
    r"|Max retries exceeded|unable to access '|cannot open URL|getaddrinfo"
    r"|\b(?:ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH)\b"
    r"|(?i:\b(?:error:?|status:?|code|response) (?:403|502|503|504)\b)"
    r"|\b(?:403 Forbidden|502 Bad Gateway|503 Too Many Connections|504 Gateway)"
)
"""A program that had no network says so; more words than pip's own, for any may be a postBuild's."""
_BY_PROXY = re.compile(r"tunnel error: |error connecting to socks proxy|407 Proxy Authentication")
"""uv's words that come up where there is a proxy alone."""
_UNREADABLE = re.compile(r"Couldn't parse|Unexpected '|Invalid requirement")
_UNSOLVED = re.compile(r"No solution found|unsatisfiable|conflicting dependencies|ResolutionImpossible")
_UNKNOWN = re.compile(
    r"was not found in the (?:package registry|provided)|there (?:is|are) no versions? of"
    r"|\bonly \S+ (?:is|are) available"
    r"|no wheels with a matching|No matching distribution found|Could not find a version that satisfies",
    re.IGNORECASE,
)
# Bounded, and begun where a word begins, so that a flood of words costs no more than its length.
_UNBUILT = re.compile(
    r"(?<![\w.-])(?P<name>[A-Za-z0-9][\w.-]{0,100})(?:\[[^\]]{0,200}\])?(?:[=<>!~]=?\S{1,100})? (?:has|have) no usable"
    r" wheels|[Ww]heels are required for `(?P<hint>[\w.-]{1,100})`"
)
_PINNED = r"(?<![\w.-])(?P<{0}>[A-Za-z0-9][\w.-]{{0,100}}(?:\[[^\]]{{0,200}}\])?==[\w.+!]{{1,100}})"
_UNFIT = re.compile(
    _PINNED.format("sources") + " has no usable wheels"
    "|" + _PINNED.format("wheels") + " has no wheels with a matching"
    r"|Wheels are available for `(?P<elsewhere>[\w.-]{1,100})` \(v(?P<released>[\w.+!]{1,100})\) on the following plat"
    "|does not satisfy Python\\S{1,100} and " + _PINNED.format("requires") + " depends on Python"
)
_ASKED = re.compile(r"depends on (?P<asked>[A-Za-z0-9][\w.-]{0,100}(?:\[[^\]]{0,200}\])?[<>=!~][\w.,<>=!~*+]{1,200})")
_MISSING = re.compile(r"(?P<name>[A-Za-z0-9_][\w.-]{0,100}) was not found in the (?:package registry|provided)")
_DEAD = re.compile(
    r"[Jj]upyter(?: command `jupyter)?[- ](?P<command>(?:nb|server|bundler)extension)\b[^\n]{0,100}not found"
    r"|labextension install[^\n]{0,200}deprecated"
)
_BECAUSE = re.compile(r"[Bb]ecause (?P<why>.{1,400}?),? we can conclude")
_OUTPUT = re.compile(r"\[\d+ lines? of output\]$")
_TELLING = (
    re.compile(r"\bfatal error: "),
    re.compile(r"^(?:[A-Za-z_][\w.]{0,100})?(?:Error|Exception): ."),
    re.compile(r"^(?:ERROR|error): ."),
    re.compile(r"^(?:FATAL|fatal|Fatal): ."),  # last, since git says so to packages that only ask for a version
)
"""Lines of a build's output that say why, the better first."""
_WORDS_KEPT = 200
_BROKEN = re.compile(
    r"^ERROR: Failed (?:building wheel for|to build) '?(?:file:///home/jovyan/)?([A-Za-z0-9][\w.-]{0,100})'?"
    r"(?: when .*)?$"
)
_UNREAD = re.compile(
    r"(?<![\w.-])(?P<name>[A-Za-z0-9][\w.-]{0,100})==(?P<version>[\w.+!]{1,100}) has invalid metadata"
    r"(?:.*?which is not part of a valid version (?P<what>[A-Za-z0-9][\w.-]{0,100} ?\([^()]{1,100}\)))?"
)
"""Of a release from when pip read versions that are none (`pytz (>=2011k)`)."""
_FILTERED = re.compile(
    r"`(?P<name>[\w.-]{1,100})` was filtered by `exclude-newer` to only include packages uploaded before"
    r" (?P<date>\S{1,30}\w)"
)
_UNDATED = re.compile(r"`(?P<file>[\w.+!-]{1,200})` is missing an upload date")
_UNDATED_INDEX = re.compile(r"does not provide upload-time metadata")
_UNLIKE = re.compile(r"DO NOT MATCH THE HASHES")
_REQUIRES_PYTHON = re.compile(r"(?:current|requested) Python version|Requires-Python|requires a different Python")


def failure(words: Sequence[str]) -> Failure:
    """What uv's output, line by line, says went wrong."""
    flat = _flat(words)
    evidence = Evidence("uv", "\n".join(words)[-4000:])
    if FULL.search(flat):
        return failures.BUILD_DISK("uv found no space left", evidence)
    if _BY_PROXY.search(flat):
        return PROXY_REFUSES("uv does not get through it to the package index", evidence)
    if _INDEX.search(flat):
        return _index("uv", flat, evidence)
    if _UNREADABLE.search(flat):
        return failures.BAD_FILE("uv cannot read a requirement", evidence)
    if not _UNSOLVED.search(flat) and not _UNKNOWN.search(flat):
        return failures.INSTALL_FAILED("uv could not install the packages", evidence)
    if old := _UNREAD.search(flat):
        asks = f": {old['what']}" if old["what"] else ""
        cause = f"{old['name']} {old['version']} says what it needs in words that only pips of its time read{asks}"
        return failures.INSTALL_FAILED(cause, evidence, remedy=f"Ask for a newer {old['name']}.")
    if late := _FILTERED.search(flat):
        if undated := _UNDATED.search(flat):
            return failures.INDEX_UNDATED(f"it does not for {undated['file']}", evidence)
        return failures.NO_SUCH_PACKAGE(f"{late['name']} had no version that fits before {late['date']}", evidence)
    why = _BECAUSE.search(flat)
    cause = why["why"][:300] if why else "no set of versions satisfies all requirements"
    missing = "was not found in the" in flat or (_UNKNOWN.search(flat) and not re.search(r"\bdepends? on\b", flat))
    if missing and not _REQUIRES_PYTHON.search(flat):
        return failures.NO_SUCH_PACKAGE(cause, evidence)
    return failures.CONFLICT(cause, evidence)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What uv's last words come to."""

    failure: Failure
    unbuilt: tuple[str, ...]
    """Names of packages that it found only as sources."""
    missing: tuple[str, ...] = ()
    """Names that the index does not know."""
    unfit: tuple[str, ...] = ()
    """Packages with the versions of which none fits this Python: `numpy==1.19.5`."""
    asked: tuple[str, ...] = ()
    """What packages say that they need: `termcolor>=1.1.0,<1.2`."""


def meant(words: tuple[str, ...]) -> Meaning:
    """Both at once, for a caller who must not read them itself."""
    missing = {found["name"] for found in _MISSING.finditer(_flat(words))}
    unfit = {_versioned(found) for found in _UNFIT.finditer(_flat(words))}
    asked = {found["asked"].rstrip(",.") for found in _ASKED.finditer(_flat(words))}
    named = (tuple(sorted(each)) for each in (without_wheels(words), missing, unfit, asked))
    return Meaning(failure(words), *named)


def _versioned(found: re.Match[str]) -> str:
    return f"{found['elsewhere']}=={found['released']}" if found["elsewhere"] else found[found.lastgroup or 0]


def withheld(who: str, words: Sequence[str], unreached: Sequence[Unreached], index: str = "") -> Failure | None:
    """What a program failed of where it says so: a host that it names, or its network and the first it did not reach.

    `index` is the package index's host. None where its words tell of something else.
    """
    flat = "\n".join(words)
    named = (one for one in unreached if (host := one.host.rpartition(":")[0]) and _names(flat, host))
    one = next(named, unreached[0] if unreached and _NETWORK.search(flat) else None)
    if one is None:
        return None
    evidence = (*_beside(unreached), Evidence(who, flat[-6000:]))
    match one.why:
        case Withheld.FORBIDDEN:
            return HOST_FORBIDDEN(f"{who} asked for {one.host}: {one.said}", *evidence)
        case Withheld.LIMIT:
            return BUILD_CONNECTIONS(f"{who} had {one.said}", *evidence)
        case Withheld.UNREACHABLE if OWN_PROXY in one.said:
            return PROXY_REFUSES(f"{who} could not reach {one.said}", *evidence)
        case Withheld.UNREACHABLE if index and one.host.rpartition(":")[0] == index:
            return failures.INDEX_UNREACHABLE(f"{who} could not reach it: {one.said}", *evidence)
        case Withheld.UNREACHABLE:
            return HOST_SILENT(f"{who} could not reach it: {one.said}", *evidence)


def _names(text: str, host: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(host)}(?!\.?[\w-])", text, re.IGNORECASE) is not None


def _beside(unreached: Sequence[Unreached]) -> tuple[Evidence, ...]:
    return tuple(Evidence("egress proxy", one.said) for one in unreached)


def _index(who: str, flat: str, *evidence: Evidence) -> Failure:
    if _UNTRUSTED.search(flat):
        return failures.INDEX_UNTRUSTED(f"{who} does not know who signed its certificate", *evidence)
    return failures.INDEX_UNREACHABLE(f"{who} could not reach it", *evidence)


def post_build_failure(path: str, words: tuple[str, ...], unreached: tuple[Unreached, ...] = ()) -> Failure:
    """What the output of a postBuild that failed says went wrong."""
    words = _own(words)
    flat = "\n".join(words[-60:])
    evidence = (Evidence(path, flat[-6000:]), *_beside(unreached))
    if FULL.search(flat):
        return failures.BUILD_TOO_LARGE(f"{path} found no space left", *evidence)
    if found := withheld(path, words[-60:], unreached):
        return found
    if dead := _DEAD.search(flat):
        command = f"jupyter {dead['command'] or 'labextension install'}"
        return failures.POST_BUILD_FAILED(
            f"{path} runs `{command}`, which has no use with Notebook 7 and JupyterLab 4",
            *evidence,
            remedy=f"Remove the lines with `{command}`: extensions that pip or conda installs are found by themselves.",
        )
    said = [line.strip() for line in words if line.strip()]
    return failures.POST_BUILD_FAILED(": ".join(line[:300] for line in said[-2:]), *evidence)


def pip_failure(status: int, words: tuple[str, ...], unreached: tuple[Unreached, ...] = (), index: str = "") -> Failure:
    """What pip's output in a sandbox says went wrong; `status` is its exit status, `index` its index's host."""
    words = _own(words)
    flat = _flat(words)
    evidence = (Evidence("pip", "\n".join(words[-60:])[-6000:]), *_beside(unreached))
    if FULL.search(flat):
        return failures.BUILD_TOO_LARGE("A package's build found no space left", *evidence)
    if beyond := withheld("pip", words[-60:], unreached, index):
        return beyond
    if _UNDATED_INDEX.search(flat):
        return failures.INDEX_UNDATED("pip was to take what was there when the commit was made", *evidence)
    if _UNLIKE.search(flat):
        return failures.INSTALL_FAILED("a package's file is another one than its hash names", *evidence)
    if _INDEX.search(flat) and "subprocess" not in flat.lower():
        return _index("pip", flat, *evidence)
    if _UNSOLVED.search(flat):
        return failures.CONFLICT("pip finds no set of versions that satisfies all requirements", *evidence)
    if found := re.search(r"No matching distribution found for (\S+)", flat):
        return failures.NO_SUCH_PACKAGE(f"{found[1]} is not in the package index", *evidence)
    return failures.BUILD_BROKE(_why(words) or f"pip ended with exit status {status}", *evidence)


class Words:
    """What a program said, as far as it can tell why it failed: its last lines, and telling ones however many follow.

    Compilers say why, and then for thousands of lines what else they did.
    """

    def __init__(self) -> None:
        self._telling: deque[str] = deque(maxlen=_WORDS_KEPT // 4)
        self._last: deque[str] = deque()

    def __call__(self, line: str) -> None:
        self._last.append(line)
        if len(self._last) > _WORDS_KEPT and _tells(gone := self._last.popleft()):
            self._telling.append(gone)

    def kept(self) -> tuple[str, ...]:
        return *self._telling, *self._last


def _tells(line: str) -> bool:
    said = line.strip()
    return _OUTPUT.search(said) is not None or any(looks.search(said) for looks in _TELLING)


def _own(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without what the proxy told in between, which names every host."""
    return tuple(line for line in words if not line.startswith(PROXY))


def _why(words: Sequence[str]) -> str:
    """What broke, in its own words: the most telling line of what pip shows of a package's build."""
    said = [line.strip() for line in words]
    begins = max((n for n, line in enumerate(said) if _OUTPUT.search(line)), default=-1)
    ends = next((n for n, line in enumerate(said) if n > begins and line == "[end of output]"), len(said))
    output = said[begins + 1 : ends] if begins >= 0 else []
    for looks in _TELLING:
        if telling := [line for line in output if looks.search(line)]:
            why = telling[-1]
            break
    else:
        first = itertools.takewhile(bool, itertools.dropwhile(lambda line: not line, output))
        why = " ".join(itertools.islice(first, 3))
    package = next((m[1] for line in reversed(said) if (m := _BROKEN.search(line))), "")
    return (f"{package}: {why}" if package and why else why or (package and f"{package} could not be built"))[:300]


def without_wheels(words: Sequence[str]) -> frozenset[str]:
    """Names of packages that uv found only as sources."""
    return frozenset((m["name"] or m["hint"]).lower() for m in _UNBUILT.finditer(_flat(words)))


def _flat(words: Sequence[str]) -> str:
    return " ".join(re.sub(r"^[\s│╰─▶×·]+", "", line) for line in words)
