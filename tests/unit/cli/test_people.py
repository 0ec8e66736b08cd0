"""`perijove user`, on a state directory that no service has seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from perijove.backends.host_tokens import HostTokenFolder
from perijove.cli.main import app
from perijove.domain.auth_failures import PEOPLE_NOT_CHANGED
from perijove.domain.failures import Fail
from perijove.domain.keys import Keys
from perijove.domain.people import HostToken
from perijove.domain.state import State

User = Callable[..., Result]


@pytest.fixture
def user(empty_state: State) -> User:
    def run(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(app, ["user", *words, "--state", str(empty_state.root)], input=f"{given}\n")

    return run


def test_people_are_added_listed_changed_and_removed(user: User, empty_state: State) -> None:
    for words in (("ada", "--group", "students", "--group", "staff"), ("eve", "--admin"), ("bob",)):
        assert user("add", *words, given="a long engine").exit_code == 0
    assert user("list").stdout == "ada\tstaff,students\neve\t-\tadmin\nbob\t-\n"
    kept = empty_state.people.read_text()
    assert user("password", "bob", given="another one").exit_code == 0
    assert user("remove", "eve").exit_code == 0
    assert [line.split("\t")[0] for line in user("list").stdout.splitlines()] == ["ada", "bob"]
    now = empty_state.people.read_text()
    assert now.splitlines()[0] == kept.splitlines()[0]
    assert now.splitlines()[1] != kept.splitlines()[2]
    assert "engine" not in kept


def test_whoever_gets_a_name_anew_inherits_no_token_of_before(user: User, empty_state: State) -> None:
    user("add", "ada", given="a long engine")
    user("add", "bob", given="a long engine")
    tokens = HostTokenFolder(empty_state.host_tokens, Keys(b"0" * 32))
    for name in ("ada", "bob"):
        tokens.keep(name, HostToken("https://github.com", "a-secret"))
    assert user("add", "ada", given="a long engine").exit_code == 1
    assert tokens.of("ada"), "she has it still"
    user("remove", "ada")
    assert tokens.of("ada") == []
    tokens.keep("ada", HostToken("https://github.com", "a-secret"))
    user("add", "ada", given="a long engine")
    assert tokens.of("ada") == [], "the file was edited by hand before"
    assert tokens.of("bob")


def test_what_cannot_be_done_changes_nothing(user: User, empty_state: State) -> None:
    user("add", "ada", given="a long engine")
    before = empty_state.people.read_bytes()
    for words in (("add", "ada"), ("password", "bob"), ("remove", "bob")):
        error = user(*words, given="a long engine").exception
        assert isinstance(error, Fail)
        assert error.failure.kind is PEOPLE_NOT_CHANGED
    for misspelled in (("b:b",), ("bob", "--group", "a,b")):
        assert user("add", *misspelled, given="a long engine").exit_code == 2
    assert user("add", "bob", given="short").exit_code == 2
    assert empty_state.people.read_bytes() == before
