"""apt.txt: names alone, each line."""

from __future__ import annotations

import pytest

from perijove.domain.failures import Fail
from perijove.domain.nouns import InstallRequirements, InstallSystem
from perijove.launching.build.apt_file import system_step
from perijove.launching.build.detect import detect


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("graphviz\n", ("graphviz",)),
        ("graphviz\r\nffmpeg\r\n", ("graphviz", "ffmpeg")),
        ("\ufeffgraphviz", ("graphviz",)),
        ("# drawing\n\n  graphviz  # dot\n", ("graphviz",)),
        ("g++ libstdc++6\nlibgl1-mesa-dri 7zip", ("g++", "libstdc++6", "libgl1-mesa-dri", "7zip")),
        ("tree\ngraphviz\ntree", ("tree", "graphviz")),
        ("", ()),
        ("# nothing yet\n\n", ()),
    ],
    ids=["one", "windows", "bom", "comments", "pluses-and-several", "twice", "empty", "comment-alone"],
)
def test_names_are_followed(text: str, names: tuple[str, ...]) -> None:
    step = system_step("apt.txt", text)
    assert step == (InstallSystem("apt.txt", names) if names else None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("tree-", "would remove a package"),
        ("libssl-dev=1.1", "write libssl-dev"),
        ("libssl-dev/bullseye", "names a suite"),
        ("libc6:i386", "names an architecture; write libc6"),
        ("-y", "is an option"),
        ("--allow-unauthenticated", "is an option"),
        ("apt-get install tree", "no commands"),
        ("sudo apt install tree", "no commands"),
        ("Graphviz", "is no package's name"),
        ("tree;reboot", "is no package's name"),
        ("tree$(id)", "is no package's name"),
        ("./local.deb", "names a suite or a file"),
        ("?essential", "is no package's name"),
        ("~nfont", "is no package's name"),
        ("a", "is no package's name"),
        ("x" * 200, "is no package's name"),
        ("tree\u00a0\u202e", "is no package's name"),
    ],
)
def test_whatever_apt_would_do_with_a_line_is_refused_by_the_line(line: str, why: str) -> None:
    with pytest.raises(Fail) as caught:
        system_step("binder/apt.txt", f"graphviz\n{line}\n")
    failure = caught.value.failure
    assert failure.kind.code == "build.bad-file"
    assert failure.cause.startswith("binder/apt.txt cannot be used: line 2: ")
    assert why in failure.cause
    assert failure.evidence[0].where == "binder/apt.txt:2"


def test_a_file_of_thousands_is_refused() -> None:
    with pytest.raises(Fail, match="more than 500 packages"):
        system_step("apt.txt", "\n".join(f"pkg{number}" for number in range(501)))


def test_it_comes_first_in_the_plan() -> None:
    files = {"apt.txt": "graphviz", "requirements.txt": "pydot"}
    assert detect(frozenset(files), files).plan.steps == (
        InstallSystem("apt.txt", ("graphviz",)),
        InstallRequirements("requirements.txt", "pydot"),
    )


def test_it_counts_beside_environment_yml_and_in_binder_alone() -> None:
    files = {"binder/apt.txt": "graphviz", "apt.txt": "tree", "binder/environment.yml": "dependencies: [six]"}
    steps = detect(frozenset(files), files).plan.steps
    assert steps[0] == InstallSystem("binder/apt.txt", ("graphviz",))
    assert len(steps) == 2


def test_an_empty_one_asks_for_nothing() -> None:
    assert detect(frozenset({"apt.txt"}), {"apt.txt": "\n"}).plan.steps == ()
