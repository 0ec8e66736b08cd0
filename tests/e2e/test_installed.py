"""`perijove install` into a root of its own, as root does it; no systemd runs there, and nothing is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.same_for_any_user,
    pytest.mark.skipif(os.geteuid() != 0, reason="root alone installs a service"),
    pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed"),
]
CLONE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where it is installed, once."""
    folder = tmp_path_factory.mktemp("root")
    said = perijove("install", folder, "--from", str(CLONE), "--host", "binder.example.org")
    assert [line[0] for line in said.splitlines()[:4]] == ["✓"] * 4, said
    assert "Not started here" in said
    yield folder
    shutil.rmtree(folder)


def perijove(command: str, root: Path, *words: str, status: int = 0, typed: str = "") -> str:
    line = [sys.executable, "-m", "perijove", command, "--root", str(root), *words]
    done = subprocess.run(line, input=typed, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def tree(root: Path) -> dict[str, int]:
    """Each file but those of releases, with when it was written."""
    found = (path for path in root.rglob("*") if "perijove.d" not in path.parts and path.is_file())
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in found if path.name != ".pwd.lock"}


def test_programs_user_settings_and_units_are_there(root: Path) -> None:
    ran = subprocess.run([root / "opt/perijove/bin/perijove", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("perijove 0.")
    assert "perijove:" in (root / "etc/passwd").read_text()
    assert 'hosts = ["binder.example.org"]' in (root / "etc/perijove/perijove.toml").read_text()
    for unit in ("perijove.service", "perijove-pad.service"):
        assert (root / "etc/systemd/system/multi-user.target.wants" / unit).is_symlink()
        path = root / "etc/systemd/system" / unit
        assert "ExecStart=/opt/perijove/bin/perijove" in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o644


def test_the_units_are_what_systemd_takes(root: Path, tmp_path: Path) -> None:
    for unit in ("perijove.service", "perijove-pad.service"):
        text = (root / "etc/systemd/system" / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/opt/perijove/", f"{root}/opt/perijove/"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *tmp_path.iterdir()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_its_programs_hold_what_an_installation_needs(root: Path, tmp_path: Path) -> None:
    """Without a clone: from the environment itself."""
    command = [str(root / "opt/perijove/bin/perijove"), "install", "--dry-run", "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    assert f"write {tmp_path}/etc/systemd/system/perijove.service" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_again_it_changes_programs_alone_and_leaves_what_is_somebody_s(root: Path) -> None:
    settings = root / "etc/perijove/perijove.toml"
    settings.write_text("[service]\ntitle = 'mine'\n")
    before, release = tree(root), (root / "opt/perijove").resolve()
    said = perijove("install", root, "--from", str(CLONE), "--host", "another.example.org")
    assert said.count("as it was") == 3
    assert tree(root).keys() == before.keys()
    assert settings.read_text() == "[service]\ntitle = 'mine'\n"
    assert (root / "opt/perijove").resolve() != release
    assert release.exists(), "a pad may run from it still"


def test_a_dry_run_changes_nothing(root: Path) -> None:
    before = tree(root)
    for command, words in (("install", ()), ("uninstall", ("--purge",)), ("upgrade", (str(CLONE),))):
        assert "✓" not in perijove(command, root, *words, "--dry-run")
    assert tree(root) == before


def test_uninstalled_settings_and_data_stay_until_they_are_purged(root: Path) -> None:
    copy = root.with_name("copy")
    shutil.copytree(root, copy, symlinks=True)
    data = copy / "var/lib/perijove/control/secret"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"x" * 32)
    for _ in range(2):
        perijove("uninstall", copy)
        assert not (copy / "opt/perijove").is_symlink()
        assert not (copy / "opt/perijove.d").exists()
        assert not list((copy / "etc/systemd/system").rglob("perijove*"))
        assert data.exists()
        assert (copy / "etc/perijove/perijove.toml").exists()
    perijove("upgrade", copy, str(CLONE), status=2)
    perijove("uninstall", copy, "--purge", typed="n\n", status=1)
    assert data.exists()
    perijove("uninstall", copy, "--purge", typed="y\n")
    assert not data.exists()
    assert not (copy / "etc/perijove").exists()
    assert "perijove:" not in (copy / "etc/passwd").read_text()
    perijove("uninstall", copy, "--purge", "--yes")
    shutil.rmtree(copy)
