"""`perijove doctor kubernetes`: what was looked at, when, and what came of it. Prints; returns the exit status."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import typer

from perijove.cli import examination, printing
from perijove.cli.examination import Looked, Status
from perijove.doctor.cluster.diagnosis import diagnosed
from perijove.domain.cluster import Recording, day
from perijove.domain.failures import Evidence
from perijove.wiring import cluster


def examine(folder: Path, now: str | None, *, as_json: bool) -> Status:
    """A recording, judged at `now`."""
    asked = f"kubernetes --from {folder}"
    with examination.looking(asked, as_json=as_json):
        return told(asked, cluster.from_folder(folder, moment(now)), as_json=as_json)


def ask(
    context: str | None, namespace: str | None, *, as_json: bool, fix: bool, sure: bool, save: Path | None = None
) -> Status:
    """A cluster that runs. With `fix`: show what would be changed, ask, change it, look again."""
    flags = {"--context": context, "--namespace": namespace}
    asked = " ".join(["kubernetes", *(f"{flag} {value}" for flag, value in flags.items() if value)])
    with examination.looking(asked, as_json=as_json):
        seen = asyncio.run(cluster.from_context(context, namespace))
        if save is not None:
            cluster.save(seen, save, names=True)
        changes = [one for finding in diagnosed(seen).findings for one in finding.changes] if fix else []
        if not changes or not as_json:
            left = told(asked, seen, as_json=as_json)
        if changes:
            examination.agreed([one.command for one in changes], sure=sure, quiet=as_json)
            asyncio.run(cluster.change(context, namespace, changes))
            left = told(asked, asyncio.run(cluster.from_context(context, namespace)), as_json=as_json)
        return left


def record(context: str | None, namespace: str | None, folder: Path, *, names: bool) -> Status:
    """A cluster that runs, written down. What could not be looked at is told, and written too."""
    asked = "record kubernetes"
    with examination.looking(asked, as_json=False):
        seen = asyncio.run(cluster.from_context(context, namespace))
        cluster.save(seen, folder, names=names)
    for one in looked(seen):
        for step in (Evidence("written to", str(folder)), *one.steps):
            printing.out.print(f"{step.where}: {printing.one_line(step.saw)}", markup=False)
    return Status.UNSEEN if seen.unseen else Status.WELL


def told(asked: str, seen: Recording, *, as_json: bool) -> Status:
    """What came of it, with what could not be looked at."""
    came_of_it = diagnosed(seen)
    examination.show(asked, came_of_it, looked(seen), as_json=as_json)
    return examination.status(came_of_it)


def looked(seen: Recording) -> list[Looked]:
    """When it is judged at, and what was there."""
    steps = [
        Evidence("judged at", f"{day(seen.now)} ({seen.now_from})"),
        Evidence("seen", f"{len(seen.things)} objects, {len(seen.probes)} probes, {len(seen.logs)} logs"),
    ]
    steps += [Evidence(f"could not look at {name}", why) for name, why in seen.unseen.items()]
    return [Looked(seen.where, tuple(steps))]


def moment(given: str | None) -> float | None:
    """`--now` as Unix seconds; without a zone it is UTC."""
    if given is None:
        return None
    try:
        read = datetime.fromisoformat(given)
    except ValueError as error:
        raise typer.BadParameter(f"{given} is no time such as 2026-03-10T09:00:00Z", param_hint="--now") from error
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
