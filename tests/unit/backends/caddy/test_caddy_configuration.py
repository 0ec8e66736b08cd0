"""What Caddy is told, and where it should listen: pure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perijove.backends.caddy.addresses import named, present
from perijove.backends.caddy.configuration import CHALLENGE, bare, configuration, inherited, listens
from perijove.backends.caddy.encryption import connection_policies, server_name
from perijove.domain.data_plane import DataPlaneTable, ServedCertificate
from perijove.domain.state import State

TABLE = DataPlaneTable(
    http=("0.0.0.0:80", "[::]:80"),
    https=("0.0.0.0:443", "[::]:443", "[::1]:444"),
    certificates=(),
    redirects=True,
    alpn_hosts=(),
    alpn_directories=(),
    proxies=(),
    control=Path("/c"),
    sessions=Path("/s"),
    assets=Path("/a"),
    assets_version="v1",
    servers=Path("/t"),
)
STATE = State(Path("/state"))


def certificate(host: str, revision: int = 1) -> ServedCertificate:
    return ServedCertificate(host, Path(f"/secrets/{revision}/chain.pem"), Path(f"/secrets/{revision}/key.pem"), False)


def servers(table: DataPlaneTable) -> dict[str, Any]:
    found: dict[str, Any] = configuration(table, STATE)["apps"]["http"]["servers"]
    return found


def test_each_address_is_of_one_family_so_that_twins_do_not_meet() -> None:
    assert servers(TABLE)["http"]["listen"] == ["tcp4/0.0.0.0:80", "tcp6/[::]:80"]
    either = servers(replace(TABLE, http=(":80", "localhost:81"), https=()))
    assert either["http"]["listen"] == ["tcp/:80", "tcp/localhost:81"]


QUIC = replace(TABLE, https=("0.0.0.0:443", "[::]:443"), quic=("udp/0.0.0.0:443", "udp/[::]:443"))


def test_http3_is_spoken_by_datagrams_alone_and_nothing_else_by_them() -> None:
    https = servers(QUIC)["https"]
    assert https["listen"] == ["tcp4/0.0.0.0:443", "tcp6/[::]:443", "udp4/0.0.0.0:443", "udp6/[::]:443"]
    assert https["listen_protocols"] == [["h1", "h2"], ["h1", "h2"], ["h3"], ["h3"]]
    assert "listen_protocols" not in servers(TABLE)["https"]


def test_sockets_of_datagrams_are_named_by_number_and_known_again() -> None:
    given = (*QUIC.http, *QUIC.https, *QUIC.quic)
    config = configuration(QUIC, STATE, given)
    assert config["apps"]["http"]["servers"]["https"]["listen"] == ["fd/102", "fd/103", "fdgram/104", "fdgram/105"]
    assert (inherited(config), listens(config), listens(configuration(QUIC, STATE))) == (given, given, given)


def test_without_ipv6_no_datagrams_of_it_are_waited_for() -> None:
    assert present(QUIC, ipv6=False).quic == ("udp/0.0.0.0:443",)


def test_what_runs_is_known_by_its_addresses() -> None:
    assert listens(configuration(TABLE, STATE)) == (*TABLE.http, *TABLE.https)
    empty: list[dict[str, Any] | None] = [None, {}, {"apps": None}, {"apps": {"http": {}}}]
    for nothing in empty:
        assert listens(nothing) == ()


def test_sockets_it_was_given_are_named_by_number_and_known_again() -> None:
    given = (*TABLE.http, TABLE.https[1])
    told = configuration(TABLE, STATE, given)
    listened = {name: server["listen"] for name, server in told["apps"]["http"]["servers"].items()}
    assert listened == {"http": ["fd/100", "fd/101"], "https": ["tcp4/0.0.0.0:443", "fd/102", "tcp6/[::1]:444"]}
    assert listens(told) == (*TABLE.http, *TABLE.https)
    assert inherited(told) == inherited(bare(STATE, given)) == given
    unmarked: list[dict[str, Any] | None] = [None, {}, {"@id": "else 127.0.0.1:80"}, bare(STATE)]
    for nothing in unmarked:
        assert inherited(nothing) == ()


def test_without_ipv6_the_twins_are_left_out_and_nothing_else() -> None:
    without = present(TABLE, ipv6=False)
    assert (without.http, without.https) == (("0.0.0.0:80",), ("0.0.0.0:443", "[::1]:444"))
    alone = replace(TABLE, http=("[::]:80",))
    assert present(alone, ipv6=False).http == ("[::]:80",)
    assert present(TABLE, ipv6=True) == TABLE


def test_caddy_s_complaint_is_about_an_address_and_its_setting() -> None:
    words = "listening on tcp6/[::]:443: listen tcp6 [::]:443: bind: address already in use"
    assert named(words, TABLE) == ("[::]:443", "https")
    assert named("address already in use", TABLE) == ("0.0.0.0:80", "http")


def test_without_https_there_is_nothing_of_tls() -> None:
    told = configuration(replace(TABLE, https=(), certificates=(certificate("one.test"),)), STATE)
    assert set(told["apps"]) == {"http"}
    assert set(told["apps"]["http"]["servers"]) == {"http"}


def test_no_server_orders_certificates_by_itself() -> None:
    told = configuration(replace(TABLE, alpn_hosts=("one.test",), alpn_directories=("https://a.test/d",)), STATE)
    assert all(server["automatic_https"] == {"disable": True} for server in told["apps"]["http"]["servers"].values())
    assert "certificates" not in told["apps"]["tls"]
    (policy,) = told["apps"]["tls"]["automation"]["policies"]
    assert (policy["subjects"], policy["issuers"]) == (["one.test"], [{"module": "acme", "ca": "https://a.test/d"}])


def test_a_new_revision_is_another_configuration() -> None:
    first, second = (replace(TABLE, certificates=(certificate("one.test", revision),)) for revision in (1, 2))
    assert configuration(first, STATE) != configuration(second, STATE)


def test_exact_names_come_before_wildcards_and_both_before_names_that_wait() -> None:
    hosts = ("*.test", "one.test", "192.0.2.1")
    table = replace(TABLE, certificates=tuple(map(certificate, hosts)), alpn_hosts=("one.test", "waits.test"))
    policies = connection_policies(table)
    assert [policy["match"]["sni"] for policy in policies] == [
        ["one.test"],
        ["*.test"],
        ["one.test", "waits.test"],
        [""],
        [""],
    ]
    assert policies[3]["match"]["local_ip"] == {"ranges": ["192.0.2.1"]}


SERVER_NAMES = [
    pytest.param("one.test", "one.test", id="a name"),
    pytest.param("192.0.2.1", "1.2.0.192.in-addr.arpa", id="IPv4"),
    pytest.param("2001:db8::1", "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.ip6.arpa", id="IPv6"),
]


@pytest.mark.parametrize(("host", "name"), SERVER_NAMES)
def test_a_ca_asks_for_an_address_by_its_name_in_the_reverse_zone(host: str, name: str) -> None:
    assert server_name(host) == name


REDIRECTS = [
    pytest.param("0.0.0.0:443", "one.test", "https://{http.request.host}{http.request.uri}", id="the usual port"),
    pytest.param("0.0.0.0:8443", "one.test", "https://{http.request.host}:8443{http.request.uri}", id="another port"),
    pytest.param("[::]:8443", "2001:db8::1", "https://[2001:db8::1]:8443{http.request.uri}", id="an IPv6 address"),
]


@pytest.mark.parametrize(("https", "host", "there"), REDIRECTS)
def test_http_leads_to_the_first_port_of_https(https: str, host: str, there: str) -> None:
    told = servers(replace(TABLE, https=(https,), certificates=(certificate(host),)))["http"]["routes"]
    (route,) = [route for route in told if "host" in route.get("match", [{}])[0]]
    assert route["match"] == [{"host": [host]}]
    assert route["handle"][0]["headers"]["Location"] == [there]


def test_nobody_is_believed_where_no_server_in_front_is_named() -> None:
    assert all("trusted_proxies" not in server for server in servers(TABLE).values())
    told = servers(replace(TABLE, proxies=("192.0.2.0/24",)))
    for server in told.values():
        assert server["trusted_proxies"] == {"source": "static", "ranges": ["192.0.2.0/24"]}
        assert server["trusted_proxies_strict"] == 1


def test_a_certificate_of_several_names_is_shown_for_each_and_exact_names_come_before_wildcards() -> None:
    one = replace(certificate("*.run.example"), also=("s1.example", "s2.example"))
    table = replace(TABLE, certificates=(one, certificate("binder.example", 2)))
    policies = servers(table)["https"]["tls_connection_policies"]
    assert [policy["match"].get("sni") for policy in policies[:3]] == [
        ["s1.example", "s2.example"], ["binder.example"], ["*.run.example"],
    ]  # fmt: skip
    assert policies[0]["certificate_selection"] == policies[2]["certificate_selection"]
    redirected = json.dumps(servers(table)["http"]["routes"])
    assert '"host": ["*.run.example", "s1.example", "s2.example", "binder.example"]' in redirected


def test_below_a_path_nothing_is_answered_elsewhere_but_the_challenge() -> None:
    apart = replace(TABLE, hosts=("binder.test",), session_hosts=("*.run.test",))
    for table in (TABLE, apart, replace(TABLE, redirects=False, grants=Path("/g"))):
        told = json.dumps(servers(replace(table, base="/my.binder/")))
        paths = {path for found in re.findall(r'"path": (\[[^]]*\])', told) for path in json.loads(found)}
        patterns = set(re.findall(r'"pattern": "\^(/[^"]*)"', told.replace("\\\\", "\\")))
        assert CHALLENGE in paths
        assert all(path.startswith("/my.binder/") for path in paths - {CHALLENGE}), paths
        assert patterns
        assert all(pattern.startswith("/my\\.binder/") for pattern in patterns), patterns
        assert "Path=/my.binder/user/{http.regexp.session.1}/" in told
        assert '"Location": ["/my.binder/user/' in told
