"""What is kept, under which names, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perijove.domain.keeping import (
    Change,
    KeptWork,
    LeftOut,
    Parts,
    archive_name,
    chosen,
    is_nobodys,
    shown,
    to_remove,
)
from perijove.giving import beside

MIB = 1024**2
NAMES = [
    pytest.param("notebook.ipynb", set(), "notebook.kept.ipynb", id="with an ending"),
    pytest.param("Makefile", set(), "Makefile.kept", id="without"),
    pytest.param(".bashrc", set(), ".bashrc.kept", id="hidden"),
    pytest.param("a.tar.gz", set(), "a.tar.kept.gz", id="two endings"),
    pytest.param("a.py", {"a.kept.py", "a.kept-2.py"}, "a.kept-3.py", id="taken"),
    pytest.param("caf\udce9.py", set(), "caf\udce9.kept.py", id="no UTF-8"),
    pytest.param("n" * 252 + ".py", set(), "n" * 247 + ".kept.py", id="long"),
    pytest.param("a." + "e" * 250, set(), ("a." + "e" * 250)[:250] + ".kept", id="a long ending"),
]


@pytest.mark.parametrize(("name", "taken", "found"), NAMES)
def test_a_visitor_s_file_lies_beside_the_repository_s(name: str, taken: set[str], found: str) -> None:
    assert beside(name, taken.__contains__) == found
    assert len(found.encode("utf-8", "surrogateescape")) <= 255


def test_whoever_takes_all_names_has_nobody_look_for_ever() -> None:
    with pytest.raises(FileExistsError):
        beside("notebook.ipynb", lambda _: True)


@pytest.mark.parametrize(
    ("path", "nobodys"),
    [
        ((".cache",), True),
        ((".local", "share"), True),
        (("a", "__pycache__"), True),
        (("a", ".ipynb_checkpoints"), True),
        (("a", ".cache"), False),
        ((".git",), False),
        (("notebook.ipynb",), False),
    ],
)
def test_what_programs_make_is_nobodys(path: Parts, nobodys: bool) -> None:
    assert is_nobodys(path) is nobodys


def test_one_large_file_costs_no_notebook() -> None:
    changes = [Change(("data",), 90), Change(("b",), 5), Change(("a",), 5), Change(("z",), 20)]
    assert chosen(changes, 40, 100) == ([changes[2], changes[1], changes[3]], {LeftOut.LARGE: 1})
    assert chosen(changes, 1000, 1) == ([changes[2]], {LeftOut.MANY: 3})
    assert chosen([], 0, 0) == ([], {})


ARCHIVED = [
    pytest.param(("a", "b.txt"), ("a", "b.txt"), id="as it is"),
    pytest.param(("C:\\x",), ("C__x",), id="another system's separators"),
    pytest.param((".. ",), ("___",), id="only dots and spaces"),
    pytest.param(("a\nb", "\x1b[31m", "caf\udce9"), ("a_b", "_[31m", "caf_"), id="what nobody can see"),
    pytest.param(("end. ",), ("end",), id="an end that Windows drops"),
]


@pytest.mark.parametrize(("path", "name"), ARCHIVED)
def test_a_name_in_a_zip_leads_nowhere_else(path: Parts, name: Parts) -> None:
    assert archive_name(path) == name


def test_a_path_is_shown_in_one_line() -> None:
    assert shown(("a\nb", "caf\udce9", "\x1b[31m")) == "a\\x0ab/caf\\udce9/\\x1b[31m"


def work(at: float, size: int, visitor: str = "a") -> KeptWork:
    return KeptWork(f"s{at:.0f}", visitor, "r", "c", at, size * MIB, 1)


def test_what_is_kept_too_long_goes_and_of_one_visitor_the_oldest() -> None:
    works = [work(1, 5), work(2, 5), work(3, 5), work(4, 5, "b")]
    assert to_remove(works, 5, 100, 100 * MIB, 100 * MIB) == []
    assert to_remove(works, 5, 3, 100 * MIB, 100 * MIB) == works[:2]
    assert to_remove(works, 5, 100, 100 * MIB, 10 * MIB) == [works[0]]


def test_whoever_leaves_much_costs_nobody_else_their_work() -> None:
    theirs = [work(at, 1, visitor) for at, visitor in ((1, "b"), (2, "c"))]
    flood = [work(10 + number, 9, "a") for number in range(3)]
    assert to_remove([*theirs, *flood], 50, 100, 20 * MIB, 100 * MIB) == flood[:1]
    assert to_remove([*theirs, *flood], 50, 100, 2 * MIB, 100 * MIB) == flood


def test_what_is_small_is_bounded_in_number() -> None:
    works = [replace(work(at, 0), size=1) for at in range(10)]
    assert to_remove(works, 50, 100, 100 * MIB, 4 * MIB) == works[:6]
