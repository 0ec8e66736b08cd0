"""What a page shows and offers of a failure."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from perijove.domain import failures
from perijove.domain.failures import Evidence
from perijove.launching.resolve.address import from_launch_path
from perijove.web.explained import ISSUE, SHOWN, issue_link, report, says_why, shown

BOILERPLATE = [f"running build_ext {n}" for n in range(50)]
AUTHORS = failures.BUILD_BROKE("juno: fatal: gcc not found")


def log(*lines: str) -> str:
    return "\n".join(lines)


def test_evidence_begins_with_the_line_that_the_cause_names() -> None:
    saw = log(*BOILERPLATE, "fatal: gcc not found", "[end of output]")
    (one,) = shown(failures.BUILD_BROKE("juno: fatal: gcc not found", Evidence("pip", saw)))
    assert one.begins == log("fatal: gcc not found", "[end of output]")
    assert one.whole == saw


def test_evidence_begins_with_the_last_line_that_tells_of_an_error_where_the_cause_names_none() -> None:
    saw = log(*BOILERPLATE, "error: one", "b", "ModuleNotFoundError: No module named x", "c")
    (one,) = shown(failures.BUILD_BROKE("pip ended with exit status 1", Evidence("pip", saw)))
    assert one.begins == log("ModuleNotFoundError: No module named x", "c")


def test_evidence_that_says_nothing_more_telling_is_shown_from_its_beginning_once() -> None:
    (short,) = shown(failures.CONFLICT("no", Evidence("uv", "a\nb")))
    assert (short.begins, short.whole) == ("a\nb", "")
    (long,) = shown(failures.CONFLICT("no", Evidence("uv", log(*BOILERPLATE))))
    assert long.begins == log(*BOILERPLATE[:SHOWN])
    assert long.whole == log(*BOILERPLATE)
    (empty,) = shown(failures.CONFLICT("no", Evidence("uv", "")))
    assert (empty.begins, empty.whole) == ("", "")


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        ("error: metadata-generation-failed", True),
        ("x.c:3:10: fatal error: Python.h: No such file", True),
        ("ValueError: no", True),
        ("ERROR: Could not find a version", True),
        ("0 errors, 3 warnings", False),
        ("Collecting error-reporting", False),
        ("x" * 100_000 + " error: ", False),
    ],
)
def test_lines_that_tell_of_an_error_are_known_by_their_words(line: str, *, tells: bool) -> None:
    assert says_why(line) is tells


def test_a_report_says_all_there_is_to_know() -> None:
    failure = failures.CONFLICT("a==1 and a==2", Evidence("uv", "x\ny"))
    text = report(failure, "https://github.com/owner/repo", "1" * 40, "https://hub.test/launch/3")
    for says in (failure.kind.title, "a==1 and a==2.", failure.remedy, "1" * 40, "build.conflict", "launch/3"):
        assert says in text
    assert "uv:\n    x\n    y" in text


def test_an_issue_is_opened_at_the_host_s_own_form_within_what_an_address_may_hold() -> None:
    there = urlsplit(issue_link(from_launch_path("gh/owner/repo/HEAD"), AUTHORS, "é & #" * 2000))
    assert (there.netloc, there.path) == ("github.com", "/owner/repo/issues/new")
    assert parse_qs(there.query) == {"title": [AUTHORS.kind.title], "body": [("é & #" * 2000)[:ISSUE]]}
    there = urlsplit(issue_link(from_launch_path("gl/group%2Fproject/main"), AUTHORS, "text"))
    assert (there.netloc, there.path) == ("gitlab.com", "/group/project/-/issues/new")
    assert parse_qs(there.query)["issue[description]"] == ["text"]


def test_no_issue_is_opened_where_the_author_can_do_nothing_or_no_form_is_known() -> None:
    mine = failures.DISK_FULL("full")
    assert issue_link(from_launch_path("gh/owner/repo/HEAD"), mine, "text") == ""
    assert issue_link(from_launch_path("git/https%3A%2F%2Fhost.test%2Fr/HEAD"), AUTHORS, "text") == ""
