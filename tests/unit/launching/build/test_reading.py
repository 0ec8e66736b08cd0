from pathlib import Path

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.domain.nouns import InstallRequirements
from perijove.launching.build.reading import LARGEST, detected, read


def test_a_link_to_a_file_of_the_repository_is_followed(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six")
    (tmp_path / "binder").mkdir()
    (tmp_path / "binder/requirements.txt").symlink_to("../requirements.txt")
    assert detected(tmp_path).plan.steps == (InstallRequirements("binder/requirements.txt", "six"),)


@pytest.mark.parametrize("name", ["requirements.txt", "runtime.txt", "pyproject.toml", ".python-version"])
def test_a_link_out_of_the_repository_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("six")
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / name).symlink_to("../secret")
    with pytest.raises(Fail) as caught:
        detected(tmp_path / "repository")
    assert caught.value.failure.kind is failures.BAD_FILE
    assert "outside" in caught.value.failure.cause


def test_a_binder_folder_that_is_a_link_out_of_the_repository_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "requirements.txt").write_text("six")
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/binder").symlink_to("../elsewhere")
    assert detected(tmp_path / "repository").plan.steps == ()


def test_folders_with_the_names_of_files_do_not_count(tmp_path: Path) -> None:
    for name in ("start", "Dockerfile", "requirements.txt"):
        (tmp_path / name).mkdir()
    assert detected(tmp_path).plan.steps == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"a" * (LARGEST + 1), "larger than", id="too large"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="not text"),
    ],
)
def test_a_file_that_is_no_short_text_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "requirements.txt").write_bytes(content)
    with pytest.raises(Fail, match=says):
        read(tmp_path, "requirements.txt")


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").symlink_to("requirements.txt")
    with pytest.raises(Fail, match=r"requirements\.txt"):
        read(tmp_path, "requirements.txt")
