"""What the egress proxy tells of hosts that a sandbox did not reach."""

from __future__ import annotations

import pytest

from perijove.backends.pad.unreached import MOST, REACHED, Heard, Told, packed, unpacked
from perijove.domain.ran import Unreached, Withheld


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        pytest.param(Told("a.example:443", "forbidden", "no"), Told("a.example:443", "forbidden", "no"), id="plain"),
        pytest.param(Told("a\0b:1", "limit", "x\ny"), Told("a?b:1", "limit", "x?y"), id="signs that are none"),
        pytest.param(Told("a" * 9999, REACHED, "b" * 9999), Told("a" * 300, REACHED, "b" * 500), id="long"),
    ],
)
def test_what_is_told_is_heard_and_bounded(told: Told, heard: Told) -> None:
    assert unpacked(packed("one", told)) == ("one", heard)


@pytest.mark.parametrize("message", [b"", b"one", b"one\0why\0host\0said", b"one\0limit\0a\0b\0c", b"\xff" * 99])
def test_what_no_proxy_says_is_not_heard(message: bytes) -> None:
    assert unpacked(message) is None


def test_a_host_that_is_reached_is_told_no_more() -> None:
    lines: list[str] = []
    heard = Heard(lines.append)
    heard.take(Told("a:443", Withheld.UNREACHABLE, "a:443 does not answer"))
    heard.take(Told("b:443", Withheld.FORBIDDEN, "no"))
    heard.take(Told("a:443", REACHED, ""))
    assert heard.unreached == (Unreached("b:443", Withheld.FORBIDDEN, "no"),)
    assert lines == ["Perijove's egress proxy: a:443 does not answer", "Perijove's egress proxy: no"]


def test_a_proxy_that_does_not_end_is_heard_no_more() -> None:
    lines: list[str] = []
    heard = Heard(lines.append)
    for number in range(10 * MOST):
        heard.take(Told(f"{number}:443", Withheld.LIMIT, "no"))
    assert len(lines) == len(heard.unreached) == MOST
