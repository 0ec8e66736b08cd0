"""docs/settings.md says what the settings are; its examples are understood."""

from __future__ import annotations

import tomllib
from dataclasses import fields

import pytest

from perijove.domain.settings_layers import Layer, environment_layers, merged, names
from tests.architecture import settings_doc


def test_the_document_says_what_the_settings_are() -> None:
    """Where this fails: `python -m tests.architecture.settings_doc`."""
    assert settings_doc.PATH.read_text() == settings_doc.text()


@pytest.mark.parametrize("name", names())
def test_every_setting_says_what_it_means(name: str) -> None:
    table, field, _ = names()[name]
    assert settings_doc.docstrings(table)[field].endswith((".", ".)"))


@pytest.mark.parametrize("name", [name for name, row in names().items() if not settings_doc.inner_table(row[2])])
def test_every_example_is_understood_and_changes_something(name: str) -> None:
    (row,) = [line for line in settings_doc.section(name, *names()[name]).splitlines() if line.startswith("| `")]
    default, in_file, in_environment = (cell.strip(" `") for cell in row.strip("| ").split(" | "))
    table, _, assignment = in_file.partition(" ")
    from_file, _ = merged(
        [Layer("file", {name: tomllib.loads(f"{table}\n{assignment}")[table.strip("[]")][name.partition(".")[2]]})]
    )
    variable, _, value = in_environment.partition("=")
    from_variable, _ = merged(environment_layers({variable: value.strip("'")}))
    plain, _ = merged([Layer("file", {name: tomllib.loads(f"it = {default}")["it"]})])
    assert plain == merged([])[0], "the default that is shown is the default"
    assert from_file != plain
    assert from_variable != plain


@pytest.mark.parametrize("name", [name for name, row in names().items() if settings_doc.inner_table(row[2])])
def test_every_key_of_a_table_says_what_it_means(name: str) -> None:
    inner = settings_doc.inner_table(names()[name][2])
    assert inner is not None
    assert list(settings_doc.docstrings(inner)) == [field.name for field in fields(inner)]
