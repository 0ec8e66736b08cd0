"""What apt says, and what it means."""

from __future__ import annotations

import pytest

from perijove.backends.environments.system import words
from perijove.backends.environments.system.bases import refused
from perijove.domain.build_inputs import System, SystemPackage
from perijove.domain.failures import Fail
from perijove.domain.ran import Ran, Unreached, Withheld

HASH = "a" * 64
LINE = (
    f"'http://deb.debian.org/debian/pool/main/t/tree/tree_2.2.1-1_amd64.deb' tree_2.2.1-1_amd64.deb 52000 SHA256:{HASH}"
)
KNOWN = "tree\nopenjdk-17-jre-headless\nopenjdk-21-jre-headless\nlibgl1\nlibgl1-mesa-dri\ngraphviz\npython3.13\n"
TREE = SystemPackage(
    "tree_2.2.1-1_amd64.deb", HASH, "http://deb.debian.org/debian/pool/main/t/tree/tree_2.2.1-1_amd64.deb", 52000
)


def test_the_files_that_are_needed_are_read_with_their_hashes() -> None:
    said = f"Reading package lists...\nThe following NEW packages will be installed:\n  tree\n{LINE}\n"
    assert words.planned("apt.txt", ("tree",), KNOWN, said, "", "0\n") == (TREE,)


def test_what_the_base_has_needs_nothing() -> None:
    assert words.planned("apt.txt", ("tree",), KNOWN, "tree is already the newest version", "", "0") == ()


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace("SHA256:", "MD5Sum:"),
        LINE.replace("tree_2.2.1-1_amd64.deb 52000", "../../tree.deb 52000"),
        LINE.replace("http://", "file://"),
    ],
    ids=["weak-hash", "path", "no-web-address"],
)
def test_a_file_that_cannot_be_trusted_is_none(line: str) -> None:
    with pytest.raises(Fail) as caught:
        words.planned("apt.txt", ("tree",), KNOWN, line, "", "0")
    assert caught.value.failure.kind.code == "build.system-conflict"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("openjdk-8-jre-headless", "openjdk-21-jre-headless"),
        ("python3.8", "python3.13"),
        ("graphvis", "graphviz"),
        ("tree+", "tree"),
        ("libgl1-mesa-glx", "libgl1-mesa-dri"),
        ("zzz-not-at-all", ""),
    ],
)
def test_a_name_that_is_not_there_is_told_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(Fail) as caught:
        words.planned("apt.txt", ("tree", name), KNOWN, "", f"E: Unable to locate package {name}", "100")
    failure = caught.value.failure
    assert failure.kind.code == "build.no-such-system-package"
    assert name in failure.cause
    assert (f"the nearest that there is: {near}" in failure.cause) if near else "nearest" not in failure.cause


def test_one_that_several_provide_is_told_in_apts_words() -> None:
    said = "Package mail-transport-agent is a virtual package provided by:\n  exim4 4.98\n"
    with pytest.raises(Fail) as caught:
        words.planned("apt.txt", ("mail-transport-agent",), KNOWN, "", said, "100")
    assert any("exim4" in evidence.saw for evidence in caught.value.failure.evidence)


def test_packages_that_exclude_one_another_are_told_in_apts_words() -> None:
    said = "The following packages have unmet dependencies:\n tree : Conflicts: graphviz\nE: Unable to correct problems"
    with pytest.raises(Fail) as caught:
        words.planned("apt.txt", ("tree", "graphviz"), KNOWN, "", said, "100")
    assert caught.value.failure.kind.code == "build.system-conflict"
    assert "Conflicts: graphviz" in caught.value.failure.evidence[0].saw


def test_a_package_that_cannot_be_configured_is_named() -> None:
    said = ["Setting up odd (1) ...", "dpkg: error processing package odd (--configure):", " exit status 1"]
    failure = words.install_failure("apt.txt", said)
    assert failure.kind.code == "build.system-install-failed"
    assert failure.cause == "odd cannot be configured"


def test_a_package_that_cannot_be_unpacked_is_named_though_its_file_has_another_name() -> None:
    archive = f"/var/cache/apt/archives/{HASH}.deb"
    said = ["Unpacking odd:amd64 (1.0) ...", f"dpkg: error processing archive {archive} (--unpack):", " a pipe"]
    assert words.install_failure("apt.txt", said).cause == "odd:amd64 cannot be unpacked"
    assert words.install_failure("apt.txt", said[1:]).cause == f"{archive} cannot be unpacked"


def test_a_mirror_that_does_not_answer_is_told_by_its_errors() -> None:
    said = ["Ign:1 http://x trixie", "E: Failed to fetch http://x  Could not connect", "0% [..]"]
    failure = words.fetch_failure(said, ())
    assert failure.kind.code == "build.mirror-unreachable"
    assert failure.evidence[0].saw == "E: Failed to fetch http://x  Could not connect"


def test_what_the_egress_proxy_knows_of_a_mirror_is_told_in_its_words() -> None:
    failure = words.fetch_failure(
        ["E: Failed to fetch http://x"], (Unreached("x:80", Withheld.UNREACHABLE, "x said no"),)
    )
    assert failure.kind.code == "build.mirror-unreachable"
    assert failure.evidence[0].saw == "x said no"


@pytest.mark.parametrize(
    "line",
    [
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        "dpkg: error processing archive odd.deb (--unpack): cannot copy: No space left on device",
    ],
)
def test_a_full_disk_is_told_as_that(line: str) -> None:
    assert words.fetch_failure([line], ()).kind.code == "build.too-large"
    assert words.install_failure("apt.txt", [line]).kind.code == "build.too-large"


KILLED_WORDS = [
    pytest.param("E: Sub-process /usr/bin/dpkg exited unexpectedly", id="dpkg"),
    pytest.param("E: Sub-process http received signal 9.", id="a method"),
    pytest.param(
        " installed odd package post-installation script subprocess was killed by signal (Killed)", id="script"
    ),
]


@pytest.mark.parametrize("line", KILLED_WORDS)
def test_a_process_of_apts_that_was_killed_is_told_as_that(line: str) -> None:
    said = ("Setting up odd (1) ...", line)
    for failure in (words.fetch_failure(said, ()), words.install_failure("apt.txt", said), refused(Ran(100), said)):
        assert failure.kind.code == "platform.killed"
        assert line in failure.evidence[0].saw


def test_apt_that_was_killed_while_it_planned_has_found_no_conflict() -> None:
    with pytest.raises(Fail) as caught:
        words.planned("apt.txt", ("nowhere",), "", "", "Killed\n", "137\n")
    assert caught.value.failure.kind.code == "platform.killed"


@pytest.mark.parametrize(
    ("ran", "said", "code"),
    [
        pytest.param(Ran(100), "E: Failed to fetch http://x  503  Service Unavailable", "base-unreachable", id="busy"),
        pytest.param(
            Ran(100, (Unreached("x:80", Withheld.FORBIDDEN, "no"),)), "E: odd", "base-unreachable", id="forbidden"
        ),
        pytest.param(Ran(65), "python3: not found", "base-unusable", id="no python"),
        pytest.param(Ran(100), "dpkg: error processing package odd (--configure):", "base-failed", id="a package"),
    ],
)
def test_why_a_base_is_not_completed_is_told_by_what_apt_says(ran: Ran, said: str, code: str) -> None:
    assert refused(ran, (said,)).kind.code == f"platform.{code}"


def test_a_layer_is_named_by_what_it_holds_and_stands_on() -> None:
    other = SystemPackage("graphviz_1_amd64.deb", "b" * 64, "http://a/g", 1)
    moved = SystemPackage(TREE.name, TREE.sha256, "http://mirror.example.org/t", 1)
    key = System("base", "apt.txt", ("tree",), (TREE, other)).key
    assert System("base", "binder/apt.txt", ("graphviz",), (other, moved)).key == key
    assert System("another", "apt.txt", ("tree",), (TREE, other)).key != key
    assert System("base", "apt.txt", ("tree",), (TREE,)).key != key
