import os
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.environments import resolutions
from perijove.domain.build_inputs import Package
from tests.fakes.world import INPUTS

SIX = Package("six", "1.17.0", "content", built=False)


def test_what_was_written_is_read_by_whoever_asks_the_same(tmp_path: Path) -> None:
    assert resolutions.read(tmp_path, INPUTS) is None
    resolutions.write(tmp_path, replace(INPUTS, turn=2), "key", [SIX, replace(SIX, name="mine", built=True)])
    found = resolutions.read(tmp_path, replace(INPUTS, maker="a newer one"))
    assert found is not None
    assert (found.turn, found.environment, found.lines) == (2, "key", ("six==1.17.0",))
    assert found.name == replace(INPUTS, turn=2).name


def test_no_name_of_a_package_becomes_an_option_of_uv_s(tmp_path: Path) -> None:
    odd = [replace(SIX, version="1\n--index-url=http://h"), replace(SIX, name="-r x"), replace(SIX, version="1 2")]
    resolutions.write(tmp_path, INPUTS, "key", [SIX, *odd])
    found = resolutions.read(tmp_path, INPUTS)
    assert found is not None
    assert found.lines == ("six==1.17.0",)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "n"}', '{"name": "n", "turn": "x"}'])
def test_what_cannot_be_read_was_never_resolved(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{INPUTS.question}.json").write_text(text)
    assert resolutions.read(tmp_path, INPUTS) is None


def test_what_was_asked_for_last_is_kept(tmp_path: Path) -> None:
    for turn, wanted in enumerate(("a", "b")):
        inputs = replace(INPUTS, wanted=replace(INPUTS.wanted, packages=(wanted,)))
        resolutions.write(tmp_path, inputs, wanted, [])
        os.utime(tmp_path / f"{inputs.question}.json", (turn, turn))
    asked = replace(INPUTS, wanted=replace(INPUTS.wanted, packages=("a",)))
    assert resolutions.read(tmp_path, asked) is not None
    resolutions.tidy(tmp_path, kept=1)
    assert [path.name for path in tmp_path.iterdir()] == [f"{asked.question}.json"]
