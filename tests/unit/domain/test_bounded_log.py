"""What is kept of a stranger's line."""

from __future__ import annotations

import pytest

from perijove.domain.bounded_log import COLOURS, LINE, Colours, clean, clean_colours

LINES = [
    pytest.param("plain  ", "plain", (), id="plain"),
    pytest.param("\x1b[31mred\x1b[0m, and not", "red, and not", ((0, "31"), (3, "")), id="red"),
    pytest.param(
        "a \x1b[1mb \x1b[92mc\x1b[22md\x1b[39me", "a b cde", ((2, "1"), (4, "1;92"), (5, "92"), (6, "")), id="bold",
    ),
    pytest.param("\x1b[01;31mx\x1b[my", "xy", ((0, "1;31"), (1, "")), id="as grep writes it"),
    pytest.param("\x1b[31m\x1b[32mx", "x", ((0, "32"),), id="the last before a character counts"),
    pytest.param("\x1b[31mx\x1b[0m\x1b[31my", "xy", ((0, "31"),), id="the same again"),
    pytest.param("\x1b[38;5;1mx\x1b[48;2;31;32;33my", "xy", (), id="what of all colours may be named"),
    pytest.param("\x1b[7;5;4;44;100mx", "x", (), id="backgrounds and blinking"),
    pytest.param("\x1b]8;;https://x.test\x07\x1b[34mlink\x1b]8;;\x07\x1b[2K", "link", ((0, "34"),), id="links, moves"),
    pytest.param("x\x1b[31m   ", "x", (), id="nothing to be seen"),
    pytest.param("a\x1b[31m\x00\tb", "a \tb", ((1, "31"),), id="control characters"),
    pytest.param("\x1b[31m10%\r\x1b[32m100% \r", "100%", ((0, "32"),), id="written over"),
    pytest.param("\x1b[31m\U0001f600\x1b[32mx", "\U0001f600x", ((0, "31"), (1, "32")), id="not halves of characters"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "text", "colours"), LINES)
def test_a_line_keeps_its_colours_and_nothing_else_of_a_terminal_s(line: str, text: str, colours: Colours) -> None:
    assert clean_colours(line) == (text, colours)
    assert clean(line) == text
    assert clean_colours(text) == (text, ())


def test_colours_are_bounded_and_end_plain() -> None:
    text, colours = clean_colours("".join(f"\x1b[{31 + n % 2}mx" for n in range(10 * COLOURS)))
    assert len(text) <= LINE
    assert len(colours) == COLOURS
    assert colours[-1][1] == ""
