"""What each line of a requirements file asks for. Pure: text in, lines with their numbers out.

Understands pip's format as far as it matters here: continuations, comments, options, local and remote references.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from packaging.requirements import InvalidRequirement, Requirement

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.launching.build import leftovers


class Asks(StrEnum):
    """What a line is."""

    PACKAGE = "package"
    """A name with specifiers, from the operator's index."""
    LOCAL = "local"
    """A folder or file of the repository, to be built."""
    REMOTE = "remote"
    """A URL or a version control address."""
    INCLUDE = "include"
    """`-r`: another file of the repository."""
    CONSTRAIN = "constrain"
    """`-c`: another file of the repository."""
    ELSEWHERE = "elsewhere"
    """An option that names another index, another place to find packages in, or another way to build them."""
    FLAG = "flag"
    """An option without bearing on where things come from."""


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line: its first physical line's number, what it is, what it names, and its text without comments.

    What LOCAL and REMOTE lines name may end in extras: `./sub[dev]`.
    """

    number: int
    asks: Asks
    value: str
    text: str


_VALUED = {
    "-r": Asks.INCLUDE,
    "--requirement": Asks.INCLUDE,
    "-c": Asks.CONSTRAIN,
    "--constraint": Asks.CONSTRAIN,
    "-e": Asks.LOCAL,
    "--editable": Asks.LOCAL,
    "-i": Asks.ELSEWHERE,
    "--index-url": Asks.ELSEWHERE,
    "--extra-index-url": Asks.ELSEWHERE,
    "-f": Asks.ELSEWHERE,
    "--find-links": Asks.ELSEWHERE,
    "--no-index": Asks.ELSEWHERE,
    "--no-binary": Asks.ELSEWHERE,
    "--use-feature": Asks.ELSEWHERE,
    "--config-settings": Asks.ELSEWHERE,
}
_FLAGS = {"--pre", "--prefer-binary", "--require-hashes", "--only-binary", "--trusted-host"}
_REMOTE = re.compile(r"(?:git|hg|svn|bzr)\+\S+|https?://\S+", re.IGNORECASE)
# Possessive, so that a line costs no more than its length.
_NAMED = re.compile(r"[A-Za-z0-9][\w.-]*+\s*+(?:(?P<extras>\[[^\]]*+\])\s*+)?@\s*+(?P<url>\S++)")
_EGG = re.compile(r"([#&]egg=[A-Za-z0-9][\w.-]*+(?:\[[^\]]*+\])?)[=<>!~][^&]*+")
LONGEST = 8192
"""Characters of a logical line beside its hashes: one of each of a release's files, of which there may be hundreds."""
_HASH = re.compile(r"\s--hash[= ]\S{1,200}(?=\s|$)")
MOST = 10_000
"""Lines of a file that ask for something."""


def lines(path: str, text: str) -> Iterator[Line]:
    """The file's lines that ask for something, in order. Raises Fail: `build.bad-file` with the line's number."""
    logical = list(_logical(text))
    leftovers.refuse(path, logical)
    if len(logical) > MOST:
        raise _bad(path, [logical[MOST]], f"one more than the {MOST} requirements that are read")
    if long := [one for one in logical if len(one[1]) > LONGEST and len(_HASH.sub("", one[1])) > LONGEST]:
        raise _bad(path, long, f"longer than {LONGEST} characters beside hashes")
    found = [(one, _line(*one)) for one in logical]
    if unread := [one for one, line in found if line is None]:
        raise _bad(path, unread, "no requirement" if len(unread) == 1 else "no requirements")
    yield from (line for _, line in found if line)


def _bad(path: str, unread: Sequence[tuple[int, str]], what: str) -> Fail:
    numbers = [str(number) for number, _ in unread[: leftovers.SHOWN]] + ["more"] * (len(unread) > leftovers.SHOWN)
    which, are = ("lines", "are") if len(unread) > 1 else ("line", "is")
    seen = (Evidence(f"{path}:{number}", content[:300]) for number, content in unread[: leftovers.SHOWN])
    return Fail(failures.BAD_FILE(f"{path}, {which} {leftovers.listed(numbers)} {are} {what}", *seen))


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations joined and comments gone; blank ones left out."""
    held: list[str] = []
    first = 0
    for number, physical in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        first = first if held else number
        content = re.sub(r"(^|\s)#.*$", "", physical)
        if content.endswith("\\"):
            held.append(content[:-1])
            continue
        whole = " ".join((*held, content)).strip()
        held.clear()
        if whole:
            yield first, whole
    if whole := " ".join(held).strip():
        yield first, whole


def _line(number: int, content: str) -> Line | None:
    if "\0" in content:
        return None
    if content.startswith("-"):
        return _option(number, content)
    if _REMOTE.match(content):
        return Line(number, Asks.REMOTE, _address(content.split(maxsplit=1)[0]), content)
    if named := _NAMED.match(content):
        url = named["url"]
        asks = Asks.LOCAL if url.lower().startswith("file:") or "://" not in url else Asks.REMOTE
        return Line(number, asks, url + (named["extras"] or ""), content)
    if content.lower().startswith("file:") or re.match(r"\.{1,2}(/|\[|\s|;|$)|/|\S+/\S*", content):
        return Line(number, Asks.LOCAL, re.split(r"\s|;", content, maxsplit=1)[0], content)
    if re.match(r"\S+\.(whl|tar\.gz|zip|tar\.bz2)(\s|$)", content):
        return Line(number, Asks.LOCAL, content.split(maxsplit=1)[0], content)
    try:
        requirement = Requirement(re.split(r"\s--(?:hash|config-settings|global-option)\b", content)[0].strip())
    except InvalidRequirement:
        return None
    return Line(number, Asks.PACKAGE, requirement.name, content)


def _option(number: int, content: str) -> Line | None:
    short = re.match(r"-[recif](?!-)", content)
    name = short[0] if short else re.split(r"[\s=]", content)[0]
    try:
        words = shlex.split(content[len(name) :].lstrip(" \t="))
    except ValueError:
        return None
    value = words[0] if words else ""
    if name in _FLAGS:
        return Line(number, Asks.FLAG, value, content)
    asks = _VALUED.get(name)
    if asks is None or (not value and name != "--no-index"):
        return None
    if asks is Asks.LOCAL and _REMOTE.match(value):
        return Line(number, Asks.REMOTE, _address(value), content)
    return Line(number, asks, value, content)


def _address(url: str) -> str:
    """Without the version in `#egg=name==1.2`, which pip read once and refuses by now."""
    return _EGG.sub(r"\1", url)
