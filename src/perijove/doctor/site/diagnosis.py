"""All questions to a site, in the order in which things break. In: a SiteSeen. Out: an Examination. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.engine import Check, Examination, NotSeen, examine
from perijove.doctor.site import answering, certificate, challenge, launching, reaching, streaming
from perijove.doctor.site.streaming import ended
from perijove.domain.findings import Finding
from perijove.domain.site import SiteSeen


def _certificate(looked: SiteSeen) -> Iterator[Finding]:
    return challenge.explained(looked, certificate.wrong(looked))


def _others(looked: SiteSeen) -> Iterator[Finding]:
    """The same questions to the host of the hub and of sessions."""
    if not looked.others and (looked.build is None or ended(looked.build).get("phase") != "ready"):
        raise NotSeen("no session was launched, and no hub was named with --hub")
    found, unseen = list[Finding](), list[NotSeen]()
    for other in looked.others:
        for questions in (reaching.names, reaching.ports, reaching.redirects, challenge.blocked, _certificate):
            if questions is not reaching.names and not other.addresses:
                break
            try:
                found += questions(other)
            except NotSeen as error:
                unseen.append(error)
    if unseen and not found:
        raise unseen[0]
    yield from found


CHECKS: tuple[Check[SiteSeen], ...] = (
    Check("site.names", "Does the name lead somewhere?", reaching.names),
    Check("site.ports", "Do its ports answer?", reaching.ports, ("site.names",)),
    Check("site.redirects", "Do redirects end at a page?", reaching.redirects, ("site.names",)),
    Check("site.challenge", "Does port 80 let a CA's look through?", challenge.blocked, ("site.names",)),
    Check("site.certificate", "Do browsers believe the certificate?", _certificate, ("site.names",)),
    Check("site.binder", "Does a Binder answer?", answering.binder, ("site.names",)),
    Check("site.health", "Does it say that it is well?", answering.health, ("site.binder",)),
    Check("site.launch", "Does a tiny repository launch?", launching.launch, ("site.binder",)),
    Check("site.others", "Are other hosts well that were looked at: the hub's, sessions'?", _others, ("site.names",)),
    Check("site.streams", "Do events come as they are written?", streaming.streams, ("site.binder",)),
    Check("site.websockets", "Do websockets get through?", streaming.websockets, ("site.binder",)),
)


def diagnosed(looked: SiteSeen) -> Examination:
    """What came of all of them."""
    return examine(looked, CHECKS)
