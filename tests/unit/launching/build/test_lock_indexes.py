import pytest

from perijove.domain.failures import BAD_FILE, Fail
from perijove.launching.build.lock_indexes import MOST, of_uv_lock, options
from perijove.launching.build.poetry_lock import poetry_requirements
from perijove.launching.build.pylock_file import requirements

PYPI = "https://pypi.org" + "/simple"
OTHER = "https://download.example.org/whl/cpu"
LINE = f"--extra-index-url {OTHER}"


@pytest.mark.parametrize(
    ("indexes", "lines"),
    [
        pytest.param((PYPI, f"{PYPI}/"), [], id="PyPI"),
        pytest.param((OTHER, PYPI, OTHER), [LINE], id="another"),
        pytest.param(("vendor/wheels",), ["--find-links ./vendor/wheels"], id="a folder"),
    ],
)
def test_other_indexes_are_options(indexes: tuple[str, ...], lines: list[str]) -> None:
    assert options("uv.lock", indexes) == lines


@pytest.mark.parametrize(
    "indexes",
    [
        pytest.param((3,), id="a number"),
        pytest.param(("https://h/ --no-index",), id="an option behind it"),
        pytest.param(("https://h/\n-r x",), id="a line behind it"),
        pytest.param(("ftp://h/",), id="another scheme"),
        pytest.param(tuple(f"https://h{n}/" for n in range(MOST + 1)), id="too many"),
    ],
)
def test_what_is_no_index_is_refused(indexes: tuple[object, ...]) -> None:
    with pytest.raises(Fail) as caught:
        options("uv.lock", indexes)
    assert caught.value.failure.kind is BAD_FILE


LOCK = f"""
[[package]]
name = "six"
source = {{ registry = "{PYPI}" }}
[[package]]
name = "torch"
source = {{ registry = "{OTHER}" }}
[[package]]
name = "mine"
source = {{ virtual = "." }}
"""
POETRY = f"""
[[package]]
name = "torch"
version = "2.3.0+cpu"
files = [{{file = "torch-2.3.0.tar.gz", hash = "sha256:{"0a" * 32}"}}]
[package.source]
type = "legacy"
url = "{OTHER}"
reference = "torch"
"""
PYLOCK = f"""
lock-version = "1.0"
created-by = "x"
[[packages]]
name = "torch"
version = "2.3.0"
index = "{OTHER}"
wheels = [{{ url = "https://h/torch-2.3.0-py3-none-any.whl", hashes = {{ sha256 = "{"0a" * 32}" }} }}]
"""
HASH = f"--hash=sha256:{'0a' * 32}"


def test_each_lock_file_names_its_indexes() -> None:
    assert of_uv_lock("uv.lock", LOCK) == [LINE]
    wanted, limits = poetry_requirements("poetry.lock", POETRY, '[tool.poetry.dependencies]\ntorch = "*"\n')
    assert wanted.splitlines() == [LINE, "torch"]
    assert limits == f"torch==2.3.0+cpu {HASH}"
    assert requirements("pylock.toml", PYLOCK).splitlines() == [LINE, f"torch==2.3.0 {HASH}"]


def test_a_lock_without_packages_names_none_and_one_that_is_none_is_refused() -> None:
    assert of_uv_lock("uv.lock", 'package = "x"') == []
    with pytest.raises(Fail):
        of_uv_lock("uv.lock", "[")
