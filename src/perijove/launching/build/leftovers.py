"""Lines that tools leave in requirements files and that no other machine can install. Pure.

All of a file are told in one failure, as what they are, with the line to write instead.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail

SHOWN = 10
"""Lines of a kind that a failure names."""
_NAME = r"(?P<name>[A-Za-z0-9_][\w.-]{0,100}+)"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A leftover: how it looks, what it is, and the remedy, given what to write instead of each line."""

    looks: re.Pattern[str]
    one: str
    many: str
    instead: Callable[[re.Match[str]], str | Sequence[str]]
    remedy: str


_AT_LEAST = ("=", "==", "===", "~=", ">=")
_VALUED = {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target", "--prefix", "--root"}
"""Options of `pip install` whose value is no package (pip 25)."""
_LINES = {"-r", "--requirement", "-c", "--constraint", "-e", "--editable"}
"""Those that a requirements file has as well."""


def _installed(words: str) -> list[str]:
    """The lines of a file that installs what `pip install` does with these words."""
    try:
        rest = shlex.split(words, comments=True)
    except ValueError:
        rest = words.split()
    lines = []
    while rest:
        word = rest.pop(0)
        if word in _VALUED or word in _LINES:
            value = rest.pop(0) if rest else ""
            lines += [f"{word} {value}"] if word in _LINES and value else []
        elif not word.startswith("-"):
            lines.append(word)
    return lines


_KINDS = (
    _Kind(
        re.compile(_NAME + r"\s*+(?:\[[^\]]*+\]\s*+)?@\s*+file:///", re.IGNORECASE),
        "names a file of the machine that it was written on, as `pip freeze` does inside conda",
        "name files of the machine that they were written on, as `pip freeze` does inside conda",
        lambda found: found["name"],
        "Write the file anew there with `pip list --format=freeze > requirements.txt`, or write instead: {instead}.",
    ),
    _Kind(
        re.compile(r"(?!python\b)" + _NAME + r"=(?P<version>[^=<>~!\s]++)(?:=\S++)?\s*+$"),
        "is in conda's spelling",
        "are in conda's spelling",
        lambda found: f"{found['name']}=={found['version']}",
        "Write the file anew with `pip list --format=freeze > requirements.txt`, or write instead: {instead}.",
    ),
    _Kind(
        re.compile(r"(?P<name>pkg[-_]resources)\s*+==\s*+0\.0\.0\s*+(?:;|$)", re.IGNORECASE),
        "is no package: `pip freeze` on Debian and Ubuntu writes it by mistake",
        "are no packages: `pip freeze` on Debian and Ubuntu writes them by mistake",
        lambda found: found["name"],
        "Delete {instead}.",
    ),
    _Kind(
        re.compile(_NAME + r"\s++(?P<version>\d[\w.!+]*+)(?:\s++[\w.:/-]++){0,2}+\s*+$"),
        "is a row of a table, as `pip list` and `conda list` print it",
        "are rows of a table, as `pip list` and `conda list` print it",
        lambda found: f"{found['name']}=={found['version']}",
        "Write the file anew with `pip list --format=freeze > requirements.txt`, or write instead: {instead}.",
    ),
    _Kind(
        re.compile(r"(?P<name>python)\s*+(?P<how>[=<>~!]=?=?)\s*+(?P<version>\d++(?:\.\d++)?+)", re.IGNORECASE),
        "asks for Python itself, which pip does not install",
        "ask for Python itself, which pip does not install",
        lambda found: f"python-{found['version'] if found['how'] in _AT_LEAST else '3.x'}",
        "Delete it, and write {instead} into a file named runtime.txt.",
    ),
    _Kind(
        re.compile(
            r"[!%]?(?:python3? -m )?pip3? install(?=\s(?P<words>.+))\s++(?:-\S++\s++)*+(?P<name>\S+)", re.IGNORECASE
        ),
        "is a command",
        "are commands",
        lambda found: _installed(found["words"]),
        "Write instead what it installs, one package a line: {instead}.",
    ),
    _Kind(
        re.compile(r"(?:import|from)\s++(?P<name>[A-Za-z_]\w*+)(?:[\w.]*+)(?:\s++(?:as|import)\s.*+|\s*+)$"),
        "is Python code",
        "are Python code",
        lambda found: found["name"],
        "Write the names of packages instead, one a line: {instead}.",
    ),
    _Kind(
        re.compile(r"-\s++" + _NAME),
        "is YAML, as in an environment.yml",
        "are YAML, as in an environment.yml",
        lambda found: found["name"],
        "Move them to a file named environment.yml, or write one package a line: {instead}.",
    ),
    _Kind(
        re.compile(r"(?P<name><{7}|={7}$|>{7})"),
        "is what git leaves of a merge that was not finished",
        "are what git leaves of a merge that was not finished",
        lambda found: found["name"],
        "Choose one of the two versions, and delete {instead}.",
    ),
)


def refuse(path: str, lines: Iterable[tuple[int, str]]) -> None:
    """Looks at all lines with their numbers. Raises Fail: `build.bad-file`, which names all that are left over."""
    whole = list(lines)
    causes: list[str] = []
    remedies: list[str] = []
    evidence: list[Evidence] = []
    for kind in _KINDS:
        found = [(number, text, match) for number, text in whole if (match := kind.looks.match(text))]
        if not found:
            continue
        numbers = [str(number) for number, _, _ in found[:SHOWN]]
        more = ["more"] if len(found) > SHOWN else []
        causes.append(f"line{'s' if len(found) > 1 else ''} {listed([*numbers, *more])} ({_names(found)}) ")
        causes[-1] += kind.many if len(found) > 1 else kind.one
        lines_instead = [line for _, _, match in found[:SHOWN] for line in _lines(kind.instead(match))]
        instead = ", ".join(f"`{line}`" for line in lines_instead[:SHOWN])
        told = kind.remedy.format(instead=instead + (", …" if more else ""))
        remedies.append(told if instead else "Delete it.")
        evidence += [Evidence(f"{path}:{number}", text[:300]) for number, text, _ in found[:SHOWN]]
    if causes:
        raise Fail(failures.BAD_FILE(f"{path}, {'; '.join(causes)}", *evidence, remedy=" ".join(remedies)))


def _lines(instead: str | Sequence[str]) -> Sequence[str]:
    return [instead] if isinstance(instead, str) else instead


def _names(found: list[tuple[int, str, re.Match[str]]]) -> str:
    return ", ".join(match["name"] for _, _, match in found[:SHOWN])


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
