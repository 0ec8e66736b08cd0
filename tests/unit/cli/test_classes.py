"""Classes as the command shows them, and as the settings file has them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perijove.cli.printing import local
from perijove.cli.service import loader
from perijove.domain.classes import ClassSettings
from perijove.domain.failures import Fail
from tests.unit.cli.conftest import Shell

TERM = ClassSettings("term", ("gh/owner/repo/HEAD",), seats=3, memory=1024**3, prepare="2037-01-11 09:30")
OPENS, CLOSES = (local(datetime(2037, 1, 11, *at, tzinfo=UTC).timestamp()) for at in ((9, 30), (12, 0)))
NOW = ClassSettings("now", ("https://github.com/owner/other",), until="2037-01-11 12:00")


def test_a_table_of_the_file_is_a_class(tmp_path: Path) -> None:
    file = tmp_path / "perijove.toml"
    file.write_text('[[class]]\nname = "term"\nrepositories = ["gh/owner/repo/HEAD"]\nseats = 3\nmemory = "1G"\n')
    settings, sources = loader(file, {})()
    assert settings.launching.classes == (replace(TERM, prepare=""),)
    assert sources == {"launching.classes": f"{file}:1"}
    file.write_text('[class]\nname = "term"\n')
    with pytest.raises(Fail, match="must be tables"):
        loader(file, {})()


def test_a_mistake_in_the_file_is_told_as_the_file_has_it(tmp_path: Path) -> None:
    file = tmp_path / "perijove.toml"
    file.write_text('session = "2G"\n')
    with pytest.raises(Fail, match=r"session is a table: its settings stand below \[session\]"):
        loader(file, {})()
    file.write_text('[[class]]\nname = "term"\nrooms = true\n')
    with pytest.raises(Fail) as failed:
        loader(file, {})()
    assert failed.value.failure.evidence[0].saw == '[{"name": "term", "rooms": true}]'
    with pytest.raises(Fail) as failed:
        loader(tmp_path / "none.toml", {})()
    assert failed.value.failure.evidence[0].saw == "No such file or directory"


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    file = tmp_path / "perijove.toml"
    file.write_bytes('\ufeff[page]\r\ntext = "Grüße"\r\n'.encode())
    assert loader(file, {})()[0].page.text == "Grüße"


@pytest.fixture
def classes(perijove: Shell) -> Shell:
    world = perijove.hall.office.world
    perijove.hall.do(lambda: world.set(launching__classes=(TERM, NOW)))
    return perijove


def test_they_are_listed_with_seats_and_hours(classes: Shell) -> None:
    assert classes("get", "classes").cells() == [
        ["NAME", "STATE", "UNTIL", "SEATS", "READY", "OPENS"],
        ["term", "closed", "-", "0/3", "0/0", OPENS],
        ["now", "open", CLOSES, "0/-", "0/0", "-"],
    ]


def test_one_is_described_with_its_repositories_and_settings(classes: Shell) -> None:
    told = classes("describe", "class", "term")
    assert told.status == 0
    assert "  v2/gh/owner/repo/HEAD: not prepared" in told.lines
    assert '  memory = "1G"' in told.lines
    assert '  until = "2037-01-11 12:00"' in classes("describe", "class", "now").lines
    office = classes.hall.office
    classes.hall.do(lambda: office.world.preparations.pushed("github.com/owner/repo"))
    assert "building" in classes("logs", "launch", "1", "-f").out
    told = classes("describe", "class", "term")
    assert re.search(r"v2/gh/owner/repo/HEAD: built by launch 1, \d+s ago\n    commit 1{10}\n", told.out)
    missing = classes("describe", "class", "nothing")
    assert missing.status == 1
    assert "there is no class nothing" in missing.err
