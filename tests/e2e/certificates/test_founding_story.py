"""A university's Binder whose certificate hangs: port 80 redirects, port 443 is passed through."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from perijove.backends.nginx.asking import ask
from perijove.cli.client import Client
from perijove.domain.certificate_failures import REDIRECT_NOT_FORWARDED
from perijove.domain.front_failures import ACME_HTTP01_BLOCKED_BY_FRONT_PROXY
from perijove.domain.state import State
from tests.e2e.certified import CertifiedWorld, certified_world
from tests.e2e.service import Service, until
from tests.fakes.nginx import Nginx, missing, running_nginx, self_signed
from tests.fakes.pebble import needs_pebble
from tests.fakes.ports import free_port

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.same_for_any_user,
    needs_pebble,
    pytest.mark.skipif(bool(missing(stream=True)), reason=missing(stream=True) or "nginx is there"),
]
FRONT, INGRESS = "127.0.0.2", "127.0.0.3"
HOST = "binder.uni.example"


@dataclass
class Story:
    """Who stands in front of whom."""

    world: CertifiedWorld
    nginx: Nginx
    http: int
    """The front's port 80."""
    https: int
    """The front's port 443."""
    ingress: str
    """Blocks of what port 443 led to."""

    def blocks(self, on_80: str, behind_443: str) -> dict[str, str]:
        """The front's configuration: one server on port 80, and everything on port 443 passed through."""
        server = f"server {{ listen {FRONT}:{self.http}; server_name {HOST}; {on_80} }}"
        stream = f"server {{ listen {FRONT}:{self.https}; proxy_pass {behind_443}; }}"
        return {"http": self.ingress + server, "stream": stream}

    @property
    def redirect(self) -> str:
        return f"return 301 https://$host:{self.https}$request_uri;"

    @property
    def inner(self) -> str:
        """Where the ingress listens."""
        return self.ingress.partition("listen ")[2].partition(" ")[0]

    def doctor(self, *words: str) -> tuple[int, str]:
        """What the doctor says of this nginx."""
        command = [sys.executable, "-m", "perijove", "doctor", "nginx", str(self.nginx.folder / "nginx.conf")]
        command += ["--host", HOST, "--to", self.ours, "--prefix", str(self.nginx.folder), *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return ran.returncode, ran.stdout + ran.stderr

    @property
    def ours(self) -> str:
        return f"127.0.0.1:{self.world.http_port}"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    http, https, inner = free_port(), free_port(), free_port()
    chain, key = self_signed(folder, "ingress.local")
    ingress = f"""server {{
        listen {INGRESS}:{inner} ssl; ssl_certificate {chain}; ssl_certificate_key {key};
        add_header Strict-Transport-Security "max-age=15724800" always; return 404;
    }}"""
    with (
        certified_world(folder, http_port=http, tls_port=https) as world,
        running_nginx(folder, f"server {{ listen {FRONT}:{http}; }}") as nginx,
    ):
        yield Story(world, nginx, http, https, ingress.replace("\n", " "))


@pytest.fixture
def service(story: Story, empty_state: State) -> Iterator[Service]:
    made = story.world.service(empty_state, HOST)
    story.world.dns.set(HOST, "A", FRONT)
    try:
        yield made
    finally:
        if made.process is not None:
            made.stop()


def certificate(service: Service) -> dict[str, dict[str, object]]:
    told: dict[str, dict[str, object]] = json.loads(service.cli("get", "certificate", HOST, "-o", "json"))
    return told


def test_the_redirect_is_named_within_a_second_and_its_end_brings_the_certificate(
    story: Story, service: Service
) -> None:
    """The old ingress still stands behind port 443, as it did."""
    story.nginx.reload(**story.blocks(story.redirect, story.inner))
    service.settings["CERTIFICATES_CHALLENGES"] = "http-01"
    service.up()
    failure = until(lambda: certificate(service)["status"]["failure"])
    assert failure["kind"] == REDIRECT_NOT_FORWARDED.code
    begun, looked = (event for event in told(service) if event["event"]["is"] in ("OrderBegun", "Looked"))
    assert looked["at"] - begun["at"] < 1

    verdict = service.cli("describe", "certificate", HOST).splitlines()[0]
    for word in ("301", "nginx", "ingress.local", "/.well-known/acme-challenge/"):
        assert word in verdict, verdict

    page = story.world.ask(HOST, "/", https=False)
    assert page.status_code == 503
    assert REDIRECT_NOT_FORWARDED.code in page.text
    assert "Strict-Transport-Security" not in page.headers

    pass_on = f"location ^~ /.well-known/acme-challenge/ {{ proxy_pass http://{story.ours}; }}"
    story.nginx.reload(**story.blocks(f"{pass_on} location / {{ {story.redirect} }}", story.inner))
    mended = time.monotonic()
    try:
        story.world.has(HOST)
    except TimeoutError as error:
        raise AssertionError(service.cli("describe", "certificate", HOST)) from error
    assert time.monotonic() - mended < 5
    assert service.cli("describe", "certificate", HOST).startswith("✓ Ready")


def test_the_doctor_names_the_line_mends_it_and_the_certificate_comes(story: Story, service: Service) -> None:
    """The CA looks through nginx; the ingress stands behind port 443, and goes on standing there."""
    story.nginx.reload(**story.blocks(story.redirect, story.inner))
    service.settings["CERTIFICATES_CHALLENGES"] = "http-01"
    service.up()
    assert until(lambda: certificate(service)["status"]["failure"])["kind"] == REDIRECT_NOT_FORWARDED.code
    assert story.world.shown(HOST) is None
    people = ask(f"http://{HOST}:{story.http}/v2/gh/a/b/HEAD?urlpath=lab", FRONT)
    assert (people.status, people.location) == (301, f"https://{HOST}:{story.https}/v2/gh/a/b/HEAD?urlpath=lab")

    main = story.nginx.folder / "nginx.conf"
    line = 1 + main.read_text()[: main.read_text().index("return 301")].count("\n")
    status, said = story.doctor("--json")
    (root,) = json.loads(said)["told"]
    assert (status, root["code"]) == (1, ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code)
    assert root["subject"] == f"{main}:{line}"

    status, said = story.doctor("--fix", "--yes")
    assert status == 0, said
    shown = story.world.has(HOST)
    assert shown.issuer.rfc4514_string().startswith("CN=Pebble Intermediate CA")
    assert ask(people.url, FRONT) == people
    status, said = story.doctor("--json")
    assert (status, json.loads(said)["told"]) == (0, [])


def told(service: Service) -> list[dict[str, Any]]:
    """The first attempt's events so far."""
    return list(Client(service.state).events(f"/orders/{HOST}-1/events", follow=False))


def test_port_443_alone_is_enough(story: Story, service: Service) -> None:
    """The same nginx, with Perijove behind port 443: the redirect is nobody's problem any more."""
    story.nginx.reload(**story.blocks(story.redirect, f"127.0.0.1:{story.world.https_port}"))
    service.up()
    story.world.has(HOST)
    orders = service.cli("get", "challenges")
    assert "tls-alpn-01" in orders
