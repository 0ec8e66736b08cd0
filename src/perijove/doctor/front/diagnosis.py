"""All questions to a web server in front. In: Facts. Out: checks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from perijove.doctor.engine import Check, Missing
from perijove.doctor.front import certificates, conflicts, judge
from perijove.doctor.front.requests import CHALLENGE
from perijove.domain import front_failures as rows
from perijove.domain.findings import Confidence, Finding


def checks(facts: judge.Facts) -> tuple[Check[judge.Facts], ...]:
    """The questions, in order."""
    whole = "nginx.configuration"
    # What may not be read leaves the rest to be judged, less surely; what is broken leaves nothing.
    needs = () if facts.front.configuration.unread and not facts.front.configuration.errors else (whole,)
    each = [
        check
        for host in facts.hosts
        for check in (
            Check(
                f"nginx.challenge/{host}",
                f"Does http://{host}{CHALLENGE} reach whoever orders the certificate?",
                partial(judge.challenge, host=host), needs,
            ),
            Check(
                f"nginx.sessions/{host}",
                f"Do websockets and event streams of {host} pass?",
                partial(judge.sessions, host=host), needs,
            ),
            Check(
                f"nginx.server/{host}", f"Does anybody who is included answer for {host}?",
                partial(judge.included, host=host), needs,
            ),
            Check(
                f"nginx.certificate/{host}", f"Do browsers and phones believe the certificate of {host}?",
                partial(certificates.believed, host=host), needs,
            ),
        )
    ]  # fmt: skip
    return (
        Check(whole, "Is the configuration whole?", _whole),
        Check("nginx.listeners", "Can every listener be bound?", conflicts.told, needs),
        *each,
    )


def _whole(facts: judge.Facts) -> Iterator[Finding]:
    errors = facts.front.configuration.errors
    for error in errors:
        failure = rows.CONFIGURATION_BROKEN(error.saw, error)
        yield Finding(failure, error.where, Confidence.LIKELY, commands=("nginx -t",), surer_with="nginx -t")
    if not errors and (unread := facts.front.configuration.unread):
        raise Missing(f"{unread[0].saw}, at {unread[0].where}; ask as a user who may read it, as root")
