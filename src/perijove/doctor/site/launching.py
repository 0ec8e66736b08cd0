"""Does a tiny repository launch, and if not, what does that mean? In: a SiteSeen. Out: findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.cluster.hub_api import NO_USER
from perijove.doctor.cluster.known_lines import OTHERS, REF, VISITORS
from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.engine import NotSeen
from perijove.doctor.site.answering import launches_fail, told
from perijove.doctor.site.streaming import ENDS, ended, phase, read
from perijove.doctor.site.telling import answered
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding
from perijove.domain.site import BuildSeen, SiteSeen, json_object
from perijove.domain.site_failures import LAUNCH_FAILED

_BUILD = "Its build failed: read what it said last, and build it by hand (`repo2docker URL`); its author can mend that."
_HUB = "Its image is there; look at the hub's log and at the session's pod, which come after it."
NO_STAGE = "Nothing was fetched yet, so it is not the repository: the log of BinderHub itself has what went wrong."
AT = {
    "fetching": _BUILD, "building": _BUILD, "built": _HUB, "launching": _HUB,
    "pushing": "The image was built and did not get to the registry: look at the registry, and at its credentials.",
}  # fmt: skip
"""What can be known of a failure without a reason, by the last phase before it (binderhub 1.0 `builder.py`)."""
LAST = 5
"""Events that are shown of a launch that failed."""


def launch(looked: SiteSeen) -> Iterator[Finding]:
    """A launch that does not get ready."""
    build, site = looked.build, looked.site
    if build is None:
        raise NotSeen("no build was asked for" if not site.build else "the Binder does not answer as one")
    last = ended(build)
    if last.get("phase") == "ready":
        return
    if last:
        yield _failed(looked, build, last)
    elif not build.answer.kind.startswith("text/event-stream"):
        yield _refused(looked, build)
    elif build.waited:
        cause = f"{site.build} was not ready after {build.ended:.0f} s"
        yield found(LAUNCH_FAILED, cause, site.build, Confidence.POSSIBLE, *_lines(build))
    else:
        raise NotSeen("its event stream ended before it did")


def _failed(looked: SiteSeen, build: BuildSeen, last: dict[str, object]) -> Finding:
    """By the failure that it tells itself, by words that are known, else by its own words."""
    if own := told(last.get("failure")):
        return Finding(own, looked.site.build, Confidence.CERTAIN)
    said = " ".join(str(last.get("message", "")).split())
    where = seen(f"GET {build.answer.url}, event failed", said)
    if NO_USER.search(said):
        return launches_fail(looked)
    for known in (*OTHERS, *VISITORS):
        if known.pattern.search(said):
            return found(known.kind, known.cause, looked.site.build, known.sure, where, commands=known.commands)
    stage = next((one for one in map(phase, reversed(build.frames)) if one not in {*ENDS, "", "unknown"}), "")
    reached = f", when it was at {stage}" if stage else ", before anything else was told"
    return found(
        LAUNCH_FAILED, f"{said[:300] or 'no reason was told'}{reached}", looked.site.build, Confidence.CERTAIN,
        *_lines(build), remedy=AT.get(stage, "" if REF in said else NO_STAGE),
    )  # fmt: skip


def _refused(looked: SiteSeen, build: BuildSeen) -> Finding:
    """An answer that is no event stream."""
    if own := told(json_object(build.answer.body).get("failure")):
        return Finding(own, looked.site.build, Confidence.CERTAIN)
    kind = f" ({build.answer.kind})" if build.answer.kind else ""
    does = (
        f"answered with {build.answer.status}{kind}" if build.answer.status else f"not answered: {build.answer.words}"
    )
    cause = f"the request to build {looked.site.build} was {does}, not with an event stream"
    remedy = NO_STAGE if build.answer.status == 500 else ""
    return found(LAUNCH_FAILED, cause, looked.site.build, Confidence.LIKELY, answered(build.answer), remedy=remedy)


def _lines(build: BuildSeen) -> list[Evidence]:
    """Its last events."""
    shown = [(one.after, read(one)) for one in build.frames[-LAST:]]
    return [
        seen(f"after {after:.1f} s, {one.get('phase')}", str(one.get("message", "")).strip()) for after, one in shown
    ]
