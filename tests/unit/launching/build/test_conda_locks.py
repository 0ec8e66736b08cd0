"""What conda's lock files, explicit lists and pixi.toml ask for, and what of them cannot be used."""

from __future__ import annotations

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.domain.nouns import InstallConda, InstallRequirements, Step
from perijove.launching.build.conda_locks import locked_steps
from perijove.launching.build.detect import detect, to_read

FORGE, SHA, MD5 = "https://conda.anaconda.org/conda-forge", "ab" * 32, "cd" * 16
CONDA_LOCK = f"""\
version: 1
metadata:
  channels: [{{url: conda-forge, used_env_vars: []}}]
  platforms: [linux-64, osx-64]
package:
- {{name: moon, version: '1.0', manager: conda, platform: linux-64, dependencies: {{}}, category: main, optional: false,
   url: {FORGE}/linux-64/moon-1.0-h1_0.conda, hash: {{md5: {MD5}, sha256: {SHA}}}}}
- {{name: moon, version: '1.0', manager: conda, platform: osx-64, url: {FORGE}/osx-64/moon-1.0-h2_0.conda, hash: {{}}}}
- {{name: six, version: 1.16.0, manager: pip, platform: linux-64, category: main,
   url: 'https://files.pythonhosted.org/x/six-1.16.0-py2.py3-none-any.whl', hash: {{sha256: {SHA}}}}}
- {{name: pytest, version: '8', manager: conda, platform: linux-64, category: dev,
   url: {FORGE}/noarch/pytest-8-0.conda}}
"""
PIXI_LOCK = f"""\
version: 6
environments:
  test: {{channels: [], packages: {{linux-64: []}}}}
  default:
    channels: [{{url: {FORGE}/}}]
    packages:
      linux-64:
      - conda: {FORGE}/linux-64/moon-1.0-h1_0.conda
      - pypi: https://files.pythonhosted.org/x/six-1.16.0-py2.py3-none-any.whl
      - pypi: ./orbit
      osx-64: []
packages:
- conda: {FORGE}/linux-64/moon-1.0-h1_0.conda
  sha256: {SHA}
  md5: {MD5}
- pypi: https://files.pythonhosted.org/x/six-1.16.0-py2.py3-none-any.whl
  name: six
  version: 1.16.0
- pypi: ./orbit
  name: orbit
"""
EXPLICIT = f"""\
# platform: linux-64
@EXPLICIT
{FORGE}/linux-64/moon-1.0-h1_0.conda#{MD5}
{FORGE}/noarch/six-1.16.0-pyh_0.tar.bz2
"""
PIXI = """\
[workspace]
name = "x"
channels = ["conda-forge", {channel = "bioconda", priority = 1}]
platforms = ["linux-64"]
[dependencies]
python = "3.11.*"
moon = "*"
comet = ">=1, <2"
jupiter = {version = "5", build = "h1_0", channel = "planets"}
[pypi-dependencies]
six = "==1.16.0"
rings = {version = "*", extras = ["all"]}
orbit = {path = "orbit", editable = true}
[target.linux-64.dependencies]
only-here = "1.2"
[target.osx-64.dependencies]
only-there = "1.2"
[activation.env]
MOONS = "95"
[tasks]
run = "rm -rf /"
"""


def conda(name: str, text: str) -> InstallConda:
    (step, *_) = locked_steps(name, text, "linux-64")
    assert isinstance(step, InstallConda)
    return step


def pip(steps: list[Step]) -> list[str]:
    (step,) = steps[1:]
    assert isinstance(step, InstallRequirements)
    return step.text.splitlines()


def test_each_kind_of_lock_names_exact_builds_with_their_hashes() -> None:
    exact = f"moon==1.0=h1_0[md5={MD5},sha256={SHA}]"
    for name, text in (("conda-lock.yml", CONDA_LOCK), ("pixi.lock", PIXI_LOCK)):
        assert (conda(name, text).channels, conda(name, text).specs) == ((FORGE,), (exact,)), name
    listed = conda("conda-linux-64.lock", EXPLICIT)
    assert listed.specs == (f"moon==1.0=h1_0[md5={MD5}]", "six==1.16.0=pyh_0")
    assert listed.channels == (FORGE,)


def test_what_they_leave_to_pip_is_pinned_and_parts_of_the_repository_are_built() -> None:
    assert pip(locked_steps("conda-lock.yml", CONDA_LOCK, "linux-64")) == ["six==1.16.0"]
    assert pip(locked_steps("binder/pixi.lock", PIXI_LOCK, "linux-64")) == ["six==1.16.0", "./orbit"]


def test_a_pixi_toml_is_followed_for_its_own_environment_on_this_platform() -> None:
    steps = locked_steps("pixi.toml", PIXI, "linux-64")
    assert steps[0] == InstallConda(
        "pixi.toml",
        ("conda-forge", "bioconda"),
        ("python=3.11.*", "moon", "comet>=1,<2", "planets::jupiter==5=h1_0", "only-here=1.2"),
        (("MOONS", "95"),),
    )
    assert pip(steps) == ["six==1.16.0", "rings[all]", "./orbit"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        pytest.param("conda-lock.yml", "package: [", "not YAML", id="no YAML"),
        pytest.param("conda-lock.yml", "[]", "no names with values", id="a list"),
        pytest.param("conda-lock.yml", "package: [1]", "not a list of packages", id="numbers"),
        pytest.param("conda-lock.yml", CONDA_LOCK.replace("linux-64", "win-64"), "no packages for linux-64", id="win"),
        pytest.param("conda-lock.yml", CONDA_LOCK.replace("moon-1.0-h1_0", "x.zip"), "no conda package", id="zip"),
        pytest.param("pixi.lock", PIXI_LOCK.replace("linux-64", "win-64"), "no packages for linux-64", id="pixi: win"),
        pytest.param("pixi.lock", "environments: 1", "environments is not a table", id="pixi: a number"),
        pytest.param("conda-linux-64.lock", f"{FORGE}/osx-64/m-1-0.conda", "not for linux-64", id="explicit: osx"),
        pytest.param("pixi.toml", "[dependencies", "not TOML", id="pixi.toml: no TOML"),
        pytest.param("pixi.toml", "[dependencies]\na = {git = 'x'}", "not followed", id="pixi.toml: from sources"),
    ],
)
def test_what_cannot_be_used_is_told(name: str, text: str, says: str) -> None:
    with pytest.raises(Fail) as caught:
        locked_steps(name, text, "linux-64")
    assert caught.value.failure.kind is failures.BAD_FILE
    assert says in caught.value.failure.cause


@pytest.mark.parametrize(
    ("names", "followed"),
    [
        pytest.param({"conda-lock.yml", "pixi.toml"}, "conda-lock.yml", id="conda-lock first"),
        pytest.param({"pixi.lock", "pixi.toml"}, "pixi.lock", id="the lock before what it was made from"),
        pytest.param({"pixi.toml", "binder/pixi.lock"}, "binder/pixi.lock", id="binder/ before the root"),
        pytest.param({"pixi.lock", "requirements.txt"}, "", id="beside requirements.txt none, as in a Binder"),
        pytest.param({"conda-lock.yml", "environment.yml"}, "", id="beside environment.yml none"),
    ],
)
def test_which_of_them_is_followed(names: set[str], followed: str) -> None:
    texts = {"conda-lock.yml": CONDA_LOCK, "pixi.lock": PIXI_LOCK, "pixi.toml": PIXI, "requirements.txt": ""}
    known = frozenset(names)
    found = detect(known, {name: texts.get(name.rpartition("/")[2], "") for name in to_read(known)})
    conda_steps = [step.path for step in found.plan.steps if isinstance(step, InstallConda)]
    assert conda_steps == ([followed] if followed else ["environment.yml"] if "environment.yml" in names else [])
    assert len(found.notes) == len(names) - 1 or "binder/pixi.lock" in names
