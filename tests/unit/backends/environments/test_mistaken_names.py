import pytest

from perijove.backends.environments.mistaken_names import ON_INDEX, STANDARD, explained
from perijove.domain import failures

MISSING = failures.NO_SUCH_PACKAGE("it was not found")


@pytest.mark.parametrize(
    ("names", "requirements", "cause", "remedy"),
    [
        pytest.param(
            ["os"],
            ["numpy", "os", "json", "tkinter"],
            "os, json and tkinter come with Python",
            "Remove these lines: os, json and tkinter. A session has no display: tkinter cannot open windows there.",
            id="modules of Python, all at once",
        ),
        pytest.param(
            ["sqlite3"], ["sqlite3>=3", "typing"], "sqlite3 comes with Python", "Remove this line: sqlite3.", id="one"
        ),
        pytest.param(["PIL"], ["PIL"], "it was not found", "Write pillow instead of pil.", id="an import's name"),
        pytest.param(["nosuch"], ["os", "nosuch"], MISSING.cause, MISSING.remedy, id="a name that is nothing"),
    ],
)
def test_a_name_that_is_no_package_is_told_as_what_it_is(
    names: list[str], requirements: list[str], cause: str, remedy: str
) -> None:
    found = explained(MISSING, names, requirements)
    assert (found.kind, found.cause, found.remedy) == (failures.NO_SUCH_PACKAGE, cause, remedy)


def test_packages_with_the_name_of_a_module_are_known() -> None:
    assert STANDARD | {"tomllib", "zoneinfo", "graphlib"} >= ON_INDEX
