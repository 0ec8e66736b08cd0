"""What a CA and those who come by http meet before there is a certificate."""

from __future__ import annotations

import pytest

from perijove.domain.certificate_failures import HTTPS_PENDING, REDIRECT_NOT_FORWARDED
from perijove.domain.failures import Evidence
from perijove.web.guard import CertificateStanding
from tests.unit.web.conftest import PAGES, Web

CHALLENGE = "/.well-known/acme-challenge/"
PLAIN = {"X_Forwarded_Proto": "http"}
SEEN = Evidence("http://hub.test/", "<b>Location</b>: https://hub.test/")
VERDICT = REDIRECT_NOT_FORWARDED("nginx redirects <i>port 80</i> to https", SEEN)


@pytest.fixture
def secured(web: Web) -> Web:
    """A service with names, whose http leads to https."""
    web.world.set(service__hosts=("hub.test", "*.wild.test", "2001:db8::1"))
    return web


async def test_a_challenge_is_answered_by_its_key_authorization_with_our_marker(secured: Web) -> None:
    secured.answers["tok-en_1"] = "tok-en_1.thumbprint"
    for host in ("hub.test", "other.test", "192.0.2.1:80"):
        answer = await secured.get(CHALLENGE + "tok-en_1", Host=host, **PLAIN)
        assert (answer.status_code, answer.text) == (200, "tok-en_1.thumbprint")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-perijove-solver"] == secured.world.keys.solver_marker()
    assert (await secured.client.head(CHALLENGE + "tok-en_1")).status_code == 200


@pytest.mark.parametrize("token", ["unknown", "", "a/b", "%2e%2e%2fx"])
async def test_a_token_that_is_not_ours_is_not_found_yet_it_was_we_who_answered(secured: Web, token: str) -> None:
    answer = await secured.get(CHALLENGE + token, **PLAIN)
    assert answer.status_code == 404
    assert answer.headers["x-perijove-solver"] == secured.world.keys.solver_marker()


async def test_nobody_is_kept_from_the_challenge(secured: Web) -> None:
    secured.world.set(launching__banned_networks={"192.0.2.0/24": "example"}, launching__rate_limit=1)
    secured.answers["t"] = "t.thumbprint"
    for _ in range(5):
        assert (await secured.get(CHALLENGE + "t")).text == "t.thumbprint"


async def test_only_our_answers_at_the_challenge_carry_the_marker(secured: Web) -> None:
    for path in ("/", "/health", "/nosuch", "/.well-known/other"):
        assert "x-perijove-solver" not in (await secured.get(path)).headers


async def test_who_comes_by_http_before_the_certificate_is_told_why_and_when(secured: Web) -> None:
    secured.standings["hub.test"] = CertificateStanding(VERDICT, secured.world.clock.now() + 12)
    for path in ("/", "/v2/gh/owner/repo/HEAD", "/user/some-1/lab", "/launch/1"):
        answer = await secured.get(path, **PAGES, **PLAIN)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
        assert answer.headers["cache-control"] == "no-store"
        assert '<meta http-equiv="refresh" content="3">' in answer.text
        assert "HTTPS is on its way" in answer.text
        assert VERDICT.kind.title in answer.text
        assert VERDICT.kind.code in answer.text
        assert "before it redirects all else" in answer.text
        assert "nginx redirects &lt;i&gt;port 80&lt;/i&gt; to https." in answer.text
        assert "&lt;b&gt;Location&lt;/b&gt;" in answer.text
        assert "The next attempt to get one is in 12 s." in answer.text


@pytest.mark.parametrize("standings", [{}, {"hub.test": CertificateStanding(None, 0)}], ids=["unknown", "well"])
async def test_while_nothing_is_wrong_the_page_says_only_that(
    secured: Web, standings: dict[str, CertificateStanding]
) -> None:
    secured.standings.update(standings)
    answer = await secured.get("/", **PAGES, **PLAIN)
    assert answer.status_code == 503
    assert "one is being got" in answer.text
    assert "next attempt" not in answer.text


async def test_programs_are_told_in_their_own_form(secured: Web) -> None:
    secured.standings["hub.test"] = CertificateStanding(VERDICT, 0)
    answer = await secured.get("/api/repoproviders", **PLAIN)
    failure = answer.json()["failure"]
    assert answer.status_code == 503
    assert (failure["code"], failure["retry"], failure["after"]) == (HTTPS_PENDING.code, "after", 3)
    assert VERDICT.kind.code in failure["cause"]
    assert failure["evidence"] == [{"where": SEEN.where, "saw": SEEN.saw}]
    assert failure["remedy"] == VERDICT.remedy
    (only,) = await secured.build(**PLAIN)
    assert (only.data["phase"], only.data["status_code"]) == ("failed", 503)
    assert only.data["failure"] == failure
    assert list(secured.world.launches.list(10)) == []


async def test_probes_and_pictures_are_answered_by_http(secured: Web) -> None:
    for path in ("/health", "/versions", "/metrics", "/badge.svg", "/robots.txt", "/favicon.ico"):
        assert (await secured.get(path, **PLAIN)).status_code == 200


async def test_each_of_our_names_is_known_in_whatever_case_and_with_its_port(secured: Web) -> None:
    secured.standings["*.wild.test"] = CertificateStanding(VERDICT, 0)
    for host in ("hub.test:8443", "HUB.test", "a.wild.test", "[2001:db8::1]", "[2001:DB8::1]:8443"):
        assert (await secured.get("/", Host=host)).status_code == 200
        assert (await secured.get("/", Host=host, **PLAIN)).status_code == 503
    assert VERDICT.kind.code in (await secured.get("/", Host="a.wild.test", **PAGES, **PLAIN)).text
    for host in ("wild.test", "a.b.wild.test", "other.test", "[2001:db8::2]"):
        assert (await secured.get("/", Host=host, **PLAIN)).status_code == 421


OPEN = [
    pytest.param({"hosts": ()}, id="without names"),
    pytest.param({"hosts": ("hub.test",), "https": ("off",)}, id="without https"),
    pytest.param({"hosts": ("hub.test",), "behind": ("192.0.2.1",)}, id="behind somebody who decides"),
]


@pytest.mark.parametrize("service", OPEN)
async def test_http_is_served_where_it_does_not_lead_to_https(web: Web, service: dict[str, tuple[str, ...]]) -> None:
    web.world.set(**{f"service__{name}": value for name, value in service.items()})
    host = "hub.test" if service["hosts"] else "localhost"
    assert (await web.get("/", Host=host, **PLAIN)).status_code == 200
