"""Lines that tools leave in requirements files and that no other machine can install. Pure.

All of a file are told in one failure, as what they are, with the line to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
    instead: Callable[[re.Match[str]], str]
    remedy: str


_KINDS = (
    _Kind(
        re.compile(_NAME + r"\s*+(?:\[[^\]]*+\]\s*+)?@\s*+file:///", re.IGNORECASE),
        "names a file of the machine that it was written on, as `pip freeze` does inside conda",
        "name files of the machine that they were written on, as `pip freeze` does inside conda",
        lambda found: found["name"],
        "Write the file anew there with `pip list --format=freeze > requirements.txt`, or write instead: {instead}.",
    ),
    _Kind(
        re.compile(_NAME + r"=(?P<version>[^=\s]++)(?:=\S++)?\s*+$"),
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
        causes.append(f"line{'s' if len(found) > 1 else ''} {_listed([*numbers, *more])} ({_names(found)}) ")
        causes[-1] += kind.many if len(found) > 1 else kind.one
        instead = ", ".join(f"`{kind.instead(match)}`" for _, _, match in found[:SHOWN])
        remedies.append(kind.remedy.format(instead=instead + (", …" if more else "")))
        evidence += [Evidence(f"{path}:{number}", text[:300]) for number, text, _ in found[:SHOWN]]
    if causes:
        raise Fail(failures.BAD_FILE(f"{path}, {'; '.join(causes)}", *evidence, remedy=" ".join(remedies)))


def _names(found: list[tuple[int, str, re.Match[str]]]) -> str:
    return ", ".join(match["name"] for _, _, match in found[:SHOWN])


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
