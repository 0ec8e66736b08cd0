from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from perijove.domain.build_inputs import (
    BuildInputs,
    CondaPackages,
    Interpreter,
    Package,
    Scripts,
    Source,
    System,
    SystemPackage,
    Wanted,
)
from perijove.domain.nouns import Checkout, RepoAddress, ResolvedRepo

ADDRESS = RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r")
PYTHON = Interpreter("3.12.1", Path("/usr/bin/python3.12"), Path("/usr"))
HOME = Checkout(ResolvedRepo(ADDRESS, "a" * 40, "refs/heads/main"), Path("/checkout"))
SOURCE = Source(".", "", ".", local=True)
TREE = SystemPackage("tree_1_amd64.deb", "a" * 64, "http://mirror/tree_1_amd64.deb", 1)
INPUTS = BuildInputs(Wanted(("six",)), PYTHON, HOME, "1")

OTHERS: dict[str, list[Any]] = {
    "wanted": [
        replace(INPUTS.wanted, packages=("six==1.16",)),
        replace(INPUTS.wanted, constraints=("six<2",)),
        replace(INPUTS.wanted, sources=(SOURCE,)),
        replace(INPUTS.wanted, elsewhere=("--no-binary :all:",)),
        replace(INPUTS.wanted, prereleases=True),
        replace(INPUTS.wanted, published_before="2021-03-04T05:06:07Z"),
        replace(INPUTS.wanted, conda=CondaPackages("a lock", "3.12.1", ())),
    ],
    "interpreter": [
        replace(PYTHON, version="3.12.2"),
        replace(PYTHON, executable=Path("/opt/python3.12")),
        replace(PYTHON, prefix=Path("/opt")),
        replace(PYTHON, glibc="2.41"),
    ],
    "checkout": [
        replace(HOME, repo=replace(HOME.repo, commit="b" * 40)),
        replace(HOME, repo=replace(HOME.repo, address=replace(ADDRESS, url="https://h/o/other"))),
    ],
    "maker": ["2"],
    "turn": [1],
    "others": [(PYTHON,)],
    "scripts": [Scripts("postBuild", ""), Scripts("binder/postBuild", ""), Scripts("postBuild", "start")],
    "system": [
        System("base"),
        System("another"),
        System("base", "apt.txt", ("tree",), (TREE,)),
        System("base", "apt.txt", ("tree",), (replace(TREE, sha256="b" * 64),)),
    ],
}


@pytest.mark.parametrize("name", [field.name for field in fields(BuildInputs)])
def test_every_input_is_in_the_name(name: str) -> None:
    names = {replace(INPUTS, **{name: other}).name for other in OTHERS[name]}
    assert len(names) == len(OTHERS[name])
    assert INPUTS.name not in names


@pytest.mark.parametrize("name", [field.name for field in fields(BuildInputs)])
def test_what_a_commit_asks_is_the_same_whoever_answers(name: str) -> None:
    """A resolution is found again after an update of this machine's Python, or of Perijove."""
    same = name in {"interpreter", "maker", "turn", "others", "system"}
    assert all((replace(INPUTS, **{name: other}).question == INPUTS.question) is same for other in OTHERS[name])


SIX = Package("six", "1.17.0", "a hash", built=False)


@pytest.mark.parametrize("name", [field.name for field in fields(BuildInputs)])
def test_equal_packages_are_one_environment_whoever_asks_and_however(name: str) -> None:
    same = name not in {"maker", "system"}
    asked = [replace(INPUTS, **{name: other}) for other in OTHERS[name]]
    keys = {other.key([SIX], PYTHON, "") for other in asked if other.wanted.conda is None}
    assert (keys == {INPUTS.key([SIX], PYTHON, "")}) is same


@pytest.mark.parametrize(
    ("packages", "interpreter", "app"),
    [
        pytest.param([], PYTHON, "", id="none"),
        pytest.param([replace(SIX, version="1.16.0")], PYTHON, "", id="another version"),
        pytest.param([replace(SIX, content="another")], PYTHON, "", id="other files"),
        pytest.param([SIX], replace(PYTHON, version="3.12.2"), "", id="another Python"),
        pytest.param([SIX], PYTHON, "lab", id="served by its own"),
    ],
)
def test_another_set_is_another_environment(packages: list[Package], interpreter: Interpreter, app: str) -> None:
    assert INPUTS.key(packages, interpreter, app) != INPUTS.key([SIX], PYTHON, "")


CONDA = CondaPackages("a lock", "3.12.1", ())
OTHER_COMMIT = replace(HOME, repo=replace(HOME.repo, commit="b" * 40))


def test_decided_conda_packages_are_one_environment_whoever_asks() -> None:
    conda = replace(INPUTS, wanted=Wanted(conda=CONDA))
    assert replace(conda, checkout=OTHER_COMMIT, turn=1).conda_key == conda.conda_key
    assert replace(conda, wanted=Wanted(conda=replace(CONDA, lock="another"))).conda_key != conda.conda_key


def test_what_pip_adds_to_conda_is_resolved_for_each_commit() -> None:
    conda = replace(INPUTS, wanted=Wanted(("six",), conda=CONDA))
    assert replace(conda, checkout=OTHER_COMMIT).conda_key != conda.conda_key
    assert replace(conda, turn=1).conda_key != conda.conda_key


def test_equal_sets_of_conda_s_and_pip_s_packages_are_one_environment_wherever_it_lies() -> None:
    conda = replace(INPUTS, wanted=Wanted(("six",), conda=CONDA))
    other = replace(conda, wanted=Wanted(("six>=1",), conda=CONDA), checkout=OTHER_COMMIT, turn=1)
    moved = replace(PYTHON, prefix=PYTHON.prefix / "elsewhere")
    assert conda.key([SIX], PYTHON, "") == other.key([SIX], moved, "")
    assert conda.key([SIX], PYTHON, "") != conda.key([], PYTHON, "")
    assert conda.key([SIX], PYTHON, "") != replace(conda, wanted=Wanted(conda=replace(CONDA, lock="b"))).key(
        [SIX], PYTHON, ""
    )


def test_conda_packages_are_named_as_their_files_are() -> None:
    lock = "- conda: https://h/c/linux-64/numpy-1.26-py311h_0.conda\n  sha256: 0\n- conda: https://h/noarch/six-1-0.tar.bz2\n"
    assert replace(CONDA, lock=lock).names == ("numpy-1.26-py311h_0", "six-1-0")


def test_every_part_of_what_is_wanted_has_been_changed() -> None:
    assert len(OTHERS["wanted"]) == len(fields(Wanted))


def test_where_the_checkout_lies_and_which_ref_led_there_are_not() -> None:
    moved = replace(HOME, path=Path("/elsewhere"), repo=replace(HOME.repo, ref_name=""))
    assert replace(INPUTS, checkout=moved).name == INPUTS.name


@pytest.mark.parametrize(
    ("wanted", "reads"),
    [
        pytest.param(Wanted(("six",), ("six<2",)), False, id="packages"),
        pytest.param(Wanted(sources=(replace(SOURCE, local=False),)), False, id="an address"),
        pytest.param(Wanted(sources=(SOURCE,)), True, id="the repository's own"),
        pytest.param(Wanted(elsewhere=("--no-binary :all:",)), True, id="a file that pip reads"),
    ],
)
def test_only_what_lies_in_the_repository_needs_it(wanted: Wanted, reads: bool) -> None:
    assert wanted.reads_repository is reads


def test_scripts_make_a_layer_of_a_commit_over_what_others_share() -> None:
    scripted = replace(INPUTS, scripts=Scripts("postBuild", ""))
    assert scripted.base == INPUTS
    layers = [
        scripted.layer_key("base"),
        scripted.layer_key("another base"),
        replace(scripted, scripts=Scripts("postBuild", "start")).layer_key("base"),
        replace(scripted, checkout=OTHER_COMMIT).layer_key("base"),
        replace(scripted, turn=1).layer_key("base"),
    ]
    assert len(set(layers)) == len(layers)
