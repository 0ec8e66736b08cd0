import tomllib

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.launching.build.groups import default_groups, requirements

GROUPS = """
[dependency-groups]
Dev = ["pytest", {include-group = "type_Ing"}, "ruff"]
type-ing = ["mypy>=1"]
docs = ["sphinx"]
"""


@pytest.mark.parametrize(
    ("more", "names", "lines"),
    [
        pytest.param("", ("dev",), ["pytest", "mypy>=1", "ruff"], id="dev"),
        pytest.param("[tool.uv]\ndefault-groups = []", (), [], id="none"),
        pytest.param("[tool.uv]\ndefault-groups = ['docs']", ("docs",), ["sphinx"], id="others"),
        pytest.param(
            "[tool.uv]\ndefault-groups = 'all'",
            ("dev", "type-ing", "docs"),
            ["pytest", "mypy>=1", "ruff", "mypy>=1", "sphinx"],
            id="all",
        ),
    ],
)
def test_what_uv_installs_by_default_is_taken(more: str, names: tuple[str, ...], lines: list[str]) -> None:
    table = tomllib.loads(GROUPS + more)
    assert default_groups(table) == names
    assert requirements(table, names) == lines


def test_a_project_without_groups_has_none() -> None:
    assert default_groups({}) == ()
    assert default_groups(tomllib.loads("[dependency-groups]\ndocs = ['sphinx']")) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("dependency-groups = 1", "is not a table", id="no table"),
        pytest.param("[dependency-groups]\ndev = 'x'", "there is no dependency group dev", id="no list"),
        pytest.param(
            "[dependency-groups]\ndev = [{include-group = 'x'}]", "there is no dependency group x", id="nobody"
        ),
        pytest.param("[dependency-groups]\ndev = [{include-group = 'dev'}]", "dev includes itself", id="itself"),
        pytest.param("[dependency-groups]\ndev = [{x = 1}]", "holds what is no requirement", id="another thing"),
        pytest.param('[dependency-groups]\ndev = ["a\\n-r b"]', "holds what is no requirement", id="two lines"),
        pytest.param("[tool.uv]\ndefault-groups = [1]", "is no list of names", id="no names"),
        pytest.param("[dependency-groups]\ndev = [" + "'a'," * 5001 + "]", "more than 5000", id="too many"),
    ],
)
def test_what_is_none_is_told(text: str, says: str) -> None:
    table = tomllib.loads(text)
    with pytest.raises(Fail) as caught:
        requirements(table, default_groups(table) or ("dev",))
    assert caught.value.failure.kind is failures.BAD_FILE
    assert says in caught.value.failure.cause
