from __future__ import annotations

from typing import Any

import pytest

from perijove.domain.certificate_settings import HostSettings, IssuerSettings
from perijove.domain.certificates import ChallengeType
from perijove.domain.failures import Fail
from perijove.domain.listening import (
    certified_hosts,
    http_listeners,
    https_listeners,
    listening_origin,
    loopback_only,
    own_url,
    redirects,
)
from perijove.domain.nouns import Egress
from perijove.domain.settings_layers import Layer, environment_layers, merged


def layer(**values: Any) -> Layer:
    return Layer("perijove.toml", {name.replace("__", "."): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        pytest.param("session.memory", "512M", 512 * 1024**2, id="megabytes"),
        pytest.param("session.memory", "1.5G", 1536 * 1024**2, id="fraction of gigabytes"),
        pytest.param("session.memory", "2GiB", 2 * 1024**3, id="long unit"),
        pytest.param("session.memory", 4096, 4096, id="plain number"),
        pytest.param("session.idle_timeout", "10m", 600.0, id="minutes"),
        pytest.param("session.idle_timeout", 45, 45.0, id="seconds"),
        pytest.param("session.egress", "none", Egress.NONE, id="choice"),
        pytest.param("session.cpus", "0.5", 0.5, id="float from text"),
        pytest.param("launching.banned", "gh/spam/.*, gh/evil", ("gh/spam/.*", "gh/evil"), id="list from text"),
        pytest.param("launching.banned", ["gh/a b"], ("gh/a b",), id="list"),
        pytest.param("launching.banned_networks", "192.0.2.0/24=lab", {"192.0.2.0/24": "lab"}, id="table from text"),
    ],
)
def test_a_value_is_read_as_its_field_means_it(name: str, raw: Any, value: Any) -> None:
    settings, sources = merged([Layer("perijove.toml", {name: raw})])
    table, _, field = name.partition(".")
    assert getattr(getattr(settings, table), field) == value
    assert sources == {name: "perijove.toml"}


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        pytest.param("session.memory", "2 apples", "512M", id="no size"),
        pytest.param("session.memory", "5d", "512M", id="a time where a size belongs"),
        pytest.param("session.idle_timeout", "5G", "10m", id="a size where a time belongs"),
        pytest.param("session.egress", "all", "none, public", id="no such choice"),
        pytest.param("session.processes", "many", "number", id="no number"),
        pytest.param("session.processes", -1, "negative", id="negative"),
        pytest.param("session.processes", True, "number", id="a truth"),
        pytest.param("session.nothing", "1", "no setting session.nothing", id="unknown"),
        pytest.param("service.http", "8000", "ADDRESS:PORT", id="no address"),
        pytest.param("service.http", "example.org:80", "IP address", id="a name"),
        pytest.param("service.session_hosts", "S1.example.org", "s1.example.org", id="a session host that is no name"),
        pytest.param("service.session_hosts", "192.0.2.1", "s1.example.org", id="a session host that is an address"),
        pytest.param("service.session_hosts", "s.b.example,s.b.example", "twice", id="a session host twice"),
        pytest.param("service.session_hosts", "s1", "s1.example.org", id="a session host of one label"),
        pytest.param("service.session_hosts", "*.r.example,s.r.example", "one wildcard", id="a wildcard and a name"),
        pytest.param("service.session_hosts", "s.r.example,t.q.example", "first label", id="session hosts far apart"),
        pytest.param("service.session_hosts", "a--b.example", "single hyphens", id="a session host that ends no name"),
        pytest.param(
            "service.session_hosts", ",".join(f"s{n}.b.example" for n in range(101)), "100", id="too many session hosts"
        ),
        pytest.param("session.lab_disabled", "@x", "@jupyterlab/toc-extension", id="no extension's name"),
        pytest.param("launching.banned", "(", "regular expression", id="bad pattern"),
        pytest.param("launching.banned_networks", {"here": "x"}, "192.0.2.0/24", id="bad network"),
        pytest.param("build.keep_free", "1M", "launching.keep_disk", id="less kept free than launches need"),
        pytest.param("build.concurrent", 0, "at least 1", id="no builds at all"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_stood_there(name: str, raw: Any, words: str) -> None:
    with pytest.raises(Fail) as caught:
        merged([Layer("perijove.toml", {name: raw})])
    failure = caught.value.failure
    assert failure.kind.code == "platform.bad-settings"
    assert words in failure.cause
    assert failure.evidence[0].where == "perijove.toml"


def test_a_size_that_is_refused_is_told_as_the_file_takes_it() -> None:
    with pytest.raises(Fail) as caught:
        merged([layer(build__keep_free=1024**3, launching__keep_disk="2G")])
    assert caught.value.failure.evidence[0].saw == "1G"


def test_sessions_do_not_share_a_host_with_the_service() -> None:
    with pytest.raises(Fail, match="share its origin"):
        merged([layer(service__hosts="b.example", service__session_hosts="s1.b.example,b.example")])
    settings, _ = merged([layer(service__hosts="b.example", service__session_hosts="s2.b.example,s1.b.example")])
    assert settings.service.session_hosts == ("s2.b.example", "s1.b.example")


def test_later_layers_win_and_say_who_they_are() -> None:
    environment = environment_layers({"PERIJOVE_SESSION_MEMORY": "1G", "HOME": "/root"})
    flags = Layer("--http", {"service.http": "127.0.0.1:9000"})
    settings, sources = merged([layer(session__memory="4G", service__http="127.0.0.1:1"), *environment, flags])
    assert settings.session.memory == 1024**3
    assert settings.service.http == ("127.0.0.1:9000",)
    assert sources == {"session.memory": "PERIJOVE_SESSION_MEMORY", "service.http": "--http"}


def test_an_unknown_variable_is_not_ignored() -> None:
    with pytest.raises(Fail, match="PERIJOVE_SESION_MEMORY"):
        environment_layers({"PERIJOVE_SESION_MEMORY": "1G"})


@pytest.mark.parametrize(
    ("http", "alone"),
    [("127.0.0.1:8000", True), ("[::1]:80", True), ("localhost:80", True), ("0.0.0.0:80", False), (":80", False)],
)
def test_loopback_is_known(http: str, *, alone: bool) -> None:
    settings, _ = merged([layer(service__http=http)])
    assert loopback_only(settings.service) is alone


@pytest.mark.parametrize(
    "further",
    [
        pytest.param({"service__https": "0.0.0.0:8443"}, id="https for everybody"),
        pytest.param({"service__behind": "127.0.0.1"}, id="somebody in front lets everybody in"),
        pytest.param({"service__http": "127.0.0.1:80,[::]:80"}, id="one of two"),
    ],
)
def test_loopback_is_all_of_it_or_nothing(further: dict[str, str]) -> None:
    settings, _ = merged([layer(**({"service__http": "127.0.0.1:8000"} | further))])
    assert not loopback_only(settings.service)


def test_no_isolation_beyond_loopback_is_refused() -> None:
    with pytest.raises(Fail) as caught:
        merged([layer(session__isolation="none", service__http="0.0.0.0:80")])
    assert caught.value.failure.kind.code == "platform.not-isolated"
    merged([layer(session__isolation="none")])


B = ("b.example",)
ALL_80, ALL_443 = ("0.0.0.0:80", "[::]:80"), ("0.0.0.0:443", "[::]:443")


@pytest.mark.parametrize(
    ("wish", "http", "https", "own"),
    [
        pytest.param({}, ("127.0.0.1:8000",), ("127.0.0.1:8443",), "http://127.0.0.1:8000/", id="nothing said"),
        pytest.param({"http": ":81"}, (":81",), (), "http://127.0.0.1:81/", id="http alone"),
        pytest.param({"hosts": B}, ALL_80, ALL_443, "https://b.example/", id="a name"),
        pytest.param({"hosts": B, "https": "off"}, ALL_80, (), "http://b.example/", id="a name without https"),
        pytest.param(
            {"hosts": B, "http": "127.0.0.1:80", "https": "127.0.0.1:444"},
            ("127.0.0.1:80",),
            ("127.0.0.1:444",),
            "https://b.example:444/",
            id="a name, ports of its own",
        ),
        pytest.param(
            {"hosts": B, "behind": "10.0.0.1"},
            ("127.0.0.1:8000",),
            ("127.0.0.1:8443",),
            "https://b.example/",
            id="behind another web server",
        ),
        pytest.param({"hosts": ("*.b.example",)}, ALL_80, ALL_443, "https://www.b.example/", id="any name below one"),
        pytest.param({"hosts": ("2001:db8::1",)}, ALL_80, ALL_443, "https://[2001:db8::1]/", id="an IPv6 address"),
    ],
)
def test_the_service_knows_where_it_listens(
    wish: dict[str, Any], http: tuple[str, ...], https: tuple[str, ...], own: str
) -> None:
    settings, _ = merged([layer(**{f"service__{name}": value for name, value in wish.items()})])
    assert (http_listeners(settings.service), https_listeners(settings.service)) == (http, https)
    assert own_url(settings.service) == own


@pytest.mark.parametrize(
    ("wish", "hosts", "redirected"),
    [
        pytest.param({}, (("localhost",),), False, id="nothing said"),
        pytest.param({"http": ":81"}, (), False, id="http alone"),
        pytest.param({"hosts": B}, (B,), True, id="a name"),
        pytest.param({"hosts": (*B, "c.example")}, (B, ("c.example",)), True, id="each host alone"),
        pytest.param(
            {"hosts": B, "session_hosts": ("s1.example", "s2.example")},
            (B, ("s1.example", "s2.example")),
            True,
            id="those of sessions together",
        ),
        pytest.param({"hosts": B, "behind": "10.0.0.1"}, (B,), False, id="somebody in front decides"),
        pytest.param({"hosts": B, "https": "off"}, (), False, id="no https"),
    ],
)
def test_the_service_knows_which_names_need_certificates(
    wish: dict[str, Any], hosts: tuple[tuple[str, ...], ...], *, redirected: bool
) -> None:
    settings, _ = merged([layer(**{f"service__{name}": value for name, value in wish.items()})])
    assert (certified_hosts(settings.service), redirects(settings.service)) == (hosts, redirected)


@pytest.mark.parametrize(
    ("http", "listening"),
    [
        ("0.0.0.0:80", "http://127.0.0.1"),
        ("[::]:8080", "http://[::1]:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]"),
    ],
)
def test_the_service_knows_how_this_machine_reaches_it(http: str, listening: str) -> None:
    settings, _ = merged([layer(service__http=http)])
    assert listening_origin(settings.service) == listening


def test_issuers_and_hosts_have_tables_of_their_own() -> None:
    tables = {
        "certificates.issuer": {"campus": {"directory": "https://ca.example/acme", "eab_kid": "k1"}},
        "certificates.host": {"w.example": {"issuers": ["campus"], "challenges": ["dns-01"]}},
    }
    settings, _ = merged([Layer("perijove.toml", tables)])
    assert settings.certificates.issuer["campus"] == IssuerSettings(directory="https://ca.example/acme", eab_kid="k1")
    assert settings.certificates.host["w.example"] == HostSettings(("campus",), (ChallengeType.DNS,))


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        pytest.param("certificates.issuer", {"a": {"dir": "x"}}, "has no dir (in a)", id="unknown in a table"),
        pytest.param("certificates.issuer", {"a": {"directory": 5.5j}}, "of a", id="bad value in a table"),
        pytest.param("certificates.issuer", "a", "tables", id="no table"),
        pytest.param("certificates.challenges", ["http-02"], "http-01", id="no such challenge"),
        pytest.param("certificates.rehearse", "perhaps", "true or false", id="no truth"),
        pytest.param("service.behind", "proxy.example", "192.0.2.0/24", id="a name in front"),
        pytest.param("service.https", "443", "ADDRESS:PORT", id="no address for https"),
        pytest.param("certificates.resolvers", "ns.example", "192.0.2.53", id="a name server by its name"),
        pytest.param("certificates.resolvers", "192.0.2.53:dns", "192.0.2.53", id="a name server's port"),
        pytest.param("certificates.public_addresses", "router", "IP addresses", id="an address by a name"),
    ],
)
def test_a_bad_value_of_certificates_is_refused(name: str, raw: Any, words: str) -> None:
    with pytest.raises(Fail) as caught:
        merged([Layer("perijove.toml", {name: raw})])
    assert words in caught.value.failure.cause


CLUSTER = {"engine.kind": "kubernetes", "engine.registry": "registry.example.org/perijove"}


def test_where_sessions_are_pods_other_settings_have_other_defaults_and_say_why() -> None:
    settings, sources = merged([Layer("perijove.toml", CLUSTER)])
    assert (settings.platform.root, settings.launching.ready) == ("base", 0)
    assert sources["platform.root"] == "engine.kind"
    settings, _ = merged([Layer("perijove.toml", CLUSTER | {"launching.ready": 2})])
    assert settings.launching.ready == 2
    assert settings.session.keep == merged([])[0].session.keep


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("platform.root", "auto"),
        ("home.path", "/srv/homes"),
        ("session.egress_allowed", "mirror.example.org:443"),
    ],
)
def test_what_pods_cannot_do_is_refused_with_both_settings_named(name: str, raw: str) -> None:
    with pytest.raises(Fail) as caught:
        merged([Layer("perijove.toml", CLUSTER | {"engine.builds": "jobs", name: raw})])
    failure = caught.value.failure
    assert failure.kind.code == "platform.bad-settings"
    assert failure.cause.startswith(name)
    assert "engine.kind = kubernetes" in failure.cause
    assert failure.evidence[0].where == "perijove.toml"


def test_builds_can_be_jobs_with_the_hosts_that_they_reach_by_themselves() -> None:
    settings, _ = merged([Layer("perijove.toml", CLUSTER | {"engine.builds": "jobs"})])
    assert settings.build.hosts


def test_so_many_images_as_no_node_holds_are_not_pulled_ahead() -> None:
    assert merged([Layer("perijove.toml", CLUSTER | {"engine.prepull": 20})])[0].engine.prepull == 20
    with pytest.raises(Fail) as caught:
        merged([Layer("perijove.toml", CLUSTER | {"engine.prepull": 21})])
    assert caught.value.failure.cause == "engine.prepull must be at most 20"
