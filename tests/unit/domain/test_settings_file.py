"""The settings file's text: where each setting stands, and what is written reads again as the same."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from perijove.domain import settings_file, wire
from perijove.domain.settings import Settings
from perijove.domain.settings_layers import Layer, merged, names


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        pytest.param("[session]\nmemory = 1\n", "session.memory", 2, id="in a table"),
        pytest.param("[session]\nmemory = 1\n", "session", 1, id="the table"),
        pytest.param("\n# [session]\n[session] # why\n", "session", 3, id="after a comment"),
        pytest.param("session.memory = 1\n", "session.memory", 1, id="with dots"),
        pytest.param('[ session ]\n\t"memory" = 1\n', "session.memory", 2, id="quoted"),
        pytest.param('[certificates.host."a.b"]\nissuers = []\n', "certificates.host", 1, id="a table in a table"),
        pytest.param("[[class]]\nname = 'a'\n[[class]]\n", "class", 1, id="the first of several"),
    ],
)
def test_each_name_has_its_line(text: str, name: str, line: int) -> None:
    assert settings_file.lines(text)[name] == line


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(2 * 1024**3, '"2G"', id="a whole unit"),
        pytest.param(1024**3 + 1, "1073741825", id="no whole unit"),
        pytest.param(0, "0", id="nothing"),
    ],
)
def test_sizes_have_their_largest_unit(raw: int, text: str) -> None:
    assert settings_file.value(raw, names()["session.memory"][2]) == text


def rows(settings: Settings) -> list[dict[str, Any]]:
    tables = wire.encode(settings)
    return [
        {"name": name, "value": tables[name.partition(".")[0]][name.partition(".")[2]], "source": "default"}
        for name in names()
    ]


HOSTILE = 'a "quoted" \\ back\nslash \x7f \u2717 # no comment'


def test_what_is_written_reads_again_as_the_same() -> None:
    given = {
        "service.title": HOSTILE, "service.hosts": ["a.example.org"] * 20, "session.cpus": 1.5, "service.drain": 90,
        "certificates.issuer": {"campus x": {"directory": "https://ca.example.org/d"}},
        "launching.banned_networks": {"192.0.2.0/24": "crawlers"},
        "launching.classes": [{"name": "maths", "repositories": ["gh/o/r"], "memory": "3G", "prepare": "Mon 09:00"}],
    }  # fmt: skip
    settings, _ = merged([Layer("file", given)])
    read = tomllib.loads("\n".join(settings_file.written(rows(settings))))
    classes = read.pop("class")
    flat = {f"{table}.{name}": value for table, entries in read.items() for name, value in entries.items()}
    again, _ = merged([Layer("file", {**flat, settings_file.CLASSES: classes})])
    assert again == settings
