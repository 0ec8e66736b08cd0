"""Run checks in the order of their needs, and fold what follows under what it follows from. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from perijove.domain.findings import Finding

Facts = TypeVar("Facts")


class NotSeen(Exception):
    """A check's facts are not there: nobody may say that all is well, nor that it is not. Says why."""


class Missing(NotSeen):
    """The same, where more could have been shown: what came of the rest is not all that there is to say."""


class Outcome(StrEnum):
    """What came of a check."""

    WELL = "well"
    ILL = "ill"
    SKIPPED = "skipped"
    """nothing was there to be asked, or another question comes first"""
    UNSEEN = "unseen"
    """what it would be answered by was not shown"""


@dataclass(frozen=True, slots=True)
class Check(Generic[Facts]):
    """One question to the facts; `look` is a pure function of them."""

    name: str
    """Unique in its examination: `certificates`, `nginx.challenge`."""
    question: str
    """As a person asks it: `Does port 80 pass the challenge on?`"""
    look: Callable[[Facts], Iterable[Finding]]
    """Raises NotSeen."""
    needs: tuple[str, ...] = ()
    """Names of checks that must be well: without them this one would only repeat what they said."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check came to."""

    name: str
    question: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    why_skipped: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A finding with those that it explains, each with its own."""

    finding: Finding
    explains: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """All results, in the order of the checks."""

    results: tuple[Result, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for result in self.results for finding in result.findings)

    @property
    def well(self) -> bool:
        return not self.findings

    @property
    def told(self) -> tuple[Told, ...]:
        """Root causes, what follows from each beneath it."""
        return folded(self.findings)


def examine(facts: Facts, checks: Sequence[Check[Facts]]) -> Examination:
    """Ask all checks. One whose need is ill or skipped is skipped, and says for which."""
    results: dict[str, Result] = {}
    for check in checks:
        missing = next((need for need in check.needs if results[need].outcome is not Outcome.WELL), None)
        if missing is not None:
            results[check.name] = Result(check.name, check.question, Outcome.SKIPPED, why_skipped=f"needs {missing}")
            continue
        try:
            findings = tuple(check.look(facts))
        except NotSeen as reason:
            outcome = Outcome.UNSEEN if isinstance(reason, Missing) else Outcome.SKIPPED
            results[check.name] = Result(check.name, check.question, outcome, why_skipped=str(reason))
        else:
            outcome = Outcome.ILL if findings else Outcome.WELL
            results[check.name] = Result(check.name, check.question, outcome, findings)
    return Examination(tuple(results.values()))


def folded(findings: Iterable[Finding]) -> tuple[Told, ...]:
    """The tree of what explains what. Where several findings have the code and no subject is named, the first explains.

    Findings that explain one another in a circle are all told as roots.
    """
    all_of = tuple(dict.fromkeys(findings))
    named: dict[tuple[str, str], Finding] = {}
    for finding in all_of:
        for subject in ("", finding.subject):
            named.setdefault((finding.code, subject), finding)

    def above(finding: Finding) -> Finding | None:
        found = named.get((finding.because, finding.because_of))
        seen = {finding}
        step = found
        while step is not None:
            if step in seen:
                return None
            seen.add(step)
            step = named.get((step.because, step.because_of))
        return found

    def told(finding: Finding) -> Told:
        return Told(finding, tuple(told(other) for other in all_of if above(other) == finding))

    return tuple(told(finding) for finding in all_of if above(finding) is None)
