"""What an installation does, step by step, and what it never touches."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from perijove.backends.installation import carrying_out, programs, steps
from perijove.backends.installation.steps import Place, Step
from perijove.domain.failures import Fail
from perijove.domain.service_failures import INSTALLATION_FAILED
from perijove.domain.settings import Settings
from perijove.domain.settings_layers import Layer, merged

PACKAGED = carrying_out.packaged()
HERE = Place()


def test_all_that_it_writes_is_packaged() -> None:
    assert {*steps.UNITS, "perijove.conf", "perijove.toml"} <= PACKAGED.keys()


def test_the_settings_file_is_all_defaults_and_its_examples_are_settings() -> None:
    text = PACKAGED["perijove.toml"]
    assert merged([Layer("file", flat(text))])[0] == Settings()
    examples = re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    merged([Layer("file", flat(examples))])
    assert len(flat(examples)) > 8


def flat(text: str) -> dict[str, object]:
    tables = tomllib.loads(text)
    return {f"{table}.{name}": value for table, entries in tables.items() for name, value in entries.items()}


@pytest.mark.parametrize(
    ("hosts", "email", "told"),
    [
        pytest.param(["a.example.org", "b"], "", {"service.hosts": ["a.example.org", "b"]}, id="names"),
        pytest.param([], "me@example.org", {"certificates.email": "me@example.org"}, id="an address"),
        pytest.param(['a"]\nx'], "", {"service.hosts": ['a"]\nx']}, id="what is no name stays in its text"),
    ],
)
def test_names_and_address_stand_in_the_new_settings_file(
    hosts: list[str], email: str, told: dict[str, object]
) -> None:
    text = steps.settings(PACKAGED["perijove.toml"], hosts, email)
    assert flat(text) == told


def test_units_run_the_programs_where_they_are_installed() -> None:
    units = steps.installing(Place(prefix=Path("/srv/p")), PACKAGED, (), "")[-1].files
    told = {path.name: content.decode() for path, content in units.items()}
    assert "ExecStart=/srv/p/bin/perijove pad" in told["perijove-pad.service"]
    assert "ExecStart=/srv/p/bin/perijove up" in told["perijove.service"]
    assert "/opt/perijove" not in "".join(told.values())


def test_another_root_gets_files_and_the_systemd_that_runs_hears_nothing() -> None:
    place = Place(Path("/mnt/other"), systemd_runs=False)
    todo = [*steps.installing(place, PACKAGED, (), ""), *steps.removing(place), *steps.purging(place)]
    paths = [path for step in todo for path in (*step.files, *step.kept, *step.removed)]
    assert not [path for path in paths if not path.is_relative_to("/mnt/other")]
    commands = [" ".join(command) for step in todo for command in step.commands]
    assert not [one for one in commands if "--root" not in one]
    assert not re.search(r"\b(start|stop|restart|daemon-reload)\b", "\n".join(commands))


def test_where_systemd_runs_the_pad_goes_on_and_the_service_is_restarted() -> None:
    commands = [" ".join(command) for command in steps.installing(HERE, PACKAGED, (), "")[-1].commands]
    assert commands[-2:] == ["systemctl start perijove-pad.service", "systemctl restart perijove.service"]


def test_uninstalling_keeps_settings_data_and_user() -> None:
    removed = {path for step in steps.removing(HERE) for path in step.removed}
    assert removed == {steps.PREFIX, Path("/opt/perijove.d"), *(steps.SYSTEMD / name for name in steps.UNITS)}
    assert not [command for step in steps.removing(HERE) for command in step.commands if command[0] == "userdel"]


def test_a_step_is_done_once_and_what_is_somebody_s_is_left(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "a" / "unit", tmp_path / "settings"
    theirs.write_text("mine")
    step = Step("s", {ours: b"x"}, {theirs: b"new"})
    assert list(carrying_out.foreseen(step)) == [f"write {ours}"]
    assert not ours.exists()
    assert [carrying_out.carry_out(step), carrying_out.carry_out(step)] == [True, False]
    assert (ours.read_bytes(), ours.stat().st_mode & 0o777, theirs.read_text()) == (b"x", 0o644, "mine")
    assert list(carrying_out.foreseen(step)) == []


def test_removing_follows_no_link(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.mkdir()
    (kept / "file").write_text("x")
    link.symlink_to(kept)
    carrying_out.carry_out(Step("s", removed=[link, tmp_path / "nothing"]))
    assert not link.is_symlink()
    assert (kept / "file").exists()


@pytest.mark.parametrize("command", [("false",), ("no-such-program-here",)], ids=["it fails", "it is not there"])
def test_a_command_that_fails_is_told_and_ends_it(command: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(Fail) as told:
        carrying_out.carry_out(Step("s", commands=[command], removed=[tmp_path]))
    assert told.value.failure.kind is INSTALLATION_FAILED
    assert command[0] in told.value.failure.cause
    assert tmp_path.exists()


def test_what_has_done_its_work_is_not_run_again(tmp_path: Path) -> None:
    carrying_out.carry_out(Step("s", commands=[("false",)], while_there=tmp_path / "gone"))


def test_a_release_takes_the_place_of_another_and_those_that_are_used_stay(tmp_path: Path) -> None:
    place = Place(tmp_path, systemd_runs=False)
    (tmp_path / "opt" / "perijove" / "bin").mkdir(parents=True)
    folders = [tmp_path / "opt" / "perijove.d" / name for name in ("1", "2", "3")]
    for folder in folders:
        folder.mkdir(parents=True)
        programs.put_in_place(place, folder)
        assert (tmp_path / "opt" / "perijove").resolve() == folder
    assert str((tmp_path / "opt" / "perijove").readlink()) == "perijove.d/3"
    gone = programs.sweep(place)
    assert sorted(path.name for path in gone) == ["1", "1-before"]
    assert sorted(os.listdir(tmp_path / "opt" / "perijove.d")) == ["2", "3"]


def test_a_release_that_cannot_be_installed_leaves_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, systemd_runs=False)
    with pytest.raises(Fail) as told:
        programs.release(place, str(tmp_path / "nowhere"), programs.python())
    assert told.value.failure.kind is INSTALLATION_FAILED
    assert list((tmp_path / "opt" / "perijove.d").iterdir()) == []
