"""How pip is asked for packages that are built from their sources."""

from __future__ import annotations

import pytest

from perijove.backends.environments.installing import as_asked


@pytest.mark.parametrize(
    ("lines", "asked"),
    [
        (["old"], ["old<2"]),
        (["old ; python_version >= '3.8'"], ["old<2"]),
        (["old --no-binary=:all:"], ["old<2"]),
        (["old>=1 ; python_version >= '3.8'"], ["old>=1 ; python_version >= '3.8'"]),
        (["Old[more]~=1.4"], ["Old[more]~=1.4"]),
        (["old --hash=sha256:00"], ["old --hash=sha256:00"]),
        (["old", "old==1.5"], ["old==1.5"]),
        (["older==3"], ["old<2"]),
    ],
    ids=["bare", "marker", "option", "version and marker", "extra", "hash", "pinned elsewhere", "nowhere"],
)
def test_what_others_want_of_a_package_counts_where_no_line_wants_a_version(lines: list[str], asked: list[str]) -> None:
    assert as_asked(["old"], lines, ["old<2"]) == asked
