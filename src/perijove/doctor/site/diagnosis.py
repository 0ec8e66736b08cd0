"""All questions to a site, in the order in which things break. In: a SiteSeen. Out: an Examination. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.engine import Check, Examination, examine
from perijove.doctor.site import answering, certificate, challenge, launching, reaching, streaming
from perijove.domain.findings import Finding
from perijove.domain.site import SiteSeen


def _certificate(looked: SiteSeen) -> Iterator[Finding]:
    return challenge.explained(looked, certificate.wrong(looked))


CHECKS: tuple[Check[SiteSeen], ...] = (
    Check("site.names", "Does the name lead somewhere?", reaching.names),
    Check("site.ports", "Do its ports answer?", reaching.ports, ("site.names",)),
    Check("site.redirects", "Do redirects end at a page?", reaching.redirects, ("site.names",)),
    Check("site.challenge", "Does port 80 let a CA's look through?", challenge.blocked, ("site.names",)),
    Check("site.certificate", "Do browsers believe the certificate?", _certificate, ("site.names",)),
    Check("site.binder", "Does a Binder answer?", answering.binder, ("site.names",)),
    Check("site.health", "Does it say that it is well?", answering.health, ("site.binder",)),
    Check("site.launch", "Does a tiny repository launch?", launching.launch, ("site.binder",)),
    Check("site.streams", "Do events come as they are written?", streaming.streams, ("site.binder",)),
    Check("site.websockets", "Do websockets get through?", streaming.websockets, ("site.binder",)),
)


def diagnosed(looked: SiteSeen) -> Examination:
    """What came of all of them."""
    return examine(looked, CHECKS)
