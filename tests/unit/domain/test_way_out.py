"""How the service's environment says that the web is reached."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from perijove.domain.way_out import unusable, usable, way_out

PROXY = "http://user:secret@proxy.example.org:3128"
SAID = [
    pytest.param({}, "", "", id="nothing"),
    pytest.param({"https_proxy": PROXY}, "", PROXY, id="for https"),
    pytest.param({"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY}, PROXY, PROXY, id="in capitals"),
    pytest.param({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, "", PROXY, id="small letters before capitals"),
    pytest.param({"all_proxy": "socks5://p:1080", "http_proxy": PROXY}, PROXY, "socks5://p:1080", id="for all others"),
    pytest.param({"http_proxy": " proxy.test:3128 "}, "http://proxy.test:3128", "", id="without a scheme"),
]


@pytest.mark.parametrize(("environ", "http", "https"), SAID)
def test_a_proxy_is_named_as_curl_reads_it(environ: Mapping[str, str], http: str, https: str) -> None:
    way = way_out(environ)
    assert (way.proxy("http", "example.org"), way.proxy("https", "example.org")) == (http, https)
    assert unusable(way) == ()
    assert usable(way) == way


DIRECT = [
    ("example.org", True), ("mirror.example.org", True), ("badexample.org", False), ("a.corp.test", True),
    ("10.1.2.3", True), ("11.1.2.3", False), ("192.0.2.7", True), ("fd00::1", True), ("[fd00::1]", True),
    ("x.wild.test", True), ("EXAMPLE.org.", True), ("port.test", True),
]  # fmt: skip


@pytest.mark.parametrize(("host", "direct"), DIRECT)
def test_what_is_near_is_reached_without_it(host: str, direct: bool) -> None:
    near = "example.org, .corp.test,10.0.0.0/8,192.0.2.7,fd00::/8,*.wild.test,port.test:443"
    way = way_out({"https_proxy": PROXY, "no_proxy": near})
    assert way.proxy("https", host) == ("" if direct else PROXY)
    assert way_out({"https_proxy": PROXY, "no_proxy": "*"}).proxy("https", host) == ""


@pytest.mark.parametrize("named", ["https://user:secret@p", "ftp://p", "http://", "http://p:port", "http://[::1"])
def test_one_that_sandboxes_cannot_use_is_told_without_its_password(named: str) -> None:
    way = way_out({"https_proxy": named, "http_proxy": PROXY})
    (why,) = unusable(way)
    assert "https" in why
    assert "secret" not in why
    assert (usable(way).https, usable(way).http) == ("", PROXY)
