"""apt.txt → which packages of the distribution. Pure.

In: its text; out: names, each once. Names alone are followed: what apt would do with versions, suites, architectures
and signs at a name's end is nothing that a repository may ask for. Raises Fail: `build.bad-file`, with the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import InstallSystem

NAME = "apt.txt"
MOST = 500
"""Packages that one file may name."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{1,99}")
_COMMANDS = frozenset(("apt", "apt-get", "aptitude", "sudo", "install", "dpkg"))


def system_step(path: str, text: str) -> InstallSystem | None:
    """None where it names nothing."""
    found = dict.fromkeys(_names(path, text))
    if len(found) > MOST:
        raise _bad(path, f"it names more than {MOST} packages", f"{len(found)}")
    return InstallSystem(path, tuple(found)) if found else None


def _names(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = re.sub(r"(^|\s)#.*$", "", line).split()
        for word in words:
            if why := _wrong(word, first=word is words[0]):
                raise _bad(f"{path}:{number}", f"line {number}: {why}", line.strip())
            yield word


def _wrong(word: str, *, first: bool) -> str:
    """Why a word is no name, or ``."""
    shown = word[:60]
    if first and word in _COMMANDS:
        return "names of packages alone stand here, no commands"
    if word.startswith("-"):
        return f"{shown} is an option; names of packages alone stand here"
    if "=" in word:
        return f"{shown} asks for a version; the distribution's own is installed, so write {shown.partition('=')[0]}"
    if "/" in word:
        return f"{shown} names a suite or a file; write the package's name alone"
    if ":" in word:
        return f"{shown} names an architecture; write {shown.partition(':')[0]}"
    if word.endswith("-"):
        return f"{shown} would remove a package; packages can be added alone"
    return "" if _NAME.fullmatch(word) else f"{shown} is no package's name: those are small letters, digits and +-."


def _bad(where: str, why: str, saw: str) -> Fail:
    path = where.partition(":")[0]
    return Fail(failures.BAD_FILE(f"{path} cannot be used: {why}", Evidence(where, saw[:300])))
