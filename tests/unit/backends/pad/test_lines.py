"""Bytes of a stranger become bounded lines."""

from __future__ import annotations

import os

import pytest

from perijove.backends.pad.lines import CUT, LINE, Lines
from tests.fakes.confined import until


async def said(data: bytes, most: int = 100) -> list[str]:
    ours, theirs = os.pipe()
    lines: list[str] = []
    reading = Lines(ours, lines.append, most)
    os.set_blocking(theirs, False)
    sent = 0
    while sent < len(data):
        try:
            sent += os.write(theirs, data[sent : sent + 65536])
        except BlockingIOError:
            held = len(lines)
            await until(lambda held=held: len(lines) > held or True)  # type: ignore[misc]
            reading._readable()
    os.close(theirs)
    reading.finish()
    return lines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"no newline", ["no newline"]),
        (b"windows\r\n", ["windows"]),
        (b"\r 10%\r100%\r\nnext\n", ["100%", "next"]),
        (b"".join(b"\r%5d of 20000" % n for n in range(20_001)) + b"\nnext\n", ["20000 of 20000", "next"]),
        (b"\n\n", ["", ""]),
        (b"bad \xff\n", ["bad \N{REPLACEMENT CHARACTER}"]),
        (b"x" * 3000 + b"\nnext\n", ["x" * (LINE - 1) + "…", "next"]),
        (b"x" * 50_000 + b"\nnext\n", ["x" * (LINE - 1) + "…", "next"]),
        (b"", []),
    ],
    ids=["two", "unfinished", "crlf", "bar", "long-bar", "empty-lines", "not-utf8", "long", "very-long", "nothing"],
)
async def test_lines_are_bounded(data: bytes, expected: list[str]) -> None:
    assert await said(data) == expected


async def test_beyond_the_most_only_the_last_are_told() -> None:
    lines = await said(b"".join(b"%d\n" % n for n in range(1000)), most=3)
    assert lines == ["0", "1", "2", CUT, *map(str, range(980, 1000))]


async def test_just_beyond_the_most_no_line_is_told_twice() -> None:
    assert await said(b"0\n1\n2\n3\n", most=3) == ["0", "1", "2", CUT, "3"]
