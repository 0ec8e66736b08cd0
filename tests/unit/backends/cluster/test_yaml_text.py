"""The quick reader of kubectl's YAML says what PyYAML says, of whatever is given to it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from perijove.backends.cluster.yaml_text import Unusual, documents, members

RECORDED = sorted((Path(__file__).parents[3] / "doctor").rglob("*.y*ml"))
assert RECORDED


class Library(yaml.CSafeLoader):
    """PyYAML, but for times, which stay text."""


Library.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def by_library(text: str) -> list[Any]:
    return [one for one in yaml.load_all(text, Library) if one is not None]


def quickly(text: str) -> list[Any]:
    return [one for one in documents(text) if one is not None]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recordings_are_read_as_the_library_reads_them(path: Path) -> None:
    text = path.read_text()
    assert quickly(text) == by_library(text)


WORDS = [
    "yes", "No", "0x1f", "1_000", "0o7", "1e3", "~", "null", "2026-03-10T09:00:00Z", "12:30:45", "- a", "a: b",
    "# none",    " lead", "trail ", "'", '"', "|", ">", "&a", "*a", "!tag", "%", "@", "`", "{}", "[]", "a\\nb", "é☃",
    "line\n", "\t", ":",    "line\n\n  deeper\n", "a:b", "=", "<<", "-", "?", "---",
    "...", "", "name", "metadata", "10.96.0.10", "500m", "1Gi",
    None, True, False, 0, -1, 10**20, 1.5, -0.0, float("inf"),
]  # fmt: skip
LETTERS = "ab:-# \n'\"|>{}[]&*!,?\t0.y"


def drawn(dice: random.Random, depth: int = 0) -> Any:
    """A document of words that are easily misread."""
    kind = dice.random() if depth < 4 else 0
    if kind < 0.5:
        return dice.choice(WORDS)
    size = dice.randrange(4)
    if kind < 0.7:
        return [drawn(dice, depth + 1) for _ in range(size)]
    return {dice.choice(WORDS): drawn(dice, depth + 1) for _ in range(size)}


@pytest.mark.parametrize("seed", range(60))
def test_what_the_library_writes_is_read_as_the_library_reads_it(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(40):
        written = [drawn(dice) for _ in range(dice.randrange(1, 4))]
        text = yaml.safe_dump_all(written, sort_keys=False, allow_unicode=True, explicit_start=dice.random() < 0.5)
        assert quickly(text) == by_library(text), text


@pytest.mark.parametrize("seed", range(60))
def test_any_text_is_read_as_the_library_reads_it_or_refused_by_both(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(200):
        text = "".join(dice.choice(LETTERS) for _ in range(dice.randrange(60)))
        try:
            expected = by_library(text)
        except (yaml.YAMLError, TypeError, ValueError):
            continue
        assert quickly(text) == expected, text


@pytest.mark.parametrize(
    "text",
    [
        "a: |\n  one\n   two\n\n  three\nb: 1\n",
        "a: |-\n  one\n\n\nb: 2\n",
        "a: |+\n  one\n\nb: 2\n",
        "a: >\n  one\n  two\n\n  three\n",
        "a:\n- b: 1\n  c:\n  - d\n- e\n",
        "a:\n  - b\n  -\n    c: 1\n",
        "a: 'it''s'\nb: \"tab\\there\"\n",
        "a: one\n  two\n",
        'a: "one\n  two"\n',
        "a: b # comment\n# whole line\nc: d\n",
        "base: &x {k: v}\nother: *x\n",
        "? complex\n: value\n",
        "a: !!str 1\n",
        "a: 1\na: 2\n",
        "--- \na: 1\n---\nb: 2\n...\n",
        "%YAML 1.1\n---\na: 1\n",
        "- - 1\n  - 2\n- 3\n",
        "a: [1, 2]\nb: {}\n",
        "key with spaces: 1\n'quoted: key': 2\n",
        "a: 0b11\nb: 017\nc: 1:30\nd: .5\ne: +1\n",
        "a:    \nb: ~\nc:\n",
    ],
)
def test_what_is_easily_misread(text: str) -> None:
    assert quickly(text) == by_library(text)


LIST = """apiVersion: v1
items:
- &one
  kind: Pod
  metadata:
    managedFields:
    - manager: kubelet
      fieldsV1: {}
    name: a
    notes: &notes
      x: |
        - no member

        managedFields: []
- kind: Pod
  metadata:
    name: b
    notes: *notes
kind: List
metadata:
  resourceVersion: ""
"""


def test_members_of_a_list_are_those_that_the_library_reads() -> None:
    whole = yaml.safe_load(LIST)
    assert list(members(LIST)) == whole["items"]
    del whole["items"][0]["metadata"]["managedFields"]
    assert list(members(LIST, frozenset({"managedFields"}))) == whole["items"]


@pytest.mark.parametrize("text", ["kind: Pod\n", "", "items: []\n", f"{LIST}---\n{LIST}", "items:\n\t- a: b\n"])
def test_what_is_no_such_list_is_left_to_others(text: str) -> None:
    with pytest.raises(Unusual):
        list(members(text))
