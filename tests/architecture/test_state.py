"""Everything that grows has a bound: each place of the state directory says which, in docs/operating.md."""

from __future__ import annotations

import re
from pathlib import Path

from perijove.domain.settings_layers import names
from perijove.domain.state import State
from tests.architecture.sources import document

ROOT = Path("/state")
TABLE = document("operating.md").partition("### What grows\n")[2].partition("\n## ")[0]


def places() -> dict[str, Path]:
    """Every path of a state directory, by its name."""
    given = {name: getattr(State(ROOT), name) for name, value in vars(State).items() if isinstance(value, property)}
    return {name: path for name, path in given.items() if isinstance(path, Path)}


def test_every_place_of_the_state_directory_says_what_bounds_it() -> None:
    told = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", TABLE, re.MULTILINE))
    wanted = {str(path.relative_to(ROOT)) for path in places().values()}
    inner = {one for one in wanted if not any(other.startswith(f"{one}/") for other in wanted)}
    assert len(wanted) > 20
    assert sorted(inner - told.keys()) == [], "a place of which nobody says what bounds it"
    assert sorted(told.keys() - wanted) == [], "told, but there is no such place"
    assert not [place for place, bound in told.items() if len(bound.split()) < 2]


def test_every_bound_that_is_a_setting_is_one() -> None:
    bounds = "".join(re.findall(r"^\| `[^`]+` \| (.+) \|$", TABLE, re.MULTILINE))
    assert set(re.findall(r"`([a-z]+\.[a-z_]+)`", bounds)) <= names().keys()
