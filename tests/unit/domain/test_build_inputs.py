from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from perijove.domain.build_inputs import BuildInputs, CondaPackages, Interpreter, Scripts, Source, Wanted
from perijove.domain.nouns import Checkout, RepoAddress, ResolvedRepo

ADDRESS = RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r")
PYTHON = Interpreter("3.12.1", Path("/usr/bin/python3.12"), Path("/usr"))
HOME = Checkout(ResolvedRepo(ADDRESS, "a" * 40, "refs/heads/main"), Path("/checkout"))
SOURCE = Source(".", "", ".", local=True)
INPUTS = BuildInputs(Wanted(("six",)), PYTHON, HOME, "1", 0)

OTHERS: dict[str, list[Any]] = {
    "wanted": [
        replace(INPUTS.wanted, packages=("six==1.16",)),
        replace(INPUTS.wanted, constraints=("six<2",)),
        replace(INPUTS.wanted, sources=(SOURCE,)),
        replace(INPUTS.wanted, elsewhere=("requirements.txt",)),
        replace(INPUTS.wanted, prereleases=True),
        replace(INPUTS.wanted, conda=CondaPackages("a lock", "3.12.1", ())),
        replace(INPUTS.wanted, moves=True),
    ],
    "interpreter": [
        replace(PYTHON, version="3.12.2"),
        replace(PYTHON, executable=Path("/opt/python3.12")),
        replace(PYTHON, prefix=Path("/opt")),
    ],
    "home": [
        None,
        replace(HOME, repo=replace(HOME.repo, commit="b" * 40)),
        replace(HOME, repo=replace(HOME.repo, address=replace(ADDRESS, url="https://h/o/other"))),
    ],
    "maker": ["2"],
    "period": [1],
    "others": [(PYTHON,)],
    "scripts": [
        Scripts(HOME, "postBuild", ""),
        Scripts(HOME, "binder/postBuild", ""),
        Scripts(HOME, "postBuild", "start"),
        Scripts(replace(HOME, repo=replace(HOME.repo, commit="b" * 40)), "postBuild", ""),
        Scripts(replace(HOME, repo=replace(HOME.repo, address=replace(ADDRESS, url="https://h/o/x"))), "postBuild", ""),
    ],
}


@pytest.mark.parametrize("name", [field.name for field in fields(BuildInputs)])
def test_every_input_is_in_the_key(name: str) -> None:
    keys = {replace(INPUTS, **{name: other}).key for other in OTHERS[name]}
    assert len(keys) == len(OTHERS[name])
    assert INPUTS.key not in keys


def test_every_part_of_what_is_wanted_has_been_changed() -> None:
    assert len(OTHERS["wanted"]) == len(fields(Wanted))


def test_where_the_checkout_lies_and_which_ref_led_there_are_not() -> None:
    moved = replace(HOME, path=Path("/elsewhere"), repo=replace(HOME.repo, ref_name=""))
    assert replace(INPUTS, home=moved).key == INPUTS.key


@pytest.mark.parametrize(
    ("wanted", "reads"),
    [
        pytest.param(Wanted(("six",), ("six<2",)), False, id="packages"),
        pytest.param(Wanted(sources=(replace(SOURCE, local=False),)), False, id="an address"),
        pytest.param(Wanted(sources=(SOURCE,)), True, id="the repository's own"),
        pytest.param(Wanted(elsewhere=("requirements.txt",)), True, id="a file that pip reads"),
    ],
)
def test_only_what_lies_in_the_repository_needs_it(wanted: Wanted, reads: bool) -> None:
    assert wanted.reads_repository is reads


def test_scripts_stand_on_what_others_share() -> None:
    scripts = Scripts(HOME, "postBuild", "")
    assert replace(INPUTS, scripts=scripts).base.key == INPUTS.key
    other = replace(INPUTS, wanted=Wanted(("six==1.16",)), scripts=scripts)
    assert other.key != replace(INPUTS, scripts=scripts).key
