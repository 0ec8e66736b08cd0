from __future__ import annotations

import asyncio

import pytest

from perijove.certifying.challenge import HttpAnswers, choose, possible, standing
from perijove.domain.certificate_failures import NO_CHALLENGE
from perijove.domain.certificates import AuthorizationView, ChallengeAnswer, ChallengeType, ChallengeView
from perijove.domain.failures import Fail

HTTP, ALPN, DNS, PERSIST = ChallengeType
HOST = "binder.example.org"
ANSWER = ChallengeAnswer(HOST, HTTP, "token", "token.thumbprint", "https://ca.example/dir")


def view(*offered: str) -> AuthorizationView:
    return AuthorizationView("a", HOST, False, "pending", tuple(ChallengeView(t, t, "t", "pending") for t in offered))


POSSIBLE = [
    pytest.param(HOST, (), {HTTP, ALPN}, [HTTP, ALPN], id="what can be answered"),
    pytest.param(HOST, (), {HTTP, ALPN, DNS}, [HTTP, ALPN, DNS], id="dns-01 last"),
    pytest.param(HOST, (DNS, HTTP), {HTTP, ALPN, DNS}, [DNS, HTTP], id="as the operator prefers"),
    pytest.param("*.example.org", (), {HTTP, ALPN, DNS}, [DNS], id="a wildcard by dns-01 alone"),
    pytest.param("*.example.org", (), {HTTP, ALPN}, [], id="a wildcard, and nobody writes records"),
    pytest.param("192.0.2.1", (), {HTTP, ALPN, DNS, PERSIST}, [HTTP, ALPN], id="an address never by DNS"),
    pytest.param(HOST, (), {HTTP, PERSIST}, [HTTP, PERSIST], id="a record that stays last"),
    pytest.param(HOST, (), {HTTP, DNS, PERSIST}, [HTTP, DNS], id="no record that stays where others are written"),
    pytest.param("*.example.org", (), {HTTP, PERSIST}, [], id="a wildcard, and nobody asked for a record that stays"),
    pytest.param("*.example.org", (HTTP, PERSIST), {HTTP, PERSIST}, [PERSIST], id="a wildcard by a record that stays"),
]


@pytest.mark.parametrize(("host", "allowed", "solvers", "kinds"), POSSIBLE)
def test_how_a_host_can_be_shown(
    host: str, allowed: tuple[ChallengeType, ...], solvers: set[ChallengeType], kinds: list[ChallengeType]
) -> None:
    assert possible(host, allowed, solvers) == kinds


CHOSEN = [
    pytest.param([HTTP, ALPN], (HTTP, ALPN), "http-01", id="http-01 where all is open"),
    pytest.param([HTTP, ALPN], (ALPN,), "tls-alpn-01", id="tls-alpn-01 where port 80 is closed"),
    pytest.param([HTTP, ALPN, DNS], (), "dns-01", id="dns-01 where all is closed"),
    pytest.param([HTTP, ALPN], None, "http-01", id="the first where nobody looked"),
    pytest.param([HTTP, ALPN], (), "http-01", id="the first where somebody asks all the same"),
]


@pytest.mark.parametrize(("kinds", "seen_open", "kind"), CHOSEN)
def test_the_first_that_is_open_is_chosen(
    kinds: list[ChallengeType], seen_open: tuple[ChallengeType, ...] | None, kind: str
) -> None:
    offered = view("dns-persist-01", "dns-01", "tls-alpn-01", "http-01")
    assert choose(offered, kinds, seen_open).type == kind


@pytest.mark.parametrize("offered", [(), ("dns-persist-01",), ("dns-01",)])
def test_where_nothing_fits_it_is_told_what_is_offered(offered: tuple[str, ...]) -> None:
    with pytest.raises(Fail) as caught:
        choose(view(*offered), [HTTP, ALPN], (HTTP,))
    assert caught.value.failure.kind is NO_CHALLENGE
    assert caught.value.failure.evidence[0].saw == ", ".join(offered)


async def test_an_answer_is_taken_down_even_when_whoever_waits_is_cancelled() -> None:
    answers, stands = HttpAnswers(), asyncio.Event()

    async def wait() -> None:
        async with standing(answers, ANSWER):
            stands.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await stands.wait()
    assert answers.get("token") == "token.thumbprint"
    waiting.cancel()
    await asyncio.wait({waiting})
    assert answers.get("token") is None


async def test_a_token_that_is_not_there_can_be_withdrawn() -> None:
    answers = HttpAnswers()
    await answers.withdraw(ANSWER)
    assert answers.get("token") is None
