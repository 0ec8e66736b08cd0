import tomllib

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.launching.build.poetry_lock import poetry_python, poetry_requirements

SIX = """
[[package]]
name = "six"
version = "1.16.0"
files = [{file = "six-1.16.0-py3-none-any.whl", hash = "sha256:aa"}, {file = "six-1.16.0.tar.gz", hash = "sha256:bb"}]
"""
DOCOPT = """
[[package]]
name = "docopt"
version = "0.6.2"
files = [{file = "docopt-0.6.2.tar.gz", hash = "sha256:cc"}]
"""
FORKED = """
[[package]]
name = "forked"
version = "1"
[[package]]
name = "forked"
version = "2"
[[package]]
name = "marked"
version = "1"
markers = "python_version < '3.9'"
[[package]]
name = "marked"
version = "2"
markers = "python_version >= '3.9'"
"""
ELSEWHERE = """
[[package]]
name = "p"
version = "1"
[package.source]
type = "git"
url = "https://h/p"
reference = "main"
resolved_reference = "aaaa"
subdirectory = "s"
[[package]]
name = "here"
version = "1"
[package.source]
type = "directory"
url = "packages/here"
[[package]]
name = "there"
version = "1"
[package.source]
type = "url"
url = "https://h/there.whl"
"""
PROJECT = "[tool.poetry.dependencies]\npython = '^3.9'\n"


@pytest.mark.parametrize(
    ("lock", "project", "wanted", "limits"),
    [
        pytest.param(
            SIX, "six = '^1.0'", "six", "six==1.16.0 --hash=sha256:aa --hash=sha256:bb", id="a version and its hashes"
        ),
        pytest.param(DOCOPT, "docopt = '*'", "docopt", "docopt==0.6.2 --hash=sha256:cc", id="sources, which are built"),
        pytest.param("", "six = {version = '*', extras = ['a', 'b']}", "six[a,b]", "", id="extras"),
        pytest.param("", "six = {version = '*', optional = true}", "", "", id="optional"),
        pytest.param(
            "", "six = {version = '*', markers = 'os_name == \"nt\"'}", 'six ; os_name == "nt"', "", id="marker"
        ),
        pytest.param("", "six = [{version = '1'}, {version = '2', markers = 'x'}]", "six\nsix ; x", "", id="several"),
        pytest.param("", "[tool.poetry.group.dev.dependencies]\nsix = '*'", "six", "", id="a group"),
        pytest.param("", "[tool.poetry.dev-dependencies]\nsix = '*'", "six", "", id="an old group"),
        pytest.param(
            "",
            "[tool.poetry.group.d]\noptional = true\n[tool.poetry.group.d.dependencies]\nsix = '*'",
            "",
            "",
            id="not all",
        ),
        pytest.param("", "[project]\ndependencies = ['six>=1']", "six>=1", "", id="as every project says it"),
        pytest.param("", "[dependency-groups]\ndev = ['six>=1']", "six>=1", "", id="as every project groups it"),
        pytest.param(
            FORKED,
            "",
            "",
            "marked==1 ; python_version < '3.9'\nmarked==2 ; python_version >= '3.9'",
            id="several versions",
        ),
        pytest.param(
            ELSEWHERE,
            "p = {git = 'https://h/p'}\nhere = {path = 'packages/here'}\nthere = {url = 'https://h/there.whl'}",
            "p @ git+https://h/p@aaaa#subdirectory=s\nhere @ ./packages/here\nthere @ https://h/there.whl",
            "",
            id="addresses",
        ),
    ],
)
def test_the_project_says_what_and_the_lock_which(lock: str, project: str, wanted: str, limits: str) -> None:
    assert poetry_requirements("poetry.lock", lock, f"{PROJECT}{project}") == (wanted, limits)


@pytest.mark.parametrize(
    ("lock", "project", "says"),
    [
        pytest.param("x", "", "poetry.lock cannot be used: it is not TOML", id="no TOML"),
        pytest.param("a = " + "[" * 100_000, "", "poetry.lock cannot be used", id="deep"),
        pytest.param("[[package]]\nname = 'six'", "", "without a name or a version", id="no version"),
        pytest.param("[[package]]\nname = '-r x'\nversion = '1'", "", "without a name or a version", id="an option"),
        pytest.param("", "'-r x' = '1'", "named like no package", id="an option in the project"),
        pytest.param("", "=", "pyproject.toml cannot be used: it is not TOML", id="no project"),
    ],
)
def test_what_is_none_is_told(lock: str, project: str, says: str) -> None:
    with pytest.raises(Fail) as caught:
        poetry_requirements("poetry.lock", lock, f"{PROJECT}{project}")
    assert caught.value.failure.kind is failures.BAD_FILE
    assert says in caught.value.failure.cause


@pytest.mark.parametrize(
    ("wish", "specifier"),
    [
        ("^3.9", ">=3.9,<4"),
        ("~3.10", ">=3.10,<3.11"),
        ("~3", ">=3,<4"),
        (">=3.9,<3.13", ">=3.9,<3.13"),
        (">= 3.9, <4.0", ">=3.9,<4.0"),
        ("3.11.*", "==3.11.*"),
        ("*", ""),
        ("^3.8 || ^3.10", ""),
    ],
)
def test_poetry_s_python_is_a_specifier(wish: str, specifier: str) -> None:
    assert poetry_python(tomllib.loads(f"[tool.poetry.dependencies]\npython = {wish!r}")) == specifier
