import os
import sys
from pathlib import Path

import pytest

from perijove.backends.environments.interpreters import Interpreters, others, pick
from perijove.domain import failures
from perijove.domain.build_inputs import Interpreter
from perijove.domain.failures import Fail
from perijove.domain.nouns import PythonRequest, PythonSource
from perijove.domain.state import State

DEFAULT, RUNTIME, VERSION, REQUIRES = PythonSource


def installed(*versions: str) -> list[Interpreter]:
    return [Interpreter(v, Path(f"/py/{v}/bin/python3"), Path(f"/py/{v}")) for v in versions]


ALL = ("3.9.18", "3.10.13", "3.11.2", "3.11.7", "3.12.1", "3.13.0")


@pytest.mark.parametrize(
    ("wanted", "here", "version", "told"),
    [
        pytest.param(PythonRequest("", DEFAULT), ALL, "3.12.1", "", id="nobody asks"),
        pytest.param(PythonRequest("", DEFAULT), ("3.11.2", "3.13.0"), "3.11.2", "", id="nobody asks, no 3.12"),
        pytest.param(PythonRequest("", DEFAULT), ("3.10.1", "3.13.0"), "3.13.0", "", id="nobody asks, neither"),
        pytest.param(PythonRequest("==3.11.*", RUNTIME), ALL, "3.11.7", "", id="the newest patch"),
        pytest.param(PythonRequest("==3.11.2", RUNTIME), ALL, "3.11.2", "", id="an exact one"),
        pytest.param(PythonRequest("==3.*", RUNTIME), ALL, "3.12.1", "", id="any 3"),
        pytest.param(PythonRequest("==3.11.4", RUNTIME), ALL, "3.11.7", "3.11.7", id="another patch"),
        pytest.param(PythonRequest("==3.14.*", RUNTIME), ALL, "3.13.0", "3.13.0", id="one that is too new"),
        pytest.param(PythonRequest("==3.8.*", VERSION), ALL, "3.9.18", "3.9.18", id="one that is too old"),
        pytest.param(PythonRequest("==3.11.*", VERSION), ("3.10.1", "3.12.1"), "3.12.1", "3.12.1", id="newer of two"),
        pytest.param(PythonRequest(">=3.9", REQUIRES), ALL, "3.12.1", "", id="the preferred one where it fits"),
        pytest.param(PythonRequest(">=3.13", REQUIRES), ALL, "3.13.0", "", id="a lower bound"),
        pytest.param(PythonRequest("<3.11", REQUIRES), ALL, "3.10.13", "", id="an upper bound"),
    ],
)
def test_which_interpreter_a_wish_means(wanted: PythonRequest, here: tuple[str, ...], version: str, told: str) -> None:
    found, note = pick(wanted, installed(*here))
    assert found.version == version
    assert told in note
    assert bool(note) is bool(told)


@pytest.mark.parametrize(
    ("wanted", "versions"),
    [
        pytest.param(PythonRequest("", DEFAULT), ("3.13.0", "3.11.7", "3.10.13", "3.9.18"), id="nobody asks"),
        pytest.param(PythonRequest(">=3.9,<3.12", REQUIRES), ("3.11.7", "3.10.13", "3.9.18"), id="within its bounds"),
        pytest.param(PythonRequest("==3.12.*", RUNTIME), (), id="who asks for one gets no other"),
        pytest.param(PythonRequest("==3.12.*", VERSION), (), id="who asks elsewhere neither"),
    ],
)
def test_which_others_may_be_taken_for_what_is_pinned(wanted: PythonRequest, versions: tuple[str, ...]) -> None:
    (taken,) = installed("3.12.1")
    assert tuple(other.version for other in others(wanted, installed(*ALL), taken)) == versions


@pytest.mark.parametrize(
    ("wanted", "here"),
    [
        pytest.param(PythonRequest("==2.7.*", RUNTIME), ALL, id="Python 2"),
        pytest.param(PythonRequest("==3.6.*", VERSION), ALL, id="too old for any wheel"),
        pytest.param(PythonRequest(">=3.14", REQUIRES), ALL, id="a bound that nothing meets"),
        pytest.param(PythonRequest("==3.12.4", REQUIRES), ALL, id="an exact requires-python"),
        pytest.param(PythonRequest("", DEFAULT), (), id="no interpreter at all"),
    ],
)
def test_a_version_that_cannot_be_had_fails_with_those_that_can(wanted: PythonRequest, here: tuple[str, ...]) -> None:
    with pytest.raises(Fail) as caught:
        pick(wanted, installed(*here))
    assert caught.value.failure.kind is failures.PYTHON_UNAVAILABLE
    assert ", ".join(here) in caught.value.failure.cause


async def test_this_machine_has_an_interpreter_and_each_is_asked_once(state: State) -> None:
    interpreters = Interpreters(state, ())
    found = await interpreters.installed()
    assert found
    assert all(i.executable.exists() and i.prefix in i.executable.parents for i in found)
    assert await interpreters.installed() == found


async def test_what_a_python_said_is_known_after_a_restart_until_it_is_replaced(state: State, tmp_path: Path) -> None:
    python, asked = tmp_path / "python3.12", tmp_path / "asked"

    def install() -> None:
        aside = tmp_path / "aside"
        aside.write_text(f'#!/bin/sh\necho >> {asked}\nexec {sys.executable} "$@"\n')
        aside.chmod(0o755)
        os.utime(aside, (1, 1))
        aside.rename(python)

    install()
    found = await Interpreters(state, (str(python),)).installed()
    assert await Interpreters(state, (str(python),)).installed() == found
    assert len(asked.read_text()) == 1
    install()
    await Interpreters(state, (str(python),)).installed()
    assert len(asked.read_text()) == 2


async def test_what_was_kept_and_cannot_be_read_is_asked_anew(state: State) -> None:
    found = await Interpreters(state, ()).installed()
    for kept in ("", "[[", "{}", "[[1]]", '[["/usr/bin/python3", "then", {}]]', "[null]"):
        state.pythons.write_text(kept)
        assert await Interpreters(state, ()).installed() == found, kept


async def test_what_is_no_interpreter_is_passed_over(state: State, tmp_path: Path) -> None:
    broken = tmp_path / "python3.12"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    without = await Interpreters(state, ()).installed()
    assert await Interpreters(state, (str(broken), "/nowhere/python3")).installed() == without


async def test_what_lies_below_usr_needs_no_mount(state: State) -> None:
    system = Interpreter("3.11.2", Path("/usr/bin/python3.11"), Path("/usr"))
    assert await Interpreters(state, ()).shown(system) == ()
