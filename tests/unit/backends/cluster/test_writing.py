"""A cluster that was looked at, written down and read again: judged alike, without secrets, if asked without names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.cluster.recording import recorded
from perijove.backends.cluster.writing import write
from perijove.doctor.cluster.diagnosis import diagnosed
from perijove.domain.cluster import Recording
from perijove.domain.failures import Fail
from tests.doctor.cluster.test_explaining import nfs
from tests.doctor.cluster.world import NOW, Broken, crashing, healthy, pod, recording

LOGS = {"log binderhub/hub-1": "[I] fine\n", "log binderhub/binder-1 (previous)": "GET /?token=s3cr3t-t0ken&x=1\n"}


def seen() -> Recording:
    broken = Broken((*nfs(), crashing("proxy-1", component="proxy"))).recorded()
    return replace(broken, logs=LOGS, unseen={"Node": "403 forbidden"})


def everything(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def test_what_was_written_is_judged_as_what_was_seen(tmp_path: Path) -> None:
    write(seen(), tmp_path / "x", names=True)
    again = recorded(tmp_path / "x")
    assert (again.now, again.whole, again.unseen) == (NOW, seen().whole, seen().unseen)
    assert diagnosed(again).told == diagnosed(replace(seen(), logs=again.logs)).told
    assert sorted(again.logs) == ["logs/binderhub_binder-1_previous.log", "logs/binderhub_hub-1.log"]


def test_values_of_secrets_and_tokens_in_logs_are_not_in_it_and_the_files_are_ones_own(tmp_path: Path) -> None:
    write(seen(), tmp_path / "x", names=True)
    assert not any(secret in everything(tmp_path) for secret in ("s3cr3t-t0ken", "no key"))
    assert "GET /?token=…&x=1" in everything(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.json")} == {0o600}


def test_of_a_long_token_and_of_an_address_s_password_nothing_is_left(tmp_path: Path) -> None:
    long, database = f"Authorization: Bearer {'A' * 300}.s3cr3t\n", "to postgresql://hub:s3cr3t@db.example/hub\n"
    write(replace(seen(), logs={"log hub/hub-1": long + database}), tmp_path / "x", names=True)
    assert "s3cr3t" not in everything(tmp_path)
    assert "Authorization: Bearer …\nto postgresql://…@db.example/hub\n" in everything(tmp_path)


def test_names_are_replaced_alike_wherever_they_stand(tmp_path: Path) -> None:
    ada = pod("jupyter-ada", "singleuser-server")
    ada["metadata"]["labels"]["hub.jupyter.org/username"] = "ada"
    hub = pod("jupyter-hub", "singleuser-server")
    logs = {"log binderhub/hub-1": "[I] ada <ada@uni.example> started jupyter-ada, and adamant stays\n"}
    write(recording([*healthy(), ada, hub], logs=logs), tmp_path / "x", names=False)
    whole = everything(tmp_path)
    assert "[I] user-1 <person-1@example.org> started jupyter-user-1, and adamant stays" in whole
    assert "jupyter-ada" not in whole
    assert diagnosed(recorded(tmp_path / "x")).findings == (), "a user called as a part of the hub takes nothing away"


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(Fail) as raised:
        write(seen(), tmp_path, names=True)
    assert raised.value.failure.kind.code == "cluster.recording-unwritable"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


ODD = [
    "[]",
    "{",
    '{"secrets": {"Secret binderhub/hub": 7}, "unseen": 3, "whole": {}}',
    '{"secrets": {"Secret binderhub/hub": {"certificates": [7], "written": "x"}}}',
]


@pytest.mark.parametrize("words", ODD)
def test_a_note_that_nobody_wrote_breaks_nothing(tmp_path: Path, words: str) -> None:
    write(seen(), tmp_path / "x", names=True)
    (tmp_path / "x" / "looked.json").write_text(words)
    assert recorded(tmp_path / "x").things
