"""The embedded CA in a system's store: of a machine made for the test, never of this one."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from perijove.backends import trust
from perijove.backends.localca import LocalAuthority
from perijove.domain.certificate_failures import FILE_UNREADABLE, LOCAL_CA_BROKEN
from perijove.domain.failures import STATE_UNUSABLE, TOOL_MISSING, Fail, Failure, Kind
from perijove.domain.state import State
from tests.fakes.private_ca import PrivateCa
from tests.fakes.world import FakeClock

DEBIAN, FEDORA = "usr/local/share/ca-certificates", "etc/pki/ca-trust/source/anchors"
Machine = Callable[[str], Path]


@pytest.fixture
def root(state: State) -> Path:
    LocalAuthority(state, FakeClock(time.time())).root_pem()
    return state.local_ca / "root.pem"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine's files with one family's folder for roots."""

    def made(anchors: str) -> Path:
        folder = tmp_path / "machine"
        for one in (anchors, "etc/ssl/certs", "etc/ca-certificates/update.d", "usr/share/ca-certificates"):
            (folder / one).mkdir(parents=True)
        (folder / "etc/ca-certificates.conf").write_text("\n")
        return folder

    return made


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a program of the test's own first in PATH; it writes down how it was called."""

    def put(name: str, text: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{text}\n')
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return tmp_path / "calls"

    return put


def refused(kind: Kind, act: Callable[[], object]) -> Failure:
    with pytest.raises(Fail) as caught:
        act()
    assert caught.value.failure.kind is kind
    return caught.value.failure


def real_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's own program, which users other than root have not in their PATH."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if shutil.which("update-ca-certificates") is None:
        pytest.skip("Debian's ca-certificates is not installed")
    if subprocess.run(["update-ca-certificates", "--help"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this update-ca-certificates is not Debian's")


def test_debian_s_own_program_takes_it_up_and_out_again(
    root: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_update(monkeypatch)
    where, others = machine(DEBIAN), PrivateCa(tmp_path / "ca").file
    shutil.copy(others, where / DEBIAN / "others.crt")
    bundle = where / "etc/ssl/certs/ca-certificates.crt"
    first = trust.install(root, where)
    assert "trusts it now" in first[0]
    subjects = [one["subject"] for one in ssl.create_default_context(cafile=str(bundle)).get_ca_certs()]
    assert "Perijove local CA" in str(subjects)
    before = bundle.stat().st_mtime_ns
    assert "already" in trust.install(root, where)[0]
    assert bundle.stat().st_mtime_ns == before, "nothing is done twice"
    assert "any more" in trust.uninstall(root, where)[0]
    assert bundle.read_bytes() == others.read_bytes()
    assert [one.name for one in (where / DEBIAN).iterdir()] == ["others.crt"]
    assert "does not hold it" in trust.uninstall(root, where)[0]


def test_one_that_was_placed_and_never_taken_up_is_taken_up(
    root: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_update(monkeypatch)
    where = machine(DEBIAN)
    trust.install(root, where)
    (where / "etc/ssl/certs/ca-certificates.crt").unlink()
    assert "now" in trust.install(root, where)[0]


def test_other_systems_have_their_own_folder_and_program(
    root: Path, machine: Machine, program: Callable[[str, str], Path]
) -> None:
    calls, where = program("update-ca-trust", ""), machine(FEDORA)
    assert "now" in trust.install(root, where)[0]
    placed = list((where / FEDORA).iterdir())
    assert [one.suffix for one in placed] == [".pem"]
    assert placed[0].read_bytes() == root.read_bytes()
    assert placed[0].stat().st_mode & 0o777 == 0o644
    trust.uninstall(root, where)
    assert not list((where / FEDORA).iterdir())
    assert len(calls.read_text().splitlines()) == 2


def test_a_program_that_fails_or_is_missing_is_told(
    root: Path, machine: Machine, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    program("update-ca-trust", "echo p11-kit: no such token >&2; exit 1")
    where = machine(FEDORA)
    told = refused(STATE_UNUSABLE, lambda: trust.install(root, where))
    assert "p11-kit: no such token" in told.evidence[0].saw
    monkeypatch.setenv("PATH", "/nonexistent")
    refused(TOOL_MISSING, lambda: trust.install(root, where))


def test_who_may_not_write_there_is_told_the_commands(
    root: Path, machine: Machine, program: Callable[[str, str], Path]
) -> None:
    calls, where = program("update-ca-trust", ""), machine(FEDORA)
    told = "\n".join(trust.instructions(root, where))
    assert f"install -m 644 {root} {where}/{FEDORA}/perijove-" in told
    for word in ("update-ca-trust", "certutil -d sql:", "security add-trusted-cert", "certutil -addstore", "SHA-256"):
        assert word in told
    if os.geteuid() != 0:
        (where / FEDORA).chmod(0o555)
        assert "\n".join(trust.install(root, where)) == told
        (where / FEDORA).chmod(0o755)
    assert not calls.exists()
    assert not list((where / FEDORA).iterdir())


def test_a_system_nobody_knows_is_told_the_commands_for_browsers(root: Path, tmp_path: Path) -> None:
    told = trust.install(root, tmp_path)
    assert "not known" in told[0]
    assert "certutil" in "\n".join(told)
    assert "does not hold it" in trust.uninstall(root, tmp_path)[0]


def test_a_root_that_may_sign_for_more_than_local_names_is_never_put_there(
    machine: Machine, tmp_path: Path, program: Callable[[str, str], Path]
) -> None:
    """Whoever writes in the state directory must not have the whole machine trust them for every name."""
    calls, where = program("update-ca-trust", ""), machine(FEDORA)
    everything = PrivateCa(tmp_path / "ca")
    told = refused(LOCAL_CA_BROKEN, lambda: trust.install(everything.file, where))
    assert told.evidence[0].where == str(everything.file)
    refused(LOCAL_CA_BROKEN, lambda: trust.install(everything.leaf("localhost").chain, where))
    refused(FILE_UNREADABLE, lambda: trust.install(tmp_path / "nothing", where))
    assert not calls.exists()
    assert not list((where / FEDORA).iterdir())
