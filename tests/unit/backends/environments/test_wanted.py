from functools import partial
from pathlib import Path

import pytest

from perijove.backends.environments.wanted import gather, lines_for
from perijove.backends.environments.wheels import environ, without_password
from perijove.domain import failures
from perijove.domain.build_inputs import Source
from perijove.domain.failures import Fail
from perijove.domain.nouns import (
    EnvironmentPlan,
    FollowLock,
    InstallConda,
    InstallProject,
    InstallRequirements,
    PythonRequest,
    PythonSource,
)

ANY = PythonRequest("", PythonSource.DEFAULT)


def plan(text: str, path: str = "requirements.txt") -> EnvironmentPlan:
    return EnvironmentPlan(ANY, (InstallRequirements(path, text),))


def test_included_files_and_constraints_are_read_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "binder/sub").mkdir(parents=True)
    (tmp_path / "binder/sub/more.txt").write_text("attrs\n-r ../last.txt\n")
    (tmp_path / "binder/last.txt").write_text("idna\n")
    (tmp_path / "limits.txt").write_text("idna<4\n")
    wanted = gather(plan("six\n-r sub/more.txt\n-c ../limits.txt", "binder/requirements.txt"), tmp_path)
    assert wanted.packages == ("six", "attrs", "idna")
    assert wanted.constraints == ("idna<4",)
    assert wanted.sources == ()


own, remote = partial(Source, local=True), partial(Source, local=False)


@pytest.mark.parametrize(
    ("line", "source"),
    [
        pytest.param(".", own(".", "", "."), id="the repository"),
        pytest.param("-e .[dev]", own(".", "[dev]", "-e .[dev]"), id="editable with an extra"),
        pytest.param("./sub", own("./sub", "", "./sub"), id="a folder"),
        pytest.param("p[x] @ file:sub", own("./sub", "[x]", "p[x] @ file:sub"), id="named"),
        pytest.param("git+https://h/r@v1", remote("git+https://h/r@v1", "", "git+https://h/r@v1"), id="git"),
        pytest.param(
            "p[x] @ https://h/p.zip",
            remote("https://h/p.zip", "[x]", "p[x] @ https://h/p.zip"),
            id="named address",
        ),
    ],
)
def test_what_has_to_be_built_is_set_apart(tmp_path: Path, line: str, source: Source) -> None:
    (tmp_path / "sub").mkdir()
    wanted = gather(plan(f"six\n{line}"), tmp_path)
    assert wanted.packages == ("six",)
    assert wanted.sources == (source,)


def test_the_repository_itself_is_a_source(tmp_path: Path) -> None:
    wanted = gather(EnvironmentPlan(ANY, (InstallProject("."),)), tmp_path)
    assert [source.words for source in wanted.sources] == ["."]


@pytest.mark.parametrize(
    ("line", "option"),
    [
        pytest.param("--extra-index-url https://h/simple", "--extra-index-url https://h/simple", id="an index"),
        pytest.param("-i https://h/simple", "-i https://h/simple", id="the index"),
        pytest.param("-f https://h/all.html", "-f https://h/all.html", id="a page"),
        pytest.param("--find-links=../parts", "--find-links ./parts", id="a folder"),
        pytest.param("-f own", "--find-links ./binder/own", id="a folder beside the file"),
        pytest.param("--no-binary :all:", "--no-binary :all:", id="another way to build"),
    ],
)
@pytest.mark.parametrize("name", ["requirements.txt", "environment.yml"])
def test_options_of_any_file_that_name_other_places_have_pip_decide_in_a_sandbox(
    tmp_path: Path, name: str, line: str, option: str
) -> None:
    (tmp_path / "binder/own").mkdir(parents=True)
    (tmp_path / "parts").mkdir()
    (tmp_path / "binder/more.txt").write_text(f"--pre\n{line}\ntorch\n")
    step = InstallRequirements(f"binder/{name}", "-r more.txt\nsix")
    steps = (InstallConda(step.path, (), ("numpy",)), step) if name == "environment.yml" else (step,)
    wanted = gather(EnvironmentPlan(ANY, steps), tmp_path)
    assert wanted.elsewhere == ("--pre", option)
    assert wanted.packages == ("torch", "six")


def test_options_that_name_no_other_place_are_no_reason_for_a_sandbox(tmp_path: Path) -> None:
    assert gather(plan("--prefer-binary\nsix"), tmp_path).elsewhere == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("six\n-r ../more.txt", "line 2 refers to something outside", id="a file above"),
        pytest.param("-r /etc/passwd", "outside", id="an absolute file"),
        pytest.param("-r https://h/r.txt", "outside", id="a remote file"),
        pytest.param("-e ../other", "outside", id="a folder above"),
        pytest.param("p @ file:///srv/p", "a file of the machine", id="an absolute folder"),
        pytest.param("-r missing.txt", "no such file", id="a file that is not there"),
        pytest.param("./missing", "does not exist", id="a folder that is not there"),
        pytest.param("-r requirements.txt", "includes itself", id="itself"),
        pytest.param("-r link.txt", "outside of the repository", id="a link to somewhere else"),
    ],
)
def test_references_out_of_the_repository_are_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "secret").write_text("root:x:0")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "link.txt").symlink_to("../secret")
    (root / "requirements.txt").write_text(text)
    with pytest.raises(Fail) as caught:
        gather(plan(text), root)
    assert caught.value.failure.kind is failures.BAD_FILE
    assert says in caught.value.failure.message


def test_foreign_code_learns_where_the_index_is_but_not_its_password() -> None:
    ours = {
        "UV_DEFAULT_INDEX": "https://me:hunter2@index.example/simple",
        "SECRET": "x",
        "SSL_CERT_FILE": "/root/ca.pem",
    }
    shown = environ(ours, Path("/tools"))
    assert shown["PIP_INDEX_URL"] == "https://index.example/simple"
    assert "hunter2" not in str(shown)
    assert not shown.keys() & {"SECRET", "SSL_CERT_FILE"}


def test_foreign_code_is_told_until_when_packages_are_taken() -> None:
    moment = "2023-12-15T00:00:00Z"
    shown = environ({}, Path("/tools"), moment)
    assert (shown["PIP_UPLOADED_PRIOR_TO"], shown["UV_EXCLUDE_NEWER"]) == (moment, moment)
    assert not {"PIP_UPLOADED_PRIOR_TO", "UV_EXCLUDE_NEWER"} & environ({}, Path("/tools")).keys()


def test_an_address_without_a_password_stays_as_it_is() -> None:
    assert without_password("https://index.example:8443/simple?a=b") == "https://index.example:8443/simple?a=b"


@pytest.mark.parametrize(
    ("line", "package"),
    [
        pytest.param("six --hash=sha256:0a --extra-index-url http://127.0.0.1/", "six --hash=sha256:0a", id="an index"),
        pytest.param("six --hash=sha256:0a --find-links /srv", "six --hash=sha256:0a", id="a folder"),
        pytest.param("six --hash sha512:0b --hash=md5:0", "six --hash=sha512:0b", id="a weak hash"),
        pytest.param("six [a]  >=1 ; python_version > '3'", 'six[a]>=1; python_version > "3"', id="a marker"),
    ],
)
def test_a_requirement_is_handed_on_without_options_that_uv_would_follow(
    tmp_path: Path, line: str, package: str
) -> None:
    assert gather(plan(line), tmp_path).packages == (package,)


def of_conda(text: str) -> EnvironmentPlan:
    path = "binder/environment.yml"
    return EnvironmentPlan(ANY, (InstallConda(path, (), ("numpy",)), InstallRequirements(path, text)))


def test_what_pip_adds_to_conda_starts_from_the_file_s_own_folder(tmp_path: Path) -> None:
    (tmp_path / "binder/sub").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/requirements.txt").write_text("attrs\n")
    wanted = gather(of_conda("six\n-r ../docs/requirements.txt\n-e ..\n./sub"), tmp_path)
    assert wanted.packages == ("six", "attrs")
    assert [source.words for source in wanted.sources] == [".", "./binder/sub"]


@pytest.mark.parametrize("line", ["-f ../../parts", "-e ../..", "./nowhere"])
def test_what_pip_cannot_add_to_conda_is_told_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "binder").mkdir()
    with pytest.raises(Fail) as caught:
        gather(of_conda(f"\n\nsix\n{line}"), tmp_path)
    assert caught.value.failure.kind is failures.BAD_FILE
    assert "binder/environment.yml, line 4" in caught.value.failure.cause


def test_a_folder_that_is_named_twice_is_built_once_with_all_extras(tmp_path: Path) -> None:
    steps = (InstallRequirements("requirements.txt", "-e .[dev,more]\n.[dev,docs]\n"), InstallProject("."))
    wanted = gather(EnvironmentPlan(ANY, steps), tmp_path)
    assert wanted.sources == (own(".", "[dev,more,docs]", "-e .[dev,more]"),)


def test_a_lock_file_is_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "six"\nversion = "1.16.0"\n'
        'wheels = [{ url = "https://h/six-1.16.0-py3-none-any.whl", hashes = { sha256 = "aa" } }]\n'
        '[[packages]]\nname = "sub"\ndirectory = { path = "sub" }\n'
    )
    (tmp_path / "sub").mkdir()
    wanted = gather(EnvironmentPlan(ANY, (FollowLock("pylock.toml"),)), tmp_path)
    assert wanted.packages == ("six==1.16.0 --hash=sha256:aa",)
    assert wanted.sources == (own("./sub", "", "./sub"),)


def test_a_lock_of_poetry_limits_what_its_project_asks_for(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.poetry.dependencies]\nsix = '*'\n")
    (tmp_path / "poetry.lock").write_text(
        "[[package]]\nname = 'six'\nversion = '1.16.0'\n[[package]]\nname = 'idna'\nversion = '3.7'\n"
    )
    wanted = gather(EnvironmentPlan(ANY, (FollowLock("poetry.lock"),)), tmp_path)
    assert wanted.packages == ("six",)
    assert wanted.constraints == ("six==1.16.0", "idna==3.7")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        pytest.param(("docopt==0.6.2 --hash=sha256:0a", "docopt"), ["docopt==0.6.2 --hash=sha256:0a"], id="a lock's"),
        pytest.param(("Doc_Opt", "docopt>=0.6 ; x", "other"), ["docopt>=0.6 ; x"], id="a range"),
        pytest.param(
            ("docopt==1 ; a", "docopt", "docopt==2 ; b"), ["docopt==1 ; a", "docopt==2 ; b"], id="two versions"
        ),
        pytest.param(("docopt==1", "docopt==1 --hash=sha256:0a"), ["docopt==1 --hash=sha256:0a"], id="with its hash"),
        pytest.param(("other",), ["docopt"], id="nobody's"),
    ],
)
def test_a_package_is_built_as_it_was_asked_for(lines: tuple[str, ...], found: list[str]) -> None:
    assert list(lines_for(lines, "docopt")) == found
