"""The units for systemd: what systemd says of them, and who runs as whom."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
UNITS = sorted(path.name for path in (PACKAGING / "systemd").iterdir())


def lines(unit: str, key: str) -> list[str]:
    text = (PACKAGING / "systemd" / unit).read_text()
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_to_say_of_them(tmp_path: Path, unit: str) -> None:
    for name in UNITS:
        text = (PACKAGING / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/perijove/bin/perijove", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed")
def test_systemd_makes_their_user() -> None:
    command = ["systemd-sysusers", "--dry-run", str(PACKAGING / "sysusers.d" / "perijove.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_pad_alone_is_root_and_serves_the_user_of_the_service() -> None:
    (user,) = lines("perijove.service", "User")
    assert lines("perijove-pad.service", "User") == []
    assert lines("perijove-pad.service", "ExecStart")[0].endswith(f"--for {user}")
    assert f"u {user} " in (PACKAGING / "sysusers.d" / "perijove.conf").read_text()


def test_the_state_directory_is_the_pads_to_make() -> None:
    """systemd gives a StateDirectory, with all that is in it, to the unit's user."""
    assert lines("perijove-pad.service", "StateDirectory") == ["perijove"]
    assert lines("perijove.service", "StateDirectory") == []


def test_the_service_may_gain_nothing_but_low_ports() -> None:
    assert lines("perijove.service", "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    assert lines("perijove.service", "NoNewPrivileges") == ["yes"]
