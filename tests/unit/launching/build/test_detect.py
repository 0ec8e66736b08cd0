from collections.abc import Mapping

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail, Kind
from perijove.domain.nouns import FollowLock, InstallProject, InstallRequirements, PythonRequest, PythonSource, Step
from perijove.launching.build.detect import UNSUPPORTED, Detected, detect

PACKAGE = '[build-system]\nrequires = []\n[project]\nname = "p"\nversion = "1"\n'
GROUPS = '[dependency-groups]\ndev = ["attrs"]\n'
SIX = InstallRequirements("requirements.txt", "six")
PROJECT = InstallProject(".")


def of(files: Mapping[str, str]) -> Detected:
    return detect(frozenset(files), files)


@pytest.mark.parametrize(
    ("files", "steps"),
    [
        pytest.param({}, (), id="nothing"),
        pytest.param({"README.md": "", "a.ipynb": ""}, (), id="nothing that describes an environment"),
        pytest.param({"requirements.txt": "six"}, (SIX,), id="requirements"),
        pytest.param({"setup.py": ""}, (PROJECT,), id="setup.py"),
        pytest.param({"pyproject.toml": PACKAGE}, (PROJECT,), id="a package"),
        pytest.param({"pyproject.toml": PACKAGE, "requirements.txt": "six"}, (SIX, PROJECT), id="package last"),
        pytest.param({"pyproject.toml": "[tool.ruff]\nline-length = 1"}, (), id="tool tables only"),
        pytest.param({"pyproject.toml": '[build-system]\nrequires = ["poetry-core"]'}, (PROJECT,), id="poetry"),
        pytest.param(
            {"pyproject.toml": '[project]\nname = "p"\ndependencies = ["six", "attrs"]'},
            (InstallRequirements("pyproject.toml", "six\nattrs"),),
            id="a project without a build system",
        ),
        pytest.param(
            {"pyproject.toml": '[project]\nname = "p"\ndynamic = ["dependencies"]'},
            (PROJECT,),
            id="dependencies only a build knows",
        ),
        pytest.param(
            {"binder/requirements.txt": "attrs", "requirements.txt": "six", "setup.py": "", "Dockerfile": ""},
            (InstallRequirements("binder/requirements.txt", "attrs"),),
            id="binder/ replaces the root",
        ),
        pytest.param({".binder/notes.md": "", "requirements.txt": "six"}, (), id=".binder/ with nothing in it"),
        pytest.param(
            {"uv.lock": "", "pyproject.toml": PACKAGE + GROUPS}, (FollowLock("uv.lock"), PROJECT), id="uv.lock"
        ),
        pytest.param(
            {"poetry.lock": "", "pyproject.toml": "[build-system]\nrequires=[]\n[tool.poetry]\npackage-mode = false"},
            (FollowLock("poetry.lock"),),
            id="poetry.lock of what is no package",
        ),
        pytest.param(
            {"uv.lock": "", "pyproject.toml": PACKAGE + "[tool.uv]\npackage = false"},
            (FollowLock("uv.lock"),),
            id="uv.lock of what is no package",
        ),
        pytest.param({"binder/pylock.toml": ""}, (FollowLock("binder/pylock.toml"),), id="pylock.toml"),
        pytest.param({"uv.lock": "", "pyproject.toml": PACKAGE, "requirements.txt": "six"}, (SIX, PROJECT), id="both"),
        pytest.param(
            {"pyproject.toml": PACKAGE + GROUPS}, (InstallRequirements("pyproject.toml", "attrs"), PROJECT), id="groups"
        ),
        pytest.param(
            {"pyproject.toml": PACKAGE + GROUPS, "requirements.txt": "six"},
            (SIX, PROJECT),
            id="requirements, no groups",
        ),
        pytest.param(
            {"requirements.txt": "-r more.txt"},
            (InstallRequirements("requirements.txt", "-r more.txt"),),
            id="requirements that read another file",
        ),
    ],
)
def test_files_become_steps_in_their_order(files: dict[str, str], steps: tuple[Step, ...]) -> None:
    assert of(files).plan.steps == steps


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param({}, PythonRequest("", PythonSource.DEFAULT), id="nobody asks"),
        pytest.param({"runtime.txt": "python-3.12\n"}, PythonRequest("==3.12.*", PythonSource.RUNTIME_TXT), id="minor"),
        pytest.param({"runtime.txt": "python-3.12.1"}, PythonRequest("==3.12.1", PythonSource.RUNTIME_TXT), id="exact"),
        pytest.param({"runtime.txt": "python-3"}, PythonRequest("==3.*", PythonSource.RUNTIME_TXT), id="major"),
        pytest.param(
            {"runtime.txt": "python-3.10-2024-01-31"},
            PythonRequest("==3.10.*", PythonSource.RUNTIME_TXT),
            id="with a date",
        ),
        pytest.param(
            {"runtime.txt": "python-2024-01-31"}, PythonRequest("", PythonSource.RUNTIME_TXT), id="a date only"
        ),
        pytest.param({".python-version": "3.11\n"}, PythonRequest("==3.11.*", PythonSource.PYTHON_VERSION), id="uv"),
        pytest.param(
            {".python-version": "# pyenv\n3.11.4\n3.9.1\n"},
            PythonRequest("==3.11.4", PythonSource.PYTHON_VERSION),
            id="pyenv, the first line",
        ),
        pytest.param(
            {".python-version": "cpython@3.12"}, PythonRequest("==3.12.*", PythonSource.PYTHON_VERSION), id="cpython@"
        ),
        pytest.param({".python-version": "my-venv"}, PythonRequest("", PythonSource.DEFAULT), id="a pyenv environment"),
        pytest.param(
            {"runtime.txt": "python-3.10", ".python-version": "3.12"},
            PythonRequest("==3.10.*", PythonSource.RUNTIME_TXT),
            id="runtime.txt beats .python-version",
        ),
        pytest.param(
            {"pyproject.toml": PACKAGE + 'requires-python = ">=3.10"'},
            PythonRequest(">=3.10", PythonSource.REQUIRES_PYTHON),
            id="requires-python",
        ),
        pytest.param(
            {".python-version": "3.12", "pyproject.toml": PACKAGE + 'requires-python = ">=3.10"'},
            PythonRequest("==3.12.*", PythonSource.PYTHON_VERSION),
            id=".python-version beats requires-python",
        ),
        pytest.param(
            {"binder/runtime.txt": "python-3.10", "runtime.txt": "python-3.12"},
            PythonRequest("==3.10.*", PythonSource.RUNTIME_TXT),
            id="in binder/",
        ),
    ],
)
def test_the_python_version_wanted(files: dict[str, str], wanted: PythonRequest) -> None:
    assert of(files).plan.python == wanted


def test_all_files_that_are_not_understood_are_named_at_once() -> None:
    files = {"install.R": "", "Project.toml": "", "runtime.txt": "r-4.2.1-2024-04-023", "requirements.txt": "six"}
    failure = failed(files, failures.UNSUPPORTED_FILE)
    assert failure.cause == "Project.toml and install.R are not supported; runtime.txt asks for r"
    assert [evidence.where for evidence in failure.evidence] == ["Project.toml", "install.R", "runtime.txt"]


@pytest.mark.parametrize(
    ("names", "note"),
    [
        pytest.param(
            ("Requirements.txt",),
            "Requirements.txt is not read: the name that counts is requirements.txt",
            id="capitals",
        ),
        pytest.param(("Environment.yml",), "the name that counts is environment.yml", id="a capital of conda's"),
        pytest.param(("binder/postbuild",), "binder/postbuild is not read", id="in binder/"),
        pytest.param(("environment.yml", "Apt.txt"), "the name that counts is apt.txt", id="beside conda's"),
        pytest.param(("requirement.txt",), "the name that counts is requirements.txt", id="a letter too few"),
        pytest.param(("requirements.txt.txt",), "the name that counts is requirements.txt", id="an end twice"),
        pytest.param(("enviroment.yml",), "the name that counts is environment.yml", id="a slip"),
        pytest.param(("binder/postBuild.sh",), "the name that counts is postBuild", id="an end of scripts"),
        pytest.param(("requirements-dev.txt", "environments.txt", "apt-list.txt", "start.sh"), "", id="other names"),
        pytest.param(("setup.cfg",), "setup.cfg alone is not installed", id="setup.cfg alone"),
        pytest.param(
            ("binder/README.md", "requirements.txt"),
            "requirements.txt in the root is not read",
            id="binder/ with nothing in it",
        ),
        pytest.param(("requirements.txt", "Requirements.txt"), "", id="both"),
        *(
            pytest.param((name,), f"{name} is not read, and nothing else names packages", id=name)
            for name in ("requirements.in", "binder/env.yml", "conda.yaml", "flake.nix", "Manifest.toml")
        ),
        pytest.param(("requirements.txt", "requirements.in", "shell.nix"), "", id="others beside what is read"),
        pytest.param(("setup.cfg", "setup.py"), "", id="setup.cfg beside setup.py"),
        pytest.param(("binder/README.md", "a.ipynb"), "", id="nothing in the root either"),
        pytest.param(
            ("binder/requirements.txt", "requirements.txt", "Requirements.txt"), "", id="a binder/ that says all"
        ),
    ],
)
def test_what_is_nearly_read_is_told(names: tuple[str, ...], note: str) -> None:
    found = of(dict.fromkeys(names, ""))
    assert [note in said for said in found.notes] == ([True] if note else [])


POETRY = "[tool.poetry.dependencies]\nsix = '*'\n"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        pytest.param({"pyproject.toml": POETRY}, True, id="alone"),
        pytest.param({"pyproject.toml": POETRY + "[tool.uv]\npackage = false\n[build-system]"}, True, id="no package"),
        pytest.param({"pyproject.toml": POETRY + "[build-system]"}, False, id="a package"),
        pytest.param({"pyproject.toml": POETRY, "poetry.lock": ""}, False, id="beside a lock"),
        pytest.param({"pyproject.toml": POETRY, "requirements.txt": "six"}, False, id="beside requirements"),
        pytest.param({"pyproject.toml": "[tool.ruff]"}, False, id="no packages"),
    ],
)  # fmt: skip
def test_packages_that_a_program_s_own_table_names_are_not_left_out_silently(files: dict[str, str], told: bool) -> None:
    assert ["[tool.poetry] names are not installed" in note for note in of(files).notes] == [True] * told


@pytest.mark.parametrize(
    ("names", "post_build", "start"),
    [
        pytest.param(("postBuild", "start"), "postBuild", "start", id="root"),
        pytest.param(("postBuild", "binder/start"), "", "binder/start", id="a folder replaces the root"),
        pytest.param(("environment.yml", "postBuild", "start"), "postBuild", "start", id="conda's as well"),
        pytest.param(("PostBuild",), "", "", id="other letters"),
    ],
)
def test_scripts_are_found_where_they_count(names: tuple[str, ...], post_build: str, start: str) -> None:
    plan = of(dict.fromkeys(names, "dependencies: []")).plan
    assert (plan.post_build, plan.start) == (post_build, start)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_file_that_is_not_understood_is_named(name: str) -> None:
    for path in (name, f"binder/{name}"):
        failure = failed({path: "", "requirements.txt": "six"}, failures.UNSUPPORTED_FILE)
        assert path in failure.cause


@pytest.mark.parametrize(
    ("files", "kind", "says"),
    [
        pytest.param({"binder/a": "", ".binder/b": ""}, failures.BAD_FILE, ".binder/", id="two folders"),
        pytest.param({"runtime.txt": "3.12"}, failures.BAD_FILE, "python-3.12", id="runtime.txt without a name"),
        pytest.param({"runtime.txt": ""}, failures.BAD_FILE, "runtime.txt", id="runtime.txt empty"),
        pytest.param({"runtime.txt": "r-4.2-2024-01-01"}, failures.UNSUPPORTED_FILE, "asks for r", id="R"),
        pytest.param({"pyproject.toml": "[project"}, failures.BAD_FILE, "TOML", id="broken TOML"),
        pytest.param({"pyproject.toml": "project = 1"}, failures.BAD_FILE, "table", id="project is no table"),
        pytest.param(
            {"pyproject.toml": PACKAGE + 'requires-python = "three"'},
            failures.BAD_FILE,
            "requires-python",
            id="no spec",
        ),
        pytest.param(
            {"pyproject.toml": PACKAGE + "requires-python = 3.1"}, failures.BAD_FILE, "requires-python", id="a number"
        ),
        pytest.param(
            {"pyproject.toml": '[project]\nname = "p"\ndependencies = "six"'},
            failures.BAD_FILE,
            "dependencies",
            id="dependencies are no list",
        ),
        pytest.param(
            {"runtime.txt": "python-3.9", "pyproject.toml": PACKAGE + 'requires-python = ">=3.11"'},
            failures.BAD_FILE,
            "runtime.txt asks for Python 3.9, but pyproject.toml requires >=3.11",
            id="runtime.txt against requires-python",
        ),
        pytest.param(
            {".python-version": "3.9.2", "pyproject.toml": PACKAGE + 'requires-python = "<3.9"'},
            failures.BAD_FILE,
            ".python-version asks for Python 3.9.2, but pyproject.toml requires <3.9",
            id=".python-version against requires-python",
        ),
    ],
)
def test_what_contradicts_itself_or_cannot_be_read_is_told(files: dict[str, str], kind: Kind, says: str) -> None:
    assert says in failed(files, kind).message


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({"uv.lock": ""}, "uv.lock is not followed: versions are chosen afresh", id="a lock alone"),
        pytest.param({"renv.lock": ""}, "renv.lock is not followed: versions are chosen afresh", id="a lock of R's"),
        pytest.param({"pdm.lock": "", "pyproject.toml": PACKAGE}, "pdm.lock is not followed: ver", id="another lock"),
        pytest.param(
            {"uv.lock": "", "pyproject.toml": PACKAGE, "requirements.txt": "six"},
            "uv.lock is not followed: requirements.txt is",
            id="a lock beside requirements",
        ),
        pytest.param(
            {"uv.lock": "", "pylock.toml": "", "pyproject.toml": PACKAGE},
            "uv.lock is not followed: pylock.toml is",
            id="two locks",
        ),
        pytest.param(
            {"binder/uv.lock": "", "binder/pyproject.toml": ""},
            "binder/uv.lock is not followed",
            id="a lock in binder/",
        ),
        pytest.param(
            {"pyproject.toml": "[dependency-groups]\ndev = ['six']"},
            "groups that uv installs by default are: dev",
            id="groups",
        ),
        pytest.param({"binder/runtime.txt": "python-3.12", "setup.py": ""}, "binder/ replaces", id="package left out"),
        pytest.param(
            {".python-version": "pypy3.10"}, "'pypy3.10', which is no version of CPython", id="another Python"
        ),
        pytest.param({"runtime.txt": "python-3.12-2024-01-31"}, "the date 2024-01-31 is not", id="a date"),
    ],
)
def test_what_is_not_followed_is_told(files: dict[str, str], says: str) -> None:
    assert says in "\n".join(of(files).notes)


def failed(files: Mapping[str, str], kind: Kind) -> failures.Failure:
    with pytest.raises(Fail) as caught:
        of(files)
    assert caught.value.failure.kind is kind
    return caught.value.failure
