import codecs
from pathlib import Path

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.domain.nouns import InstallConda, InstallRequirements
from perijove.launching.build.reading import LARGEST, MOST, detected, read
from perijove.launching.build.requirements import lines


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
        pytest.param(b"six\xff", "not UTF-8 text", id="not text"),
        pytest.param("six".encode("utf-16-le"), "Save it as UTF-8", id="UTF-16 without its mark"),
        pytest.param(b"\xff\xfes", "not UTF-16-LE text", id="half of a text"),
        pytest.param(b"six\nfoo\0bar\n", "line 2 holds a zero byte", id="a zero byte"),
        pytest.param(b"# coding: latin-9000\nsix", "latin-9000", id="no encoding"),
        pytest.param(b"# coding: zlib\nsix", "not a text encoding", id="an encoding of no text"),
    ],
)
def test_a_file_that_is_no_short_text_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "requirements.txt").write_bytes(content)
    with pytest.raises(Fail, match=says):
        read(tmp_path, "requirements.txt")


DESCRIBING = ("requirements.txt", "environment.yml", "apt.txt", "runtime.txt", "pyproject.toml", ".python-version")


@pytest.mark.parametrize("name", DESCRIBING)
def test_where_a_file_of_windows_is_no_utf_8_is_told_with_the_letter_and_how_it_is_saved(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes("six\n# Größe – “quoted”\x07\n".encode("cp1252"))
    with pytest.raises(Fail) as caught:
        detected(tmp_path)
    failure = caught.value.failure
    assert "in line 2): in Windows-1252 that is “ö”, of “# Größe – “quoted””" in failure.cause
    assert "as UTF-8" in failure.remedy
    assert f"`iconv -f windows-1252 -t utf-8 {name} > utf-8.txt && mv utf-8.txt {name}`" in failure.remedy


@pytest.mark.parametrize("content", [b"six\n\x81", b"# coding: ascii\n\xf6"], ids=["in no encoding", "as it says"])
def test_what_is_no_windows_text_is_not_taken_for_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "requirements.txt").write_bytes(content)
    with pytest.raises(Fail, match=r"in line 2\)$|in line 2\)\.") as caught:
        read(tmp_path, "requirements.txt")
    assert "Windows" not in caught.value.failure.cause


def test_a_letter_that_yaml_does_not_take_is_told(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("name: x\ndependencies: [six\x07]\n")
    with pytest.raises(Fail, match=r"environment\.yml cannot be used: line 2 holds '\\x07', which YAML does not take"):
        detected(tmp_path)


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").symlink_to("requirements.txt")
    with pytest.raises(Fail, match=r"requirements\.txt"):
        read(tmp_path, "requirements.txt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(codecs.BOM_UTF8 + b"six==1.16.0\r\nidna\r\n", "", id="a BOM"),
        pytest.param(codecs.BOM_UTF16_LE + "six==1.16.0\r\nidna\r\n".encode("utf-16-le"), "UTF-16-LE", id="PowerShell"),
        pytest.param(codecs.BOM_UTF16_BE + "six==1.16.0\nidna\n".encode("utf-16-be"), "UTF-16-BE", id="big endian"),
        pytest.param(codecs.BOM_UTF32_LE + "six==1.16.0\ridna\r".encode("utf-32-le"), "UTF-32-LE", id="UTF-32"),
        pytest.param(b"# -*- coding: latin-1 -*- \xe9\nsix==1.16.0\nidna\n", "ISO8859-1", id="a comment that says it"),
    ],
)
def test_a_text_is_read_in_the_encoding_that_pip_reads_it_in(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "requirements.txt").write_bytes(content)
    found = detected(tmp_path)
    (step,) = found.plan.steps
    assert isinstance(step, InstallRequirements)
    assert [line.text for line in lines("requirements.txt", step.text)] == ["six==1.16.0", "idna"]
    notes = [f"requirements.txt is written in {told}: save it as UTF-8, which every program reads"] if told else []
    assert list(found.notes) == notes


def test_files_that_lie_where_they_do_not_count_are_told(tmp_path: Path) -> None:
    for folder in ("notebooks", "a/b", "a/b/c", ".hidden"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "requirements.txt").touch()
    (tmp_path / "linked").symlink_to("notebooks")
    assert detected(tmp_path).notes == (
        "notebooks/requirements.txt is not read: only the root's and binder/'s are",
        "a/b/requirements.txt is not read: only the root's and binder/'s are",
    )
    (tmp_path / "requirements.txt").touch()
    assert detected(tmp_path).notes == ()


def test_folders_without_number_are_not_all_looked_into(tmp_path: Path) -> None:
    for number in range(MOST + 10):
        (tmp_path / f"f{number:05}").mkdir()
    (tmp_path / "z").mkdir()
    (tmp_path / "z/requirements.txt").touch()
    assert detected(tmp_path).notes == ()


def test_an_environment_yml_may_be_a_link_within_the_repository_and_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "devtools").mkdir()
    (tmp_path / ".binder").mkdir()
    (tmp_path / "devtools/test_env.yml").write_bytes(b"\xef\xbb\xbfdependencies:\r\n- numpy\r\n")
    (tmp_path / ".binder/environment.yml").symlink_to("../devtools/test_env.yml")
    assert detected(tmp_path).plan.steps == (InstallConda(".binder/environment.yml", (), ("numpy",)),)
    (tmp_path / ".binder/environment.yml").unlink()
    (tmp_path / ".binder/environment.yml").symlink_to("/etc/hostname")
    with pytest.raises(Fail) as caught:
        detected(tmp_path)
    assert "outside of the repository" in caught.value.failure.cause
