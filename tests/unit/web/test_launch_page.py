"""What stands on a launch's page."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from perijove.domain.nouns import ResolvedRepo
from perijove.domain.settings import SessionSettings
from perijove.launching.resolve.address import from_launch_path, local_folder
from perijove.web.assets import STATIC
from perijove.web.launch_page import Line, folds, heading, limits
from perijove.web.progress import Stage

COMMIT = "1" * 40
HEADINGS = [
    pytest.param(
        "gh/owner/repo/HEAD", "refs/heads/main",
        ("GitHub", "owner/repo", "https://github.com/owner/repo", "main", "https://github.com/owner/repo/tree/main"),
        f"https://github.com/owner/repo/tree/{COMMIT}", id="GitHub",
    ),
    pytest.param(
        "gl/group%2Fsub%2Fproject/v1", "refs/tags/v1",
        ("GitLab", "group/sub/project", "https://gitlab.com/group/sub/project", "v1",
         "https://gitlab.com/group/sub/project/-/tree/v1"),
        f"https://gitlab.com/group/sub/project/-/tree/{COMMIT}", id="GitLab",
    ),
    pytest.param(
        "git/https%3A%2F%2Fhost.test%2Fr/dev", "refs/heads/dev",
        ("Git repository", "host.test/r", "https://host.test/r", "dev", ""), "", id="any host",
    ),
    pytest.param(
        "git/ssh%3A%2F%2Fgit@host.test%2Fr/HEAD", "",
        ("Git repository", "ssh://git@host.test/r", "", "default branch", ""), "", id="no web address",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "ref_name", "says", "commit_url"), HEADINGS)
def test_a_page_is_headed_by_its_repository(path: str, ref_name: str, says: tuple[str, ...], commit_url: str) -> None:
    address = from_launch_path(path)
    known = heading(address, ResolvedRepo(address, COMMIT, ref_name))
    assert (known.host, known.name, known.url, known.ref, known.ref_url) == says
    assert (known.commit, known.commit_url) == (COMMIT, commit_url)
    unknown = heading(address, None)
    assert (unknown.name, unknown.commit, unknown.commit_url, unknown.ref_url) == (says[1], "", "", "")


def test_a_folder_of_the_operator_s_is_named_and_leads_nowhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("mine")
    known = heading(local_folder(folder), None)
    assert (known.name, known.url, known.ref_url) == (folder.name, "", "")


def test_the_log_is_folded_by_stage_and_open_where_something_happens() -> None:
    stages = [Stage("fetching", "Fetch", "done", 1.0), Stage("building", "Build", "broken", 2.0)]
    lines = [Line("fetching", "a"), Line("building", "error: b"), Line("session", "c")]
    found = folds(lines, stages)
    assert [(fold.phase, [line.text for line in fold.lines], fold.open) for fold in found] == [
        ("fetching", ["a"], False),
        ("building", ["error: b"], True),
        ("session", ["c"], False),
    ]
    assert [line.error for line in lines] == [False, True, False]


def test_a_session_s_limits_are_told_as_they_are_set() -> None:
    told = limits(SessionSettings())
    for says in ("2 GB of memory", "not used for 30 min", "after 6 h in any case", "is kept for 7 d afterwards"):
        assert says in told
    assert "download what you want to keep" in limits(replace(SessionSettings(), keep=0))
    endless = replace(SessionSettings(), idle_timeout=0, max_age=0)
    assert " ends" not in limits(endless)
    assert "It ends after 6 h." in limits(replace(SessionSettings(), idle_timeout=0))


def test_a_line_is_shown_in_pieces_by_its_colours() -> None:
    line = Line("building", "a <b> c", ((2, "1;31"), (5, "")))
    assert line.pieces == [("", "a "), ("sgr-1 sgr-31", "<b>"), ("", " c")]
    assert Line("building", "plain").pieces == [("", "plain")]


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("code", [*range(30, 38), *range(90, 98)])
def test_every_colour_can_be_read_on_the_log_s_ground(code: int, scheme: int) -> None:
    css = (STATIC / "perijove.css").read_text()
    (name,) = re.findall(rf"\.sgr-{code}\b[^{{]*\{{ color: var\((--[a-z]+)\)", css)
    text, ground = (re.findall(rf"{of}: (#[0-9a-f]{{6}});", css)[scheme] for of in (name, "--log"))
    lighter, darker = sorted((_luminance(text), _luminance(ground)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
