"""Where does each directive of an nginx file begin and end? In: its text. Out: spans, in directives' order. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<open>\{)|(?P<close>\})|(?P<end>;)
    |(?P<word>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:\\.|\$\{|[^\s{};\\])+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class Span:
    """A directive's place in its text: `text[start:end]`, its block's inside `text[opened:closed]`."""

    name: str
    start: int
    end: int = 0
    opened: int = 0
    """0 for none"""
    closed: int = 0


def spans(text: str) -> list[Span]:
    """All directives as they begin. What follows a mistake in the text is left out."""
    found: list[Span] = []
    around: list[Span] = []
    now: Span | None = None
    position = 0
    while position < len(text) and (match := _TOKEN.match(text, position)):
        position = match.end()
        match match.lastgroup:
            case "word" if now is None:
                now = Span(match[0].strip("\"'"), match.start())
                found.append(now)
            case "open" if now is not None:
                now.opened = position
                around.append(now)
                now = None
            case "end" if now is not None:
                now.end = position
                now = None
            case "close" if around:
                above = around.pop()
                above.closed, above.end = match.start(), position
            case _:
                pass
    return found
