"""Who may ask."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from starlette.requests import Request

from perijove.web.guard import RateWindows, client, origin, raw_spec
from tests.unit.web.conftest import Web


def request(path: str = "/", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    raw, _, query = path.partition("?")
    scope = {"type": "http", "method": "GET", "path": raw, "raw_path": raw.encode(), "query_string": query.encode()}
    return Request({**scope, "headers": named})


CLIENTS = [
    pytest.param("192.0.2.7", "192.0.2.7", id="alone"),
    pytest.param("198.51.100.1, 192.0.2.7", "192.0.2.7", id="behind what the client claims"),
    pytest.param("2001:db8::1", "2001:db8::1", id="IPv6"),
    pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 in IPv6"),
    pytest.param("192.0.2.7, nonsense", "unknown", id="nonsense"),
    pytest.param("", "unknown", id="nothing"),
]


@pytest.mark.parametrize(("told", "address"), CLIENTS)
def test_the_client_is_who_caddy_saw(told: str, address: str) -> None:
    assert client(request(x_forwarded_for=told)) == address


SPECS = [
    pytest.param("/build/gh/o/r/HEAD", "gh/o/r/HEAD", id="plain"),
    pytest.param("/v2/git/https%3A%2F%2Fx%2Fy/feature%2Fx/", "git/https%3A%2F%2Fx%2Fy/feature%2Fx", id="encoded"),
    pytest.param("/%62uild/gh/o/r/HEAD", "", id="an address that only decodes to ours"),
    pytest.param("/health", "", id="another page"),
]


@pytest.mark.parametrize(("path", "spec"), SPECS)
def test_the_spec_is_raw(path: str, spec: str) -> None:
    assert raw_spec(request(path)) == spec


def test_the_origin_is_what_the_client_typed() -> None:
    assert origin(request(host="hub.test:8000")) == "http://hub.test:8000"
    for told in ("https", "HTTPS", "https, http"):
        assert origin(request(host="hub.test", x_forwarded_proto=told)) == "https://hub.test"
    for told in ("http", "http, https", "wss", ""):
        assert origin(request(host="hub.test", x_forwarded_proto=told)) == "http://hub.test"


def test_an_address_may_begin_so_many_launches_a_period() -> None:
    windows = RateWindows()
    assert [windows.count("a", now, 2, 60) for now in (0, 10, 20, 59)] == [0, 0, 40, 1]
    assert windows.count("b", 20, 2, 60) == 0
    assert windows.count("a", 60, 2, 60) == 0


@dataclass(frozen=True)
class Visit:
    """A request by some name from some address."""

    host: str = "hub.test"
    address: str = "192.0.2.7"


HOSTS = [
    pytest.param((), "anything.test", 200, id="any name where none is set"),
    pytest.param(("hub.test",), "hub.test", 200, id="the name"),
    pytest.param(("hub.test",), "HUB.test:8000", 200, id="the name with a port, shouted"),
    pytest.param(("::1", "[::1]"), "[::1]:8000", 200, id="an IPv6 address"),
    pytest.param(("hub.test",), "evil.test", 421, id="another name"),
    pytest.param((), "a/b", 400, id="no name at all"),
]


@pytest.mark.parametrize(("hosts", "host", "status"), HOSTS)
async def test_the_service_answers_to_its_names_only(web: Web, hosts: tuple[str, ...], host: str, status: int) -> None:
    web.world.set(service__hosts=hosts)
    answer = await web.get("/", Host=host, Accept="text/html")
    assert answer.status_code == status
    assert ("start.wrong-host" in answer.text) is (status == 421)


async def test_probes_may_come_by_any_name(web: Web) -> None:
    web.world.set(service__hosts=("hub.test",))
    assert (await web.get("/health", Host="10.0.0.1:8000")).status_code == 200


async def test_a_banned_network_is_refused_everywhere_but_at_probes(web: Web) -> None:
    web.world.set(launching__banned_networks={"192.0.2.0/24": "example"})
    page = await web.get("/", Accept="text/html")
    assert page.status_code == 403
    assert "Requests from example are not allowed" in page.text
    (only,) = await web.build()
    assert (only.data["status_code"], only.data["failure"]["code"]) == (403, "start.client-banned")
    assert (await web.get("/health")).status_code == 200
    assert (await web.get("/versions")).status_code == 200
    elsewhere = await web.get("/", X_Forwarded_For="198.51.100.1")
    assert elsewhere.status_code == 200


async def test_too_many_launches_are_told_when_the_next_is_possible(web: Web) -> None:
    web.world.set(launching__rate_limit=2, launching__rate_period=60.0)
    assert [(await web.build())[-1].data["phase"] for _ in range(3)] == ["ready", "ready", "failed"]
    failure = (await web.build())[-1].data
    assert failure["status_code"] == 429
    assert failure["failure"]["code"] == "start.rate-limited"
    assert failure["failure"]["retry"] == "after"
    assert 0 < failure["failure"]["after"] <= 60
    others = await web.build(X_Forwarded_For="198.51.100.1")
    assert others[-1].data["phase"] == "ready"


async def test_one_household_of_ipv6_is_one_address(web: Web) -> None:
    web.world.set(launching__rate_limit=1)
    assert (await web.build(X_Forwarded_For="2001:db8::1"))[-1].data["phase"] == "ready"
    assert (await web.build(X_Forwarded_For="2001:db8::2"))[-1].data["phase"] == "failed"
    assert (await web.build(X_Forwarded_For="2001:db8:0:1::1"))[-1].data["phase"] == "ready"


async def test_a_page_of_ours_may_launch_uncounted_but_only_what_it_shows(web: Web) -> None:
    web.world.set(launching__rate_limit=1)
    token = web.world.keys.build_token("gh/owner/repo/HEAD", web.world.clock.now(), 600)
    for _ in range(3):
        assert (await web.build(f"gh/owner/repo/HEAD?build_token={token}"))[-1].data["phase"] == "ready"
    assert (await web.build(f"gh/owner/other/HEAD?build_token={token}"))[-1].data["phase"] == "ready"
    assert (await web.build(f"gh/owner/other/HEAD?build_token={token}"))[-1].data["phase"] == "failed"
    web.world.clock.time += 601
    assert (await web.build(f"gh/owner/repo/HEAD?build_token={token}"))[-1].data["phase"] == "failed"


async def test_resuming_is_not_counted(web: Web) -> None:
    web.world.set(launching__rate_limit=1)
    first = await web.build()
    for _ in range(3):
        assert (await web.build(Last_Event_ID=first[0].id))[-1].data["phase"] == "ready"
