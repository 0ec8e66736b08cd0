"""How things look in a terminal, and what a link is taken for."""

from __future__ import annotations

import contextlib
import io
import os
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
    ],
)
def test_a_folder_is_told_from_a_link(home: Path, link: str, *, folder: bool) -> None:
    assert home.is_dir()
    assert is_folder(link) is folder


def test_a_table_has_capitals_and_no_frames() -> None:
    lines = shown(printing.table(["NAME", "AGE"], [["repo-1", "5s"], ["another-2", "12m"]])).splitlines()
    assert [line.split() for line in lines] == [["NAME", "AGE"], ["repo-1", "5s"], ["another-2", "12m"]]
    assert lines[1].index("5s") == lines[2].index("12m") == lines[0].index("AGE")


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
