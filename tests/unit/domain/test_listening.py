"""Where sessions are opened, and the way back."""

from __future__ import annotations

import pytest

from perijove.domain.listening import certified_hosts, service_origin, session_hosts, session_labels, session_origin
from perijove.domain.settings import ServiceSettings

OWN = ("binder.example.org", "other.example.org")
ALONE = tuple((name,) for name in OWN)
WILDCARD = ServiceSettings(hosts=OWN, session_hosts=("*.run.example.org",))
LIST = ServiceSettings(hosts=OWN, session_hosts=("s1.example.org", "s2.example.org"))
LOCAL, OFF, SHARED = ServiceSettings(), ServiceSettings(session_hosts=("off",)), ServiceSettings(hosts=OWN)


@pytest.mark.parametrize(
    ("service", "hosts", "certified"),
    [
        pytest.param(LOCAL, ("*.localhost",), (("localhost",),), id="loopback"),
        pytest.param(OFF, (), (("localhost",),), id="loopback, off"),
        pytest.param(ServiceSettings(http=("0.0.0.0:80",)), (), (), id="no names"),
        pytest.param(ServiceSettings(behind=("10.0.0.1",)), (), (("localhost",),), id="behind another web server"),
        pytest.param(SHARED, (), ALONE, id="names of its own alone"),
        pytest.param(WILDCARD, ("*.run.example.org",), (*ALONE, ("*.run.example.org",)), id="wildcard"),
        pytest.param(LIST, LIST.session_hosts, (*ALONE, LIST.session_hosts), id="list"),
    ],
)
def test_sessions_have_hosts_and_these_need_certificates(
    service: ServiceSettings, hosts: tuple[str, ...], certified: tuple[tuple[str, ...], ...]
) -> None:
    assert session_hosts(service) == hosts
    assert certified_hosts(service) == certified


def test_sessions_get_hosts_that_have_a_certificate_where_any_has() -> None:
    assert session_labels(LIST) == session_labels(LIST, OWN) == ("s1", "s2")
    assert session_labels(LIST, (*OWN, "s2.example.org")) == ("s2",)
    assert session_labels(WILDCARD, WILDCARD.session_hosts) == ()


@pytest.mark.parametrize(
    ("service", "origin", "session", "opened"),
    [
        pytest.param(LOCAL, "http://127.0.0.1:8000", "r-1", "http://127.0.0.1:8000", id="loopback: Caddy leads on"),
        pytest.param(SHARED, "https://binder.example.org", "r-1", "https://binder.example.org", id="shared"),
        pytest.param(WILDCARD, "https://binder.example.org", "r-1", "https://r-1.run.example.org", id="wildcard"),
        pytest.param(WILDCARD, "http://other.example.org:81", "r-1", "http://r-1.run.example.org:81", id="a port"),
        pytest.param(WILDCARD, "http://[::1]:81", "r-1", "http://r-1.run.example.org:81", id="an IPv6 address"),
        pytest.param(WILDCARD, "http://[::1]", "r-1", "http://r-1.run.example.org", id="without a port"),
        pytest.param(LIST, "https://binder.example.org", "r-1--s2", "https://s2.example.org", id="list"),
        pytest.param(LIST, "https://binder.example.org", "r-1", "https://binder.example.org", id="one of before"),
    ],
)
def test_a_session_is_opened_at_its_host_by_the_scheme_and_port_of_the_service(
    service: ServiceSettings, origin: str, session: str, opened: str
) -> None:
    assert session_origin(service, origin, session) == opened


@pytest.mark.parametrize(
    ("service", "origin", "own"),
    [
        pytest.param(LOCAL, "http://r-1.localhost:8000", "http://localhost:8000", id="loopback"),
        pytest.param(LOCAL, "http://127.0.0.1:9000", "http://127.0.0.1:9000", id="the service on loopback"),
        pytest.param(WILDCARD, "https://r-1.run.example.org", "https://binder.example.org", id="wildcard"),
        pytest.param(LIST, "https://s1.example.org", "https://binder.example.org", id="list"),
        pytest.param(LIST, "https://other.example.org", "https://other.example.org", id="the service's other name"),
        pytest.param(SHARED, "https://x.example.org", "https://x.example.org", id="shared"),
    ],
)
def test_the_way_back_is_found(service: ServiceSettings, origin: str, own: str) -> None:
    assert service_origin(service, origin) == own
