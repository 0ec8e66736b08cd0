"""`perijove doctor URL` before a real Perijove, behind real web servers on loopback: well, and broken in each way."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from perijove.domain.certificate_failures import (
    DNS_NO_SUCH_NAME,
    NAMES_MISSING,
    NOT_VALID_NOW,
    PORT_REFUSED,
)
from perijove.domain.cluster_failures import LAUNCHES_FAIL
from perijove.domain.cluster_tls_failures import FAKE_CERTIFICATE
from perijove.domain.front_failures import ACME_HTTP01_BLOCKED_BY_FRONT_PROXY, STREAM_HELD_BACK, WEBSOCKET_CUT
from perijove.domain.site_failures import (
    BINDER_UNREACHED,
    CERTIFICATE_UNTRUSTED,
    HSTS_FORBIDS_EXCEPTION,
    NOT_A_BINDER,
    REDIRECT_ASTRAY,
)
from perijove.domain.state import State
from tests.e2e.service import Service, running
from tests.fakes import fronts
from tests.fakes.binderhub import running_binderhub
from tests.fakes.dns import Dns, running_dns
from tests.fakes.fronts import Doors, running_front, written
from tests.fakes.git_server import serving
from tests.fakes.nginx import running_nginx, self_signed
from tests.fakes.ports import free_port
from tests.fakes.private_ca import DAY, Leaf, PrivateCa

HOST, FRONT = "binder.uni.example", "127.0.0.2"
SERVERS = ("nginx", "HAProxy", "Apache", "Caddy")
SLOW = "import time\ntime.sleep(2)\n"
"""A session whose server takes a while, so that its events come apart."""

pytestmark = [
    pytest.mark.same_for_any_user,
    pytest.mark.e2e,
    pytest.mark.skipif(bool(fronts.missing("nginx")), reason=fronts.missing("nginx")),
]


@dataclass
class Site:
    """A Binder's name, who stands in front, and what it shows."""

    folder: Path
    dns: Dns
    ca: PrivateCa
    doors: Doors
    spec: str = ""

    def doctor(self, *words: str, status: int) -> dict[str, Any]:
        """What the doctor says."""
        url = f"https://{HOST}:{self.doors.https}"
        command = [sys.executable, "-m", "perijove", "doctor", url, "--json", "--http-port", str(self.doors.http)]
        command += ["--ca", str(self.ca.file), "--resolver", self.dns.server, *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
        assert ran.returncode == status, ran.stdout + ran.stderr
        told: dict[str, Any] = json.loads(ran.stdout)
        return told

    def ill(self, *words: str) -> list[Any]:
        """Root causes by their codes, each with what it explains."""
        return [tree(root) for root in self.doctor(*(words or ("--no-build",)), status=1)["told"]]

    @contextmanager
    def behind(self, name: str = "nginx", text: str = "") -> Iterator[None]:
        """Somebody in front, with the lines that the doctor writes or others."""
        text = text or written(name, self.doors, self.folder)
        with running_front(name, self.folder, text, self.doors.address, self.doors.https):
            yield

    def changed(self, *pairs: tuple[str, str]) -> str:
        """nginx's right configuration with something else in some places."""
        text = written("nginx", self.doors, self.folder)
        for right, wrong in pairs:
            assert right in text, text
            text = text.replace(right, wrong)
        return text

    def shows(self, leaf: Leaf) -> None:
        self.doors = replace(self.doors, leaf=leaf)


def tree(root: dict[str, Any]) -> Any:
    """`code`, or `(code, what it explains)`."""
    return (root["code"], [tree(one) for one in root["explains"]]) if root["explains"] else root["code"]


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(
        module_state,
        SERVICE_BEHIND="127.0.0.1",
        SERVICE_HOSTS=HOST,
        SERVICE_HTTPS="off",
        REPOSITORIES_PRIVATE_ADDRESSES="yes",
    )


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Dns, str]]:
    """A name server, and a repository to launch."""
    with running_dns() as dns, serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as git:
        dns.set(HOST, "A", FRONT)
        git.author("tiny").commit({".jupyter/jupyter_server_config.py": SLOW})
        yield dns, f"git/{quote(git.url('tiny'), safe='')}/HEAD"


def site_of(folder: Path, world: tuple[Dns, str], upstream: str) -> Site:
    folder.chmod(0o755)
    ca = PrivateCa(folder / "ca")
    doors = Doors(FRONT, free_port(), free_port(), HOST, upstream, ca.leaf(HOST))
    return Site(folder, world[0], ca, doors, world[1])


@pytest.fixture
def site(tmp_path: Path, world: tuple[Dns, str], service: Service) -> Site:
    return site_of(tmp_path, world, f"127.0.0.1:{service.port}")


@pytest.mark.parametrize("name", SERVERS)
def test_a_healthy_binder_has_no_finding_and_its_front_is_recognised(site: Site, name: str) -> None:
    if fronts.missing(name):
        pytest.skip(fronts.missing(name))
    with site.behind(name):
        told = site.doctor("--build", site.spec, status=0)
    assert told["told"] == []
    assert {one["name"]: one["outcome"] for one in told["results"]} == dict.fromkeys(
        (one["name"] for one in told["results"]), "well"
    )
    assert {"where": "in front", "saw": name} in told["looked"][-1]["steps"]


def test_what_nginx_cuts_and_holds_back_is_told_with_its_own_lines(site: Site) -> None:
    text = site.changed(
        ("proxy_set_header Upgrade $http_upgrade;\n", "proxy_ignore_headers X-Accel-Buffering;\n"),
        ("proxy_set_header Connection $perijove_connection;\n", ""),
        ("proxy_buffering off;", "proxy_buffering on;"),
    )
    with site.behind(text=text):
        told = site.doctor("--build", site.spec, status=1)["told"]
    assert [(one["code"], one["confidence"]) for one in told] == [
        (STREAM_HELD_BACK.code, "certain"), (WEBSOCKET_CUT.code, "certain"),
    ]  # fmt: skip
    for one in told:
        assert "proxy_set_header Upgrade $http_upgrade;" in one["commands"][0]
        assert "proxy_buffering off;" in one["commands"][0]


def test_an_expired_certificate_and_its_hsts_header_are_one_cause(site: Site) -> None:
    site.shows(site.ca.leaf(HOST, valid_from=-90 * DAY, valid_until=-3 * DAY))
    hsts = 'add_header Strict-Transport-Security "max-age=15724800" always;\n    location / {\n        proxy_http'
    text = site.changed(("location / {\n        proxy_pass", f"{hsts}_version 1.1;\n        proxy_pass"))
    with site.behind(text=text.replace("proxy_http_version 1.1;\n        proxy_set", "proxy_set")):
        assert site.ill() == [(NOT_VALID_NOW.code, [HSTS_FORBIDS_EXCEPTION.code])]


def test_the_founding_story_from_outside_is_one_root_cause(site: Site) -> None:
    """Port 80 redirects all, port 443 leads to something else that shows a certificate of its own."""
    site.shows(Leaf(*self_signed(site.folder, "ingress.local")))
    text = site.changed(
        ("location ^~ /.well-known/acme-challenge/ {", "location ^~ /nothing/ {"),
        (
            "    location / {\n        proxy_pass",
            "    server_tokens off;\n    location / {\n        return 404;\n        proxy_pass",
        ),
    )
    with site.behind(text=text):
        told = site.doctor("--no-build", status=1)["told"]
    assert (ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code, [FAKE_CERTIFICATE.code]) in [tree(one) for one in told]
    root = next(one for one in told if one["explains"])
    assert root["confidence"] == "likely"
    assert "location ^~ /.well-known/acme-challenge/" in root["remedy"]
    assert "location ^~ /.well-known/acme-challenge/" in root["commands"][0]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        pytest.param(("other.example",), NAMES_MISSING.code, id="another name"),
        pytest.param((), CERTIFICATE_UNTRUSTED.code, id="signed by itself"),
    ],
)
def test_a_certificate_that_no_browser_takes_is_told_by_its_fault(
    site: Site, names: tuple[str, ...], code: str
) -> None:
    site.shows(site.ca.leaf(*names, called="other") if names else Leaf(*self_signed(site.folder, HOST)))
    with site.behind():
        assert site.ill() == [code]


def test_a_renewal_that_will_fail_is_foreseen(site: Site) -> None:
    """A third of its life is left, and the challenge's path ends in a circle."""
    site.shows(site.ca.leaf(HOST, valid_from=-65 * DAY, valid_until=25 * DAY))
    circle = f"{{ return 301 http://$host:{site.doors.http}$request_uri; }}\n    location ^~ /x/ {{"
    with site.behind():
        assert site.doctor("--no-build", status=0)["told"] == []
    with site.behind(text=site.changed(("acme-challenge/ {", f"acme-challenge/ {circle}"))):
        (root,) = site.doctor("--no-build", status=1)["told"]
    assert (root["code"], root["foreseen"]) == (ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code, True)


def test_a_redirect_in_a_circle_is_followed_once(site: Site) -> None:
    circle = "location = / { return 302 https://$http_host/; }\n    location / {\n        proxy_pass"
    text = site.changed(("location / {\n        proxy_pass", circle))
    with site.behind(text=text):
        assert site.ill() == [REDIRECT_ASTRAY.code]


def test_a_closed_port_80_is_told_as_what_will_break(site: Site) -> None:
    with site.behind():
        open_port, site.doors = site.doors, replace(site.doors, http=free_port())
        (root,) = site.doctor("--no-build", status=1)["told"]
        site.doors = open_port
    assert (root["code"], root["foreseen"]) == (PORT_REFUSED.code, True)


@pytest.mark.parametrize("name", SERVERS)
def test_a_binder_that_is_down_is_told_in_its_fronts_words(tmp_path: Path, world: tuple[Dns, str], name: str) -> None:
    if fronts.missing(name):
        pytest.skip(fronts.missing(name))
    site = site_of(tmp_path, world, f"127.0.0.1:{free_port()}")
    with site.behind(name):
        (root,) = site.doctor("--no-build", status=1)["told"]
    assert root["code"] == BINDER_UNREACHED.code
    assert name in root["cause"]
    assert "ADDRESS-OF-THE-BINDER:PORT" in root["commands"][0]


def test_another_site_is_no_binder(site: Site) -> None:
    text = site.changed(
        ("    location / {\n        proxy_pass", '    location / {\n        return 200 "hello";\n        proxy_pass')
    )
    with site.behind(text=text):
        assert NOT_A_BINDER.code in site.ill()


def test_a_binderhub_that_cannot_call_its_hub_is_told_once_and_by_its_certificate(
    tmp_path: Path, world: tuple[Dns, str]
) -> None:
    with ExitStack() as stack:
        site = site_of(tmp_path, world, stack.enter_context(running_binderhub(hub=False)))
        stack.enter_context(site.behind())
        (root,) = site.doctor(status=1)["told"]
        assert root["code"] == LAUNCHES_FAIL.code
        assert {"what that excludes"} <= {one["where"] for one in root["evidence"]}
        assert any("JupyterHub API" in one["saw"] for one in root["evidence"])
        assert any("Failed to create temporary user" in one["saw"] for one in root["evidence"])
    with ExitStack() as stack:
        site = site_of(tmp_path, world, stack.enter_context(running_binderhub(hub=False)))
        site.shows(site.ca.leaf(HOST, valid_from=-90 * DAY, valid_until=-3 * DAY))
        stack.enter_context(site.behind())
        assert site.ill("--build", "gh/a/b/HEAD") == [(NOT_VALID_NOW.code, [LAUNCHES_FAIL.code])]


def test_a_healthy_binderhub_has_no_finding(tmp_path: Path, world: tuple[Dns, str]) -> None:
    with running_binderhub(hub=True) as upstream:
        site = site_of(tmp_path, world, upstream)
        with site.behind():
            assert site.doctor(status=0)["told"] == []


def test_a_host_of_sessions_is_examined_like_the_first(tmp_path: Path, world: tuple[Dns, str]) -> None:
    """Its name leads nowhere; it shows another's certificate; then all is well."""
    name = "hub.uni.example"
    with running_binderhub(hub=True, sessions=name) as upstream:
        site = site_of(tmp_path, world, upstream)
        site.dns.clear(name)
        with site.behind():
            told = site.doctor(status=1)
            assert [(tree(one), one["subject"]) for one in told["told"]] == [(DNS_NO_SUCH_NAME.code, name)]
            assert "has no address" in {one["name"]: one["why_skipped"] for one in told["results"]}["site.websockets"]
            site.dns.set(name, "A", FRONT)
            told = site.doctor(status=1)
            url = f"https://{name}:{site.doors.https}/"
            assert [(tree(one), one["subject"]) for one in told["told"]] == [(NAMES_MISSING.code, url)]
        site.shows(site.ca.leaf(HOST, name))
        with site.behind():
            assert site.doctor(status=0)["told"] == []


def test_the_hub_that_is_named_explains_why_binderhub_cannot_call_it(tmp_path: Path, world: tuple[Dns, str]) -> None:
    hub, at = "hub.uni.example", "127.0.0.4"
    with running_binderhub(hub=False) as upstream:
        site = site_of(tmp_path, world, upstream)
        ended = PrivateCa(tmp_path / "other").leaf(hub, valid_from=-90 * DAY, valid_until=-3 * DAY)
        site.dns.set(hub, "A", at)
        folder = tmp_path / "hub"
        folder.mkdir()
        shows = f"listen {at}:{site.doors.https} ssl; ssl_certificate {ended.chain}; ssl_certificate_key {ended.key};"
        http = f"server {{ listen {at}:{site.doors.http}; return 404; }} server {{ {shows} return 404; }}"
        with site.behind(), running_nginx(folder, http):
            told = site.doctor("--hub", f"https://{hub}:{site.doors.https}", status=1)["told"]
    (root,) = [one for one in told if one["code"] == NOT_VALID_NOW.code]
    assert root["subject"].startswith(f"https://{hub}")
    assert LAUNCHES_FAIL.code in [one["code"] for one in root["explains"]]
    assert LAUNCHES_FAIL.code not in [one["code"] for one in told]


def test_a_name_that_does_not_exist_explains_everything_else(site: Site) -> None:
    site.dns.set(HOST, "A", FRONT)
    site.dns.misbehave(HOST, "nxdomain")
    try:
        told = site.doctor("--no-build", status=1)
        site.dns.misbehave(HOST, "silent")
        unseen = site.doctor("--no-build", status=2)
    finally:
        site.dns.misbehave(HOST, "")
    assert [tree(one) for one in told["told"]] == [DNS_NO_SUCH_NAME.code]
    assert {one["why_skipped"] for one in told["results"][1:]} == {"needs site.names", "needs site.binder"}
    assert unseen["outcome"] == "unseen"
