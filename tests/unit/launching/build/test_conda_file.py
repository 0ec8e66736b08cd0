"""What an environment.yml asks for, and what of it cannot be used."""

from __future__ import annotations

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.domain.nouns import InstallConda, InstallRequirements
from perijove.launching.build.conda_file import conda_steps
from perijove.launching.build.detect import detect

WHOLE = """\
name: x
channels: [conda-forge, bioconda]
dependencies:
  - python=3.11
  - conda-forge::nodejs
  - pip
  - pip:
    - -r ../docs/requirements.txt
    - six
variables:
  A: 1
  B: two words
  C:
"""


def test_each_part_becomes_what_it_means_and_lines_keep_their_numbers() -> None:
    (conda, pip), notes = conda_steps("binder/environment.yml", WHOLE)
    assert conda == InstallConda(
        "binder/environment.yml",
        ("conda-forge", "bioconda"),
        ("python=3.11", "conda-forge::nodejs", "pip"),
        (("A", "1"), ("B", "two words"), ("C", "")),
    )
    assert isinstance(pip, InstallRequirements)
    assert pip.text.splitlines()[7:] == ["-r ../docs/requirements.txt", "six"]
    assert notes == []


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "name: x\n", "dependencies:\n", "dependencies: []\nchannels:\n", "dependencies:\n- pip:\n"],
)
def test_a_file_that_asks_for_nothing_is_fine(text: str) -> None:
    (conda,), _ = conda_steps("environment.yml", text)
    assert isinstance(conda, InstallConda)
    assert (conda.channels, conda.specs, conda.variables) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("- numpy\n- pandas\n", "it holds a list", id="a list"),
        pytest.param("numpy", "it holds a str", id="a word"),
        pytest.param("dependencies: numpy", "dependencies is not a list", id="one word"),
        pytest.param("dependencies: {numpy: 1}", "dependencies is not a list", id="a table"),
        pytest.param("dependencies: [[numpy]]", "neither a package nor a list for pip", id="a list in a list"),
        pytest.param("dependencies: [1.5]", "neither a package nor a list for pip", id="a number"),
        pytest.param("dependencies: [{conda: [x]}]", "neither a package nor a list for pip", id="another tool"),
        pytest.param("dependencies: [{pip: [1]}]", "pip is not a list of requirements", id="a number for pip"),
        pytest.param('dependencies: [{pip: ["a\\nb"]}]', "pip is not", id="two lines"),
        pytest.param("channels: conda-forge", "channels is not a list", id="a channel"),
        pytest.param("channels: ['a b']", "no channel", id="a channel with a blank"),
        pytest.param("variables: [A]", "variables is not a table", id="variables in a list"),
        pytest.param("variables: {'A B': 1}", "no variable", id="no name"),
        pytest.param("variables: {A: [1]}", "no variable", id="no value"),
        pytest.param("a: [", "it is not YAML", id="no YAML"),
        pytest.param("a: 1\n---\nb: 2\n", "it is not YAML", id="two documents"),
        pytest.param("a: !!python/object/apply:os.system [x]", "it is not YAML", id="code"),
        pytest.param("? [a]\n: b\n", "it is not YAML", id="a key that is none"),
        pytest.param("a: 2020-99-99", "it is not YAML", id="a date that is none"),
        pytest.param("[" * 10_000, "nested too deeply", id="deep"),
    ],
)
def test_what_cannot_be_used_is_told(text: str, says: str) -> None:
    with pytest.raises(Fail) as caught:
        conda_steps("environment.yml", text)
    assert caught.value.failure.kind is failures.BAD_FILE
    assert says in caught.value.failure.cause


def test_it_stands_above_all_other_files_and_says_so() -> None:
    names = {"environment.yml", "requirements.txt", "setup.py", "runtime.txt", "Pipfile", "conda-lock.yml"}
    texts = {"environment.yml": "dependencies: [numpy]", "requirements.txt": "six", "runtime.txt": "r-4.1"}
    found = detect(frozenset(names), texts)
    assert found.plan.steps == (InstallConda("environment.yml", (), ("numpy",)),)
    ignored = "requirements.txt, Pipfile, setup.py, runtime.txt, conda-lock.yml"
    assert found.notes == (f"environment.yml is followed, so these are not: {ignored}",)


def test_yml_comes_before_yaml_and_a_folder_before_the_root() -> None:
    both = detect(frozenset({"environment.yml", "environment.yaml"}), {"environment.yml": "", "environment.yaml": "["})
    assert both.plan.steps == (InstallConda("environment.yml", (), ()),)
    names = frozenset({"environment.yml", ".binder/environment.yaml"})
    inner = detect(names, {"environment.yml": "[", ".binder/environment.yaml": ""})
    assert inner.plan.steps == (InstallConda(".binder/environment.yaml", (), ()),)
