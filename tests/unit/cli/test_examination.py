"""What the doctor came to, as people and programs read it, and the exit status that it leaves."""

from __future__ import annotations

import io

import pytest
import typer
from rich.console import Console

from perijove.cli.examination import Looked, Status, looking, status, told, tree
from perijove.doctor.engine import Check, Examination, NotSeen, examine
from perijove.domain.failures import DATA_PLANE_DOWN, DISK_FULL, STATE_UNUSABLE, Evidence, Fail
from perijove.domain.findings import Confidence, Finding

ROOT = Finding(
    DISK_FULL("0 bytes are free", Evidence("/srv", "100 % \x1b[31mused")),
    "/srv", Confidence.CERTAIN, commands=("df -h /srv", "--- a\n+++ b\n+    indented"), surer_with="du -sh /srv/*",
)  # fmt: skip
LEAF = Finding(
    DATA_PLANE_DOWN("it could not write", Evidence("log", "ENOSPC")), "caddy", Confidence.LIKELY, because=ROOT.code
)
STEPS = (Looked("GET /", (Evidence("nginx.conf:3", "return 301"),)),)


def unseen(facts: None) -> list[Finding]:
    raise NotSeen("no probes")


FOUND = examine(
    None,
    [
        Check("plane", "Does Caddy run?", lambda facts: [LEAF]),
        Check("disk", "Is there room?", lambda facts: [ROOT]),
        Check("store", "Is the store whole?", lambda facts: []),
        Check("probes", "Is it reached?", unseen),
        Check("after", "And then?", lambda facts: [], ("disk",)),
    ],
)


def printed(found: Examination) -> str:
    out = io.StringIO()
    Console(file=out, soft_wrap=True, highlight=False, width=80).print(tree("this machine", found, STEPS))
    return out.getvalue()


def test_people_read_what_was_asked_then_the_root_cause_and_last_its_remedy() -> None:
    lines = [line.rstrip() for line in printed(FOUND).splitlines()]
    assert lines[0] == "this machine"
    for line in (
        "├── GET /",
        "│   └── nginx.conf:3: return 301",
        "├── ✗ Does Caddy run?",
        "├── ✓ Is the store whole?",
        "├── – Is it reached? (no probes)",
        "└── – And then? (needs disk)",
    ):
        assert line in lines
    told = [line for line in lines if line.startswith("✗")]
    assert told == [f"✗ {DISK_FULL.title}: /srv: 0 bytes are free."]
    assert any(DATA_PLANE_DOWN.title in line and "it could not write" in line for line in lines)
    assert lines[-5:] == [f"→ {DISK_FULL.remedy}", "df -h /srv", "--- a", "+++ b", "+    indented"]


def test_what_was_seen_commands_no_terminal() -> None:
    assert "\x1b" not in printed(FOUND)
    assert "100 % \\x1b[31mused" in printed(FOUND)


def test_programs_read_the_same() -> None:
    read = told("this machine", FOUND, STEPS)
    assert (read["asked"], read["outcome"]) == ("this machine", "ill")
    assert read["looked"] == [{"what": "GET /", "steps": [{"where": "nginx.conf:3", "saw": "return 301"}]}]
    assert [(one["name"], one["outcome"], one["why_skipped"], one["findings"]) for one in read["results"]] == [
        ("plane", "ill", "", [DATA_PLANE_DOWN.code]),
        ("disk", "ill", "", [DISK_FULL.code]),
        ("store", "well", "", []),
        ("probes", "skipped", "no probes", []),
        ("after", "skipped", "needs disk", []),
    ]
    (root,) = read["told"]
    assert root["explains"][0].pop("code") == DATA_PLANE_DOWN.code
    del root["explains"]
    assert root == {
        "code": DISK_FULL.code,
        "title": DISK_FULL.title,
        "cause": "0 bytes are free",
        "owner": "operator",
        "remedy": DISK_FULL.remedy,
        "evidence": [{"where": "/srv", "saw": "100 % \x1b[31mused"}],
        "subject": "/srv",
        "confidence": "certain",
        "commands": list(ROOT.commands),
        "foreseen": False,
        "surer_with": "du -sh /srv/*",
        "follows": "",
    }


@pytest.mark.parametrize(
    ("checks", "left"),
    [
        pytest.param([Check("a", "A?", lambda facts: [ROOT]), Check("b", "B?", unseen)], Status.ILL, id="findings"),
        pytest.param([Check("a", "A?", lambda facts: ()), Check("b", "B?", unseen)], Status.WELL, id="well"),
        pytest.param([Check("b", "B?", unseen)], Status.UNSEEN, id="nothing to look at"),
    ],
)
def test_the_exit_status_says_what_it_came_to(checks: list[Check[None]], left: Status) -> None:
    assert status(examine(None, checks)) is left


@pytest.mark.parametrize("as_json", [True, False])
def test_what_cannot_be_looked_at_is_told_with_status_2(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    with pytest.raises(typer.Exit) as left, looking("a folder", as_json=as_json):
        raise Fail(STATE_UNUSABLE("it is not there"))
    assert left.value.exit_code == 2
    said = capsys.readouterr()
    assert ('"outcome": "unseen"' in said.out and STATE_UNUSABLE.code in said.out) is as_json
    assert (STATE_UNUSABLE.title in said.err) is not as_json
