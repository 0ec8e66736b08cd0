import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.launching.build.requirements import Asks, lines


@pytest.mark.parametrize(
    ("text", "asks", "value"),
    [
        pytest.param("numpy", Asks.PACKAGE, "numpy", id="a bare name"),
        pytest.param("numpy >=1.2,<3 # why", Asks.PACKAGE, "numpy", id="specifiers and a comment"),
        pytest.param("pkg[a,b]==1; python_version < '3.9'", Asks.PACKAGE, "pkg", id="extras and a marker"),
        pytest.param("six==1.16 --hash=sha256:00", Asks.PACKAGE, "six", id="a hash"),
        pytest.param("six==1.16 \\\n  --hash=sha256:00", Asks.PACKAGE, "six", id="a hash on the next line"),
        pytest.param("-r more.txt", Asks.INCLUDE, "more.txt", id="an included file"),
        pytest.param("-rmore.txt", Asks.INCLUDE, "more.txt", id="an included file without a space"),
        pytest.param("--requirement=more.txt", Asks.INCLUDE, "more.txt", id="an included file, long"),
        pytest.param("-c limits.txt", Asks.CONSTRAIN, "limits.txt", id="constraints"),
        pytest.param("-e .", Asks.LOCAL, ".", id="the repository itself, editable"),
        pytest.param("--editable ./sub", Asks.LOCAL, "./sub", id="a folder, editable"),
        pytest.param(".", Asks.LOCAL, ".", id="the repository itself"),
        pytest.param(".[dev]", Asks.LOCAL, ".[dev]", id="the repository itself with an extra"),
        pytest.param("./sub", Asks.LOCAL, "./sub", id="a folder"),
        pytest.param("sub/pkg", Asks.LOCAL, "sub/pkg", id="a folder without a dot"),
        pytest.param("pkg-1.0-py3-none-any.whl", Asks.LOCAL, "pkg-1.0-py3-none-any.whl", id="a wheel"),
        pytest.param("file:./sub", Asks.LOCAL, "file:./sub", id="a file address"),
        pytest.param("pkg @ file:srv/pkg", Asks.LOCAL, "file:srv/pkg", id="a named file address"),
        pytest.param("git+https://h/o/r@v1", Asks.REMOTE, "git+https://h/o/r@v1", id="a git address"),
        pytest.param("https://h/p.tgz#egg=p==2.3", Asks.REMOTE, "https://h/p.tgz#egg=p", id="an egg with a version"),
        pytest.param(
            "-e git+https://h/r#egg=r[x]>=1&a=b", Asks.REMOTE, "git+https://h/r#egg=r[x]&a=b", id="an egg of old"
        ),
        pytest.param("-e git+https://h/o/r#egg=r", Asks.REMOTE, "git+https://h/o/r#egg=r", id="git, editable"),
        pytest.param("pkg @ https://h/p.whl", Asks.REMOTE, "https://h/p.whl", id="a named address"),
        pytest.param("https://h/p.tar.gz", Asks.REMOTE, "https://h/p.tar.gz", id="an address"),
        pytest.param("--extra-index-url https://h/simple", Asks.ELSEWHERE, "https://h/simple", id="another index"),
        pytest.param("-f ./wheels", Asks.ELSEWHERE, "./wheels", id="a folder of wheels"),
        pytest.param("--no-index", Asks.ELSEWHERE, "", id="no index"),
        pytest.param("--no-binary numpy", Asks.ELSEWHERE, "numpy", id="from sources"),
        pytest.param("--pre", Asks.FLAG, "", id="a flag"),
    ],
)
def test_each_kind_of_line_is_told_apart(text: str, asks: Asks, value: str) -> None:
    (line,) = lines("requirements.txt", text)
    assert (line.asks, line.value, line.number) == (asks, value, 1)


def test_blank_lines_comments_and_a_byte_order_mark_ask_for_nothing() -> None:
    assert list(lines("requirements.txt", "\ufeff# all\n\n   \n  # more\n")) == []


def test_a_line_is_known_by_the_number_it_begins_at() -> None:
    found = list(lines("requirements.txt", "six\n\nnumpy \\\n  >=1\nattrs\n"))
    assert [(line.number, line.value) for line in found] == [(1, "six"), (3, "numpy"), (5, "attrs")]


@pytest.mark.parametrize("bad", ["name = value", "two words", "{}", "--frobnicate", "-r", "six == == 1", "-e 'x"])
def test_a_line_that_cannot_be_read_is_told_with_its_number(bad: str) -> None:
    with pytest.raises(Fail) as caught:
        list(lines("binder/requirements.txt", f"six\n{bad}\n"))
    failure = caught.value.failure
    assert failure.kind is failures.BAD_FILE
    assert failure.evidence[0].where == "binder/requirements.txt:2"
    assert failure.evidence[0].saw == bad


def test_all_lines_that_cannot_be_read_are_told_at_once() -> None:
    with pytest.raises(Fail) as caught:
        list(lines("requirements.txt", "two words\nsix\n{}\n" + "a b\n" * 20))
    failure = caught.value.failure
    assert "lines 1, 3, 4, 5, 6, 7, 8, 9, 10, 11 and more are no requirements" in failure.cause
    assert [evidence.where for evidence in failure.evidence][:2] == ["requirements.txt:1", "requirements.txt:3"]


def test_a_release_of_hundreds_of_files_is_read_with_all_their_hashes() -> None:
    hashes = [f"--hash=sha256:{number:064x}" for number in range(300)]
    (line,) = lines("requirements.txt", " \\\n    ".join(["aiohttp==3.14.5", *hashes]))
    assert (line.asks, line.value) == (Asks.PACKAGE, "aiohttp")
    assert line.text.endswith(hashes[-1])


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        pytest.param(
            "six==1.16.0\ncertifi @ file:///croot/certifi_16/work\nidna @ file:///home/conda/idna_16/work\n",
            "lines 2 and 3 (certifi, idna) name files of the machine that they were written on, as `pip freeze` does",
            "with `pip list --format=freeze > requirements.txt`, or write instead: `certifi`, `idna`",
            id="pip freeze inside conda",
        ),
        pytest.param(
            "_libgcc_mutex=0.1=main\nnumpy=1.19.2=py38h54aff64_0\nsix=1.16\n",
            "lines 1, 2 and 3 (_libgcc_mutex, numpy, six) are in conda's spelling",
            "`_libgcc_mutex==0.1`, `numpy==1.19.2`, `six==1.16`",
            id="conda list --export",
        ),
        pytest.param(
            "six\npkg-resources==0.0.0",
            "line 2 (pkg-resources) is no package: `pip freeze` on Debian and Ubuntu writes it by mistake",
            "Delete `pkg-resources`.",
            id="Debian's pip freeze",
        ),
        pytest.param(
            "Package    Version\n---------- -------\nnumpy      1.19.2\nsix        1.16.0\n",
            "lines 3 and 4 (numpy, six) are rows of a table, as `pip list` and `conda list` print it",
            "`numpy==1.19.2`, `six==1.16.0`",
            id="pip list",
        ),
        pytest.param(
            "# Name   Version   Build  Channel\nnumpy    1.19.2    py38h54aff64_0    conda-forge\n",
            "line 2 (numpy) is a row of a table",
            "write instead: `numpy==1.19.2`.",
            id="conda list",
        ),
        pytest.param(
            "six\npython>=3.8.1,<4\n",
            "line 2 (python) asks for Python itself, which pip does not install",
            "Delete it, and write `python-3.8` into a file named runtime.txt.",
            id="Python as a package",
        ),
        pytest.param(
            "pip install numpy\n!pip install -q pandas\n%pip install -U six\n",
            "lines 1, 2 and 3 (numpy, pandas, six) are commands",
            "one package a line: `numpy`, `pandas`, `six`.",
            id="commands of a notebook",
        ),
        pytest.param(
            "pip install --index-url https://x.example numpy 'pandas>=2' -r more.txt  # all\n",
            "line 1 (",
            "one package a line: `numpy`, `pandas>=2`, `-r more.txt`.",
            id="a command with options and several packages",
        ),
        pytest.param("pip install --upgrade\n", "line 1 (", "Delete it.", id="a command that installs nothing"),
        pytest.param(
            "python<3.9\n", "asks for Python itself", "write `python-3.x` into", id="a Python that is excluded"
        ),
        pytest.param("python=3.8\n", "line 1 (python) asks for Python", "Delete it, and write", id="Python for conda"),
        pytest.param(
            "import numpy as np\nfrom scipy.stats import norm\nimport os.path\n",
            "lines 1, 2 and 3 (numpy, scipy, os) are Python code",
            "one a line: `numpy`, `scipy`, `os`.",
            id="the first lines of a notebook",
        ),
        pytest.param(
            "dependencies:\n  - numpy\n  - pandas=1.2\n",
            "lines 2 and 3 (numpy, pandas) are YAML, as in an environment.yml",
            "Move them to a file named environment.yml",
            id="an environment.yml",
        ),
        pytest.param(
            "<<<<<<< HEAD\nsix\n=======\nattrs\n>>>>>>> other\n",
            "lines 1, 3 and 5 (<<<<<<<, =======, >>>>>>>) are what git leaves of a merge that was not finished",
            "Choose one of the two versions",
            id="a merge that was not finished",
        ),
    ],
)
def test_what_a_tool_left_behind_is_told_as_that(text: str, cause: str, remedy: str) -> None:
    with pytest.raises(Fail) as caught:
        list(lines("requirements.txt", text))
    failure = caught.value.failure
    assert failure.kind is failures.BAD_FILE
    assert cause in failure.cause
    assert remedy in failure.remedy


def test_all_that_tools_left_behind_is_told_at_once() -> None:
    text = "a @ file:///a\npkg_resources==0.0.0\n" + "".join(f"p{n}=1={n}\n" for n in range(200))
    with pytest.raises(Fail) as caught:
        list(lines("requirements.txt", text))
    failure = caught.value.failure
    assert failure.cause.count("line") == 3
    assert "11, 12 and more" in failure.cause
    assert len(failure.evidence) == 12


@pytest.mark.parametrize(
    "fine",
    [
        "python-dateutil==2",
        "pythonping>=1",
        "importlib-metadata",
        "pip",
        "pip==23.1",
        "from-x",
        "a==1",
        "a===1",
        "a<=1",
        "a>=1",
        "a~=1.0",
        "a!=1",
        "pkg-resources==1.0",
        "a @ file:./b",
    ],
)
def test_what_only_looks_like_a_leftover_is_read(fine: str) -> None:
    assert len(list(lines("requirements.txt", fine))) == 1
