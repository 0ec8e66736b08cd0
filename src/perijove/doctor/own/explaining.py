"""Why a launch failed, where the machine beneath it can say. In: the failure, facts. Out: a failure. Pure.

Most failures say themselves what broke. Those below say what did not work; what the doctor finds wrong with the machine
at that moment, and what can bring them about, is told in their place.
"""

from __future__ import annotations

from dataclasses import replace

from perijove.doctor.engine import Check, examine
from perijove.doctor.own import diagnosis
from perijove.domain import egress_failures, server_failures
from perijove.domain import failures as rows
from perijove.domain.failures import Evidence, Failure, Owner
from perijove.domain.findings import Confidence, sureness
from perijove.domain.ground import Own

_SANDBOX = ("ground.programs", "ground.sandbox", "ground.state", "ground.disk")
_SERVER = ("ground.state", "ground.disk")
_FAR = ("ground.clock", "ground.disk", "ground.names")
BY: dict[str, tuple[str, ...]] = {
    rows.SANDBOX_FAILED.code: _SANDBOX,
    rows.PAD_DOWN.code: _SANDBOX,
    rows.BUG.code: ("ground.store", *_SANDBOX),
    server_failures.SERVER_CRASHED.code: _SERVER,
    server_failures.SERVER_HANGS.code: _SERVER,
    server_failures.SERVER_TOO_SLOW.code: _SERVER,
    rows.INSTALL_FAILED.code: (*_SERVER, "ground.programs", "ground.clock"),
    rows.HOST_UNREACHABLE.code: _FAR,
    rows.FETCH_FAILED.code: _FAR,
    rows.INDEX_UNREACHABLE.code: _FAR,
    rows.TOO_SLOW.code: _FAR,
    egress_failures.HOST_SILENT.code: _FAR,
    egress_failures.PROXY_REFUSES.code: _FAR,
    rows.BUILD_BROKE.code: _FAR,
    rows.POST_BUILD_FAILED.code: _FAR,
}
"""What can bring a failure about, by its code: names of checks."""


def may_be(failure: Failure) -> bool:
    """Whether it is worth a look at the machine."""
    return failure.kind.code in BY


def explained(failure: Failure, own: Own) -> Failure:
    """The root cause, with what the launch ended with as its last evidence; else the failure itself.

    Commands that the doctor would print stand in its remedy. A moment's silence takes no author's failure away: it is
    told beside it.
    """
    wanted = BY.get(failure.kind.code, ())
    checks = [Check(one.name, one.question, one.look) for one in diagnosis.CHECKS if one.name in wanted]
    root = next((told.finding for told in examine(own, checks).told if not told.finding.foreseen), None)
    if root is None or root.code == failure.kind.code:
        return failure
    if failure.kind.owner is Owner.AUTHOR and sureness(root.failure) is not Confidence.CERTAIN:
        return replace(failure, evidence=(*failure.evidence, *root.failure.evidence))
    ended = Evidence("the launch ended with", f"{failure.kind.code}: {failure.cause}")
    seen = (*root.failure.evidence, ended, *failure.evidence[:2])
    remedy = " ".join((root.failure.remedy, *(f"`{command}`" for command in root.commands)))
    return replace(root.failure, evidence=tuple(dict.fromkeys(seen)), remedy=remedy)
