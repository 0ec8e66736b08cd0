"""How is a CA shown that a name is ours? Which challenge, and its answer put up and taken down whatever happens.

In: what is allowed, offered, and open by the last look. Out: answers, through the port `Solver`. Choosing is pure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from perijove.domain.certificate_failures import NO_CHALLENGE
from perijove.domain.certificate_ports import Solver
from perijove.domain.certificates import (
    AuthorizationView,
    ChallengeAnswer,
    ChallengeType,
    ChallengeView,
    HostName,
    is_address,
)
from perijove.domain.failures import Evidence, Fail

PREFERRED = (ChallengeType.HTTP, ChallengeType.TLS_ALPN, ChallengeType.DNS, ChallengeType.DNS_PERSIST)
"""The order in which they are tried where the operator says nothing: what needs the least comes first."""
BY_DNS = frozenset({ChallengeType.DNS, ChallengeType.DNS_PERSIST})
Solvers = Mapping[ChallengeType, Solver]


class HttpAnswers:
    """The solver of http-01: what stands below `/.well-known/acme-challenge/`, in memory."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def get(self, token: str) -> str | None:
        """The key authorization of a token (RFC 8555, 8.3); None for one that is not ours."""
        return self._answers.get(token)

    async def present(self, answer: ChallengeAnswer) -> None:
        self._answers[answer.token] = answer.key_authorization

    async def withdraw(self, answer: ChallengeAnswer) -> None:
        self._answers.pop(answer.token, None)


def possible(
    host: HostName, allowed: Sequence[ChallengeType], solvers: Collection[ChallengeType]
) -> list[ChallengeType]:
    """The types that this host could be shown by, the preferred first (RFC 8555, 8.4; RFC 8738, 7).

    Whoever can write records needs none that stays, and one for a wildcard is for whoever asks for it.
    """
    kinds = [kind for kind in allowed or PREFERRED if kind in solvers]
    if not allowed and (ChallengeType.DNS in kinds or host.startswith("*.")):
        kinds = [kind for kind in kinds if kind is not ChallengeType.DNS_PERSIST]
    if host.startswith("*."):
        return [kind for kind in kinds if kind in BY_DNS]
    return [kind for kind in kinds if kind not in BY_DNS] if is_address(host) else kinds


def choose(
    view: AuthorizationView, kinds: Sequence[ChallengeType], seen_open: Collection[ChallengeType] | None
) -> ChallengeView:
    """The challenge to answer: the first that is open by the last look; dns-01 needs none.

    `seen_open` is None where nobody looked: then what comes first is taken. Raises Fail: `cert.no-challenge`.
    """
    offered = {challenge.type: challenge for challenge in view.challenges}
    usable = [kind for kind in kinds if kind in offered]
    for kind in usable:
        if seen_open is None or kind in seen_open or kind is ChallengeType.DNS:
            return offered[kind]
    if usable:
        # Nothing is open as seen from here; the CA, whom somebody wants to be asked all the same, may see it.
        return offered[usable[0]]
    raise Fail(
        NO_CHALLENGE(
            f"the CA offers {', '.join(offered) or 'none'}, and {', '.join(kinds) or 'none'} can be answered here",
            Evidence(view.url, ", ".join(offered)[:500]),
        )
    )


@asynccontextmanager
async def standing(solver: Solver, answer: ChallengeAnswer) -> AsyncIterator[None]:
    """The answer stands for as long as this lasts, and is taken down even when that ends by cancellation."""
    try:
        await solver.present(answer)
        yield
    finally:
        await solver.withdraw(answer)
