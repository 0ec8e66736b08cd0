"""All questions, in the order in which things break. In: `Own`. Out: an Examination. Pure."""

from __future__ import annotations

from perijove.doctor.engine import Check, Examination, Outcome, examine
from perijove.doctor.own import certificates, ground, service
from perijove.domain.ground import Own

SERVED = ("service.answers", "service.data-plane")
NEEDED = (*SERVED, "service.pad", "ground.state", "ground.disk", "ground.memory")
CHECKS: tuple[Check[Own], ...] = (
    Check("ground.programs", "Are the programs there that the service runs?", ground.programs),
    Check("ground.sandbox", "Can a sandbox be made?", ground.sandbox, ("ground.programs",)),
    Check("ground.state", "Can the state directory be used?", ground.state),
    Check("ground.store", "Is what was built whole?", ground.store),
    Check("ground.base", "Can repositories have packages of the system?", ground.base, ("ground.sandbox",)),
    Check("ground.disk", "Is there room on its disk?", ground.disk),
    Check("ground.filling", "Will there be room in a week?", ground.filling, ("ground.disk",)),
    Check("ground.memory", "Is there memory for one more session?", ground.memory),
    Check("ground.seats", "Does memory carry the seats of each class?", ground.seats),
    Check("ground.limits", "Are sessions held to their memory?", ground.limits),
    Check("ground.homes", "Do people's homes answer?", ground.homes),
    Check("ground.clock", "Is the clock right?", ground.clock),
    Check("ground.names", "Can this machine resolve names?", ground.names),
    Check("ground.reach", "Are the package index and Git hosts in reach?", ground.reach),
    Check("ground.files", "Are keys their owner's alone?", ground.files),
    Check("service.journal", "Can the journal be read?", service.journal),
    Check("service.ports", "Can the service have its ports?", service.ports),
    Check("service.runs", "Does the service run?", service.runs),
    Check("service.settings", "Does it run with the settings of the file?", service.settings),
    Check("service.answers", "Does it answer behind Caddy?", service.answers, ("service.runs",)),
    Check("service.data-plane", "Does Caddy lead visitors to it?", service.data_plane),
    Check("service.pad", "Does whoever holds the sandboxes answer it?", service.pad, ("service.runs",)),
    Check("service.secret", "Will links to sessions outlive a restart?", service.secret, ("service.answers",)),
    Check("service.origins", "Has each session an origin of its own?", service.origins),
    Check("service.login", "Can people log in?", service.login),
    Check("certificates.reachable", "Would a CA see an answer at each name?", certificates.reachable, SERVED),
    Check("certificates.valid", "Is each certificate valid?", certificates.valid, SERVED),
    Check("certificates.shown", "Do ports show what the service has?", certificates.shown, SERVED),
    Check("launch.ready", "Does a launch get to a kernel?", service.launch, NEEDED),
)


def launchable(own: Own) -> bool:
    """Whether nothing was found that a launch needs."""
    of = {result.name: result.outcome for result in diagnosed(own).results}
    return all(of[need] is Outcome.WELL for need in NEEDED)


def diagnosed(own: Own) -> Examination:
    """What comes of the facts."""
    return examine(own, CHECKS)
