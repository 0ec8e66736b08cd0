"""What the doctor came to, as a tree for people, as JSON for programs, and as an exit status. In: an Examination.

The JSON's shape is documented in docs/doctor.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from perijove.cli import printing
from perijove.cli.printing import plain
from perijove.doctor.engine import Examination, Outcome, Told
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.findings import Confidence, Finding

MARKS = {
    Outcome.WELL: ("✓ ", "bold green"),
    Outcome.ILL: ("✗ ", "bold red"),
    Outcome.SKIPPED: ("– ", "dim"),
    Outcome.UNSEEN: ("? ", "bold yellow"),
}
CONFIDENCES = {Confidence.POSSIBLE: "possibly", Confidence.LIKELY: "likely", Confidence.CERTAIN: "certain"}


class Status(enum.IntEnum):
    """What a command of the doctor's leaves."""

    WELL = 0
    ILL = 1
    UNSEEN = 2
    """it could not look, or not at all of it"""


@dataclass(frozen=True, slots=True)
class Looked:
    """Something that was followed step by step, told whether it is well or not."""

    what: str
    steps: tuple[Evidence, ...]


def show(
    asked: str,
    examination: Examination,
    looked: Sequence[Looked] = (),
    *,
    as_json: bool,
    fixes: Sequence[str] | None = None,
) -> None:
    """Print it; for programs with what `--fix` would do, where it was asked."""
    if as_json:
        planned = {} if fixes is None else {"fixes": list(fixes)}
        printing.as_json(told(asked, examination, looked) | planned)
    else:
        printing.out.print(tree(asked, examination, looked))


def status(examination: Examination) -> Status:
    """Ill where anything was found; unseen where a check was not shown what it asks, or none had anything to ask."""
    if not examination.well:
        return Status.ILL
    outcomes = {result.outcome for result in examination.results}
    return Status.UNSEEN if Outcome.UNSEEN in outcomes or outcomes <= {Outcome.SKIPPED} else Status.WELL


@contextmanager
def looking(asked: str, *, as_json: bool) -> Iterator[None]:
    """What cannot be looked at is told, and ends the command with status 2."""
    try:
        yield
    except Fail as error:
        if as_json:
            failure = _failure(error.failure)
            unseen = {"asked": asked, "outcome": "unseen", "failure": failure, "looked": [], "results": [], "told": []}
            printing.as_json(unseen)
        else:
            printing.err.print(printing.failure(error.failure))
        raise typer.Exit(Status.UNSEEN) from error


def agreed(plan: Sequence[str], *, sure: bool, quiet: bool) -> None:
    """Show what would be done, and ask. Aborts the command where the answer is no."""
    if not quiet:
        printing.out.print(Text("\nThis would be done:", "bold"))
        for step in plan:
            printing.out.print(Text(f"  {plain(step)}"))
    if not sure:
        typer.confirm("Do it?", abort=True)


def told(asked: str, examination: Examination, looked: Sequence[Looked] = ()) -> dict[str, Any]:
    """All of it for programs."""
    return {
        "asked": asked,
        "outcome": status(examination).name.lower(),
        "looked": [{"what": one.what, "steps": _evidence(one.steps)} for one in looked],
        "results": [
            {
                "name": result.name,
                "question": result.question,
                "outcome": result.outcome.value,
                "why_skipped": result.why_skipped,
                "findings": [finding.code for finding in result.findings],
            }
            for result in examination.results
        ],
        "told": [_told(root) for root in examination.told],
    }


def _told(root: Told) -> dict[str, Any]:
    finding = root.finding
    return {
        **_failure(finding.failure),
        "subject": finding.subject,
        "confidence": finding.confidence.value,
        "commands": list(finding.commands),
        "foreseen": finding.foreseen,
        "surer_with": finding.surer_with,
        "follows": finding.follows.value if finding.because else "",
        "explains": [_told(one) for one in root.explains],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "code": failure.kind.code,
        "title": failure.kind.title,
        "cause": failure.cause,
        "owner": failure.kind.owner.value,
        "remedy": failure.remedy,
        "evidence": _evidence(failure.evidence),
    }


def _evidence(seen: Sequence[Evidence]) -> list[dict[str, str]]:
    return [{"where": one.where, "saw": one.saw} for one in seen]


def tree(asked: str, examination: Examination, looked: Sequence[Looked] = ()) -> RenderableType:
    """What was asked, what came of each question, then the root causes with their remedies last."""
    branches = [_Branch(Text(plain(one.what)), _steps(one.steps)) for one in looked]
    for result in examination.results:
        unseen = "not seen, because " if result.outcome is Outcome.UNSEEN else ""
        words = f" ({unseen}{plain(result.why_skipped)})" if result.why_skipped else ""
        answer = Text.assemble(MARKS[result.outcome], plain(result.question), (words, "dim"))
        titles = [Text.assemble(one.failure.kind.title, (f"  {one.code}", "dim")) for one in result.findings]
        branches.append(_Branch(answer, [_Branch(title) for title in titles]))
    roots = [_root(one) for one in examination.told]
    return Group(Text(plain(asked), "bold"), *_drawn(branches, ""), *roots)


@dataclass(frozen=True, slots=True)
class _Branch:
    """A line with those beneath it. rich's own trees cut lines at the terminal's edge; no word may be lost here."""

    line: Text
    below: Sequence[_Branch] = ()


def _drawn(branches: Sequence[_Branch], guides: str) -> Iterator[Text]:
    for number, one in enumerate(branches, 1):
        own, onward = ("└── ", "    ") if number == len(branches) else ("├── ", "│   ")
        yield Text.assemble((guides + own, "dim"), one.line)
        yield from _drawn(one.below, guides + onward)


def _steps(evidence: Sequence[Evidence]) -> list[_Branch]:
    return [_Branch(Text.assemble((f"{plain(one.where)}: ", "dim"), printing.one_line(one.saw))) for one in evidence]


def _root(root: Told) -> RenderableType:
    """A root cause: evidence, what follows from it, who can help, and last what to do."""
    finding = root.finding
    parts: list[RenderableType] = [Text(), _head(finding), *_seen(finding.failure.evidence)]
    if root.explains:
        parts += [Text("  which explains", "dim"), *_drawn([_grown(one) for one in root.explains], "  ")]
    certain = CONFIDENCES[finding.confidence]
    owner = printing.OWNERS[finding.failure.kind.owner]
    parts.append(Text(f"  {finding.code} · {certain} · can be put right by {owner}", "dim"))
    if finding.surer_with:
        parts.append(Text(f"  Surer with: {plain(finding.surer_with)}", "dim"))
    parts.append(Text.assemble(("→ ", "bold"), plain(finding.failure.remedy)))
    # To be pasted: no indentation, nothing coloured.
    parts += [Text(plain(command)) for command in finding.commands]
    return Group(*parts)


def _head(finding: Finding) -> Text:
    mark = ("! ", "bold yellow") if finding.foreseen else MARKS[Outcome.ILL]
    failure = finding.failure
    cause = f"{plain(failure.cause).rstrip('.')}."
    about = "" if finding.subject in failure.cause else f"{plain(finding.subject)}: "
    return Text.assemble(mark, (failure.kind.title, "bold"), ": ", about, cause)


def _seen(evidence: Sequence[Evidence]) -> list[Text]:
    return [
        Text.assemble((f"    {plain(one.where)}: ", "dim"), plain(one.saw).replace("\n", "\n      "))
        for one in evidence
    ]


def _grown(one: Told) -> _Branch:
    """What follows from a root, with what follows from that."""
    head = _head(one.finding)
    if one.finding.follows is not Confidence.CERTAIN:
        head = Text.assemble(head, (f" ({CONFIDENCES[one.finding.follows]})", "dim"))
    return _Branch(head, [*_steps(one.finding.failure.evidence), *map(_grown, one.explains)])
