"""How things look in a terminal, and what a link is taken for."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from perijove.cli import columns, printing
from perijove.cli.launch import is_folder
from perijove.domain.failures import CATALOGUE, CONFLICT, Evidence, Kind


def shown(what: RenderableType) -> str:
    page = io.StringIO()
    Console(file=page, width=200, highlight=False, soft_wrap=True).print(what)
    return page.getvalue()


@pytest.fixture
def home() -> Iterator[Path]:
    """The working directory is a fresh folder with `gh/` and `notebooks/` in it."""
    before = Path.cwd()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perijove-")))
        (folder / "gh").mkdir()
        (folder / "notebooks").mkdir()
        os.chdir(folder)
        yield folder
        os.chdir(before)


@pytest.mark.parametrize(
    ("link", "folder"),
    [
        pytest.param(".", True, id="here"),
        pytest.param("..", True, id="above"),
        pytest.param("./missing", True, id="clearly a path, also where there is none"),
        pytest.param("../x", True, id="beside"),
        pytest.param("/srv/repo", True, id="absolute"),
        pytest.param("~/repo", True, id="at home"),
        pytest.param("notebooks", True, id="a folder that is there"),
        pytest.param("gh", True, id="a folder named like a provider"),
        pytest.param("gh/owner/repo/HEAD", False, id="a launch link"),
        pytest.param("/v2/gh/owner/repo/HEAD", False, id="a launch link's path"),
        pytest.param("missing", False, id="no folder of this name"),
        pytest.param("https://github.com/owner/repo", False, id="a web address"),
        pytest.param("git@github.com:owner/repo", False, id="an ssh address"),
        pytest.param("", False, id="nothing, as of an unset variable"),
    ],
)
def test_a_folder_is_told_from_a_link(home: Path, link: str, *, folder: bool) -> None:
    assert home.is_dir()
    assert is_folder(link) is folder


def test_a_table_has_capitals_and_no_frames() -> None:
    lines = shown(printing.table(["NAME", "AGE"], [["repo-1", "5s"], ["another-2", "12m"]])).splitlines()
    assert [line.split() for line in lines] == [["NAME", "AGE"], ["repo-1", "5s"], ["another-2", "12m"]]
    assert lines[1].index("5s") == lines[2].index("12m") == lines[0].index("AGE")


def test_a_table_is_shortened_to_a_terminal_but_for_what_names_things() -> None:
    rows = [["requirements-x1y2z3a4", "v2/gh/a-group/a-repository/" + "long-" * 30, "running", "5s"]]
    lines = shown(printing.table(["NAME", "LINK", "STATE", "AGE"], rows, width=80)).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…   running   5s" in lines[1]
    assert lines[1].startswith(rows[0][0])
    assert rows[0][1] in shown(printing.table(["NAME", "LINK", "STATE", "AGE"], rows)), "not for programs"


@pytest.mark.parametrize("width", [1, 20, 40])
def test_a_narrow_terminal_leaves_something_of_each_column(width: int) -> None:
    page = shown(printing.table(["NAME", "A", "B"], [["n" * 30, "a" * 30, "b" * 30]], width=width))
    assert f"{'n' * 30}   {'a' * 11}…   {'b' * 11}…" in page


@pytest.mark.parametrize(
    ("kind", "rows", "words"),
    [
        pytest.param("sessions", [{"memory": 1024**2}, {}], "2 sessions, 1M", id="with the sum of a size"),
        pytest.param("launches", [{}], "1 launch", id="of one"),
        pytest.param("classes", [{}, {}], "2 classes", id="of none"),
    ],
)
def test_a_list_ends_with_its_total(kind: str, rows: list[columns.Row], words: str) -> None:
    assert columns.total(kind, rows) == words


def test_cells_are_text_whatever_stands_in_them() -> None:
    assert "[red]x[/red]" in shown(printing.table(["NAME"], [["[red]x[/red]"]]))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (86399, "23h"),
        (86400, "1d"),
        (864000, "10d"),
    ],
)
def test_an_age_is_short(seconds: int, words: str) -> None:
    assert printing.age(time.time() - seconds - 0.4) == words


def test_no_age_and_no_size_are_a_dash() -> None:
    assert printing.age(None) == printing.age(0) == printing.size(None) == "-"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0K"), (2048, "2K"), (1024**2, "1M"), (1024**3 - 1, "1023M"), (1536 * 1024**2, "1.5G")],
)
def test_a_size_is_short(count: int, words: str) -> None:
    assert printing.size(count) == words


def test_a_failure_shows_cause_remedy_evidence_owner_and_code() -> None:
    page = shown(printing.failure(CONFLICT("a needs [b]<2", Evidence("uv", "because [bold]a==1"))))
    for part in ("✗", CONFLICT.title, "a needs [b]<2.", CONFLICT.remedy, "uv: because [bold]a==1"):
        assert part in page
    assert "build.conflict · can be put right by the repository's author" in page


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.code)
def test_every_kind_of_failure_says_who_can_help(kind: Kind) -> None:
    assert "can be put right by" in shown(printing.failure(kind("cause")))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("session", "sessions"), ("sessions", "sessions"), ("Sessions", "sessions"),
        ("launch", "launches"), ("launches", "launches"), ("environment", "environments"),
        ("cert", "certificates"), ("certs", "certificates"), ("certificate", "certificates"), ("issuer", "issuers"),
        ("order", "orders"), ("challenge", "challenges"), ("secret", "secrets"), ("ev", "events"), ("event", "events"),
    ],
)  # fmt: skip
def test_kinds_are_named_as_people_write_them(given: str, kind: str) -> None:
    assert columns.plural(given) == kind


def test_who_waits_at_a_terminal_is_told_for_what_once() -> None:
    """The command ends by itself only when it was answered, which it is when it has said what it waits for."""
    words = "with patience('Outer [x]'):\n  with patience('Inner'):\n    sys.stdin.readline()\nprint('done')"
    terminal, theirs = pty.openpty()
    code = f"import sys\nfrom perijove.cli.printing import patience\n{words}"
    waiting = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs, text=True,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"Outer [x]" not in shown:
        shown += os.read(terminal, 4096)
    out, _ = waiting.communicate("\n", timeout=30)
    os.close(terminal)
    assert (out, waiting.returncode, b"Inner" in shown) == ("done\n", 0, False)


def test_who_is_no_terminal_is_told_nothing() -> None:
    code = "from perijove.cli import printing\nprinting.PATIENCE = 0\nwith printing.patience('Outer'):\n  pass"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_line_is_coloured_in_a_terminal_and_plain_elsewhere() -> None:
    line = printing.coloured("a red b", ((2, "1;31"), (5, "96"), (6, "")))
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system="standard").print(line)
    assert file.getvalue() == "a \x1b[1;31mred\x1b[0m\x1b[96m \x1b[0mb\n"
    assert shown(line) == "a red b\n"
