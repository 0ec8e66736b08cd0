"""What a link names, looked for in a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.launching.resolve.named_file import MAKERS, missing


def made(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.mark.parametrize("named", ["a.ipynb", "sub/b.ipynb", "sub", "sub/", "."])
def test_what_is_there_is_not_missed(tmp_path: Path, named: str) -> None:
    assert missing(made(tmp_path, "a.ipynb", "sub/b.ipynb"), named) is None


MEANT = [
    pytest.param("algorithms.ipynb", ["notebooks/algorithms.ipynb"], "notebooks/algorithms.ipynb", id="moved"),
    pytest.param("Index.ipynb", ["index.ipynb", "old/Index.ipynb"], "index.ipynb", id="capitals, before a folder's"),
    pytest.param("my%20notes.ipynb", ["my notes.ipynb"], "my notes.ipynb", id="encoded twice"),
    pytest.param("my notes.ipynb", ["my+notes.ipynb"], "my+notes.ipynb", id="a plus that was read as a blank"),
    pytest.param("Caf\u00e9.ipynb", ["Cafe\u0301.ipynb"], "Cafe\u0301.ipynb", id="composed otherwise"),
    pytest.param("old/x.ipynb", ["new/X.ipynb"], "new/X.ipynb", id="moved, in other capitals"),
    pytest.param("lessons/1", ["course/lessons/1/a.ipynb"], "course/lessons/1", id="a folder"),
]


@pytest.mark.parametrize(("named", "paths", "meant"), MEANT)
def test_the_only_one_that_may_be_meant_is_opened(tmp_path: Path, named: str, paths: list[str], meant: str) -> None:
    found = missing(made(tmp_path, *paths, "other.txt", ".git/x.ipynb"), named)
    assert found is not None
    assert found.only == meant
    assert found.sentence == f"This commit has no {named}; it has {meant}, which is opened"


def test_of_several_none_is_opened_and_the_uppermost_are_told(tmp_path: Path) -> None:
    found = missing(made(tmp_path, "b/c/d/x.md", "b/c/x.md", "z/x.md", "a/x.md"), "x.md")
    assert found is not None
    assert found.only == ""
    assert found.sentence == "This commit has no x.md; it has a/x.md, z/x.md, b/c/x.md and others of that name"


def test_where_there_is_nothing_like_it_that_is_all(tmp_path: Path) -> None:
    found = missing(made(tmp_path, "a.ipynb"), "b.ipynb")
    assert found is not None
    assert (found.sentence, found.only) == ("This commit has no b.ipynb", "")


@pytest.mark.parametrize("script", MAKERS)
def test_a_script_of_the_repository_may_make_it(tmp_path: Path, script: str) -> None:
    found = missing(made(tmp_path, "src/a.ipynb", script), "a.ipynb")
    assert found is not None
    assert (found.sentence, found.only) == (
        f"This commit has no a.ipynb, unless {script} makes it; it has src/a.ipynb", "",
    )  # fmt: skip


def test_what_was_not_looked_at_may_be_meant_too(tmp_path: Path) -> None:
    found = missing(made(tmp_path, "a/x.md", "b/1", "b/2", "b/3"), "x.md", most=3)
    assert found is not None
    assert (found.meant, found.only) == (("a/x.md",), "")


def test_nothing_is_told_of_what_lies_behind_a_link_out_of_the_checkout(tmp_path: Path) -> None:
    root = made(tmp_path / "root", "a.ipynb")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    assert missing(root, "out/secret") is None
    made(tmp_path, "secret")
    assert missing(root, "out/secret") is None
    assert missing(root, "loop") is not None
    assert missing(root, "x" * 300) is not None
