"""Which switch forbids sandboxes, from what the machine says."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.backends.pad.ground import diagnosis

BWRAP = Path("/usr/bin/bwrap")


def sysctl(folder: Path, **values: str) -> Path:
    for name, value in values.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")
    return folder


@pytest.mark.parametrize(
    ("switch", "value", "remedy"),
    [
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "/etc/apparmor.d/perijove-bwrap"),
        ("kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=65536"),
    ],
)
def test_the_switch_that_forbids_is_named_with_its_value(tmp_path: Path, switch: str, value: str, remedy: str) -> None:
    root = sysctl(tmp_path, **{switch.replace(".", "__"): value})
    failure = diagnosis("bwrap: setting up uid map: Permission denied", BWRAP, root, container=False)
    assert failure.kind.code == "platform.namespaces-forbidden"
    assert [(item.where, item.saw) for item in failure.evidence] == [
        ("bwrap", "bwrap: setting up uid map: Permission denied"),
        (switch, value),
    ]
    assert remedy in failure.remedy


def test_the_profile_is_for_the_very_program_that_runs(tmp_path: Path) -> None:
    root = sysctl(tmp_path, kernel__apparmor_restrict_unprivileged_userns="1")
    assert "/usr/bin/bwrap" in diagnosis("", BWRAP, root, container=False).remedy


def test_a_refusal_by_no_known_switch_says_so(tmp_path: Path) -> None:
    root = sysctl(tmp_path, kernel__unprivileged_userns_clone="1", user__max_user_namespaces="9999")
    words = "bwrap: No permissions to create new namespace: Operation not permitted"
    failure = diagnosis(words, BWRAP, root, container=False)
    assert failure.kind.code == "platform.namespaces-forbidden"
    assert failure.cause == "the kernel refused bubblewrap, by no switch that is known"


def test_a_container_around_the_service_is_named(tmp_path: Path) -> None:
    failure = diagnosis("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", BWRAP, tmp_path, True)
    assert failure.kind.code == "platform.namespaces-forbidden"
    assert "container" in failure.cause
    assert "systempaths=unconfined" in failure.remedy


def test_any_other_trouble_is_not_blamed_on_namespaces(tmp_path: Path) -> None:
    failure = diagnosis("bwrap: Can't find source path /usr: No such file", BWRAP, tmp_path, True)
    assert failure.kind.code == "start.sandbox-failed"
