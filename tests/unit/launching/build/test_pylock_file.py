import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.launching.build.pylock_file import requirements

HEAD = 'lock-version = "1.0"\ncreated-by = "uv"\n'
WHEEL = '{ url = "https://h/six-1.16.0-py3-none-any.whl", hashes = { sha256 = "aa" } }'
SDIST = 'sdist = { url = "https://h/six-1.16.0.tar.gz", hashes = { sha256 = "bb" } }'
SIX = f'[[packages]]\nname = "six"\nversion = "1.16.0"\n{SDIST}\nwheels = [{WHEEL}]\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(SIX, "six==1.16.0 --hash=sha256:aa --hash=sha256:bb", id="files"),
        pytest.param(
            SIX.replace("version =", "marker = \"sys_platform == 'win32'\"\nversion ="),
            'six==1.16.0 ; sys_platform == "win32" --hash=sha256:aa --hash=sha256:bb',
            id="a marker",
        ),
        pytest.param(
            '[[packages]]\nname = "x"\nversion = "1"\nwheels = [{ url = "https://h/x-1-cp312-cp312-win_amd64.whl",'
            ' hashes = { sha256 = "aa" } }]',
            "x==1",
            id="a wheel for another system alone",
        ),
        pytest.param(
            '[[packages]]\nname = "p"\nvcs = { type = "git", url = "https://h/p", commit-id = "aa",'
            ' subdirectory = "s" }',
            "p @ git+https://h/p@aa#subdirectory=s",
            id="a repository",
        ),
        pytest.param(
            '[[packages]]\nname = "p"\narchive = { url = "https://h/p.zip", hashes = { sha256 = "aa" } }',
            "p @ https://h/p.zip#sha256=aa",
            id="an archive",
        ),
        pytest.param(
            '[[packages]]\nname = "p"\narchive = { path = "p.whl", hashes = { sha256 = "aa" } }',
            "p @ ./binder/p.whl",
            id="a file",
        ),
        pytest.param('[[packages]]\nname = "p"\ndirectory = { path = "../sub" }', "./sub", id="a folder"),
        pytest.param(
            f"default-groups = ['one']\n{SIX}".replace(
                "version =", "marker = \"'one' in dependency_groups\"\nversion ="
            ),
            "six==1.16.0 --hash=sha256:aa --hash=sha256:bb",
            id="a default group",
        ),
        pytest.param(
            SIX.replace("version =", "marker = \"'two' in dependency_groups or 'x' in extras\"\nversion ="),
            "",
            id="a group and an extra that nobody asks for",
        ),
    ],
)
def test_each_package_is_a_line(text: str, line: str) -> None:
    assert requirements("binder/pylock.toml", HEAD + text) == line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("x", "it is no lock file", id="no TOML"),
        pytest.param("x = 1", "it is no lock file", id="another file"),
        pytest.param('lock-version = "9.0"\ncreated-by = "x"\npackages = []', "it is no lock file", id="newer"),
        pytest.param(HEAD + "packages = 1", "it is no lock file", id="no packages"),
        pytest.param("a = " + "[" * 100_000, "it is nested too deeply", id="deep"),
        pytest.param(
            HEAD + '[[packages]]\nname = "p"\nvcs = { type = "git", path = "../p", commit-id = "aa" }',
            "names a repository by its path",
            id="a repository beside it",
        ),
    ],
)
def test_what_is_none_is_told(text: str, says: str) -> None:
    with pytest.raises(Fail) as caught:
        requirements("pylock.toml", text)
    assert caught.value.failure.kind is failures.BAD_FILE
    assert says.replace("it is nested", "nested") in caught.value.failure.cause
