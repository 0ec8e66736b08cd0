"""Findings about a cluster, as rules make them: bounded evidence, several objects of one fault as one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from perijove.domain.cluster import Thing
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Change, Confidence, Finding

MOST = 500
"""Characters of evidence that are told of one place."""
AFTER = 150
"""Of these, how many behind a pattern say more of it."""
SHOWN = 3
"""Objects that are named where many have one fault."""


def seen(where: str, saw: str) -> Evidence:
    """Where we looked, and what stood there, cut to what a person reads."""
    return Evidence(where[:MOST], saw if len(saw) <= MOST else f"{saw[: MOST - 1]}…")


def around(pattern: str, saw: str) -> str:
    """A long text's beginning, and what stands where the pattern fits."""
    match = re.search(pattern, saw, re.IGNORECASE)
    if len(saw) <= MOST or match is None or match.end() + AFTER < MOST:
        return saw
    begin = max(150, match.start() - 80)
    return f"{saw[:140]}… {saw[begin : begin + 330]}"


def found(
    row: Kind,
    cause: str,
    subject: str,
    confidence: Confidence,
    *evidence: Evidence,
    because: Kind | None = None,
    commands: Sequence[str] = (),
    remedy: str = "",
    foreseen: bool = False,
    surer_with: str = "",
    changes: Sequence[Change] = (),
    about: Sequence[Thing | str] = (),
    since: float = 0,
) -> Finding:
    """One finding; evidence that says the same twice is told once. Changes are commands too, the first ones.

    `about`: what it is about, where that is not the subject alone. `because`: what its own rule says it follows from.
    """
    failure = row(cause, *dict.fromkeys(evidence), remedy=remedy)
    return Finding(
        failure,
        subject,
        confidence,
        because.code if because else "",
        tuple(dict.fromkeys((*(one.command for one in changes), *commands))),
        foreseen,
        surer_with,
        tuple(changes),
        tuple(dict.fromkeys(one if isinstance(one, str) else one.said for one in about)),
        since,
    )


def change(thing: Thing, patch: object) -> Change:
    """A merge patch for an object."""
    return Change(thing.group, thing.kind, thing.namespace, thing.name, json.dumps(patch, separators=(",", ":")))


def names(things: Sequence[Thing]) -> str:
    """`Pod a/b, Pod a/c and 5 more`."""
    said = [one.said for one in things[:SHOWN]]
    return ", ".join(said) + (f" and {len(things) - SHOWN} more" if len(things) > SHOWN else "")


def those(things: Sequence[Thing], one: str, more: str) -> str:
    """Names and what they do: `Pod a/b waits`, `Pod a/b, Pod a/c wait`."""
    return f"{names(things)} {one if len(things) == 1 else more}"


def span(seconds: float) -> str:
    """`40 s`, `12 min`, `5 h`, `3 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"
