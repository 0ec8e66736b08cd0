"""`perijove up --behind`: a real nginx ends TLS, with the configuration printed for it and our certificate."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from perijove.domain.request_failures import RATE_LIMITED
from perijove.domain.state import State
from perijove.web.limits import FAILED
from tests.e2e.certified import ADDRESS, CertifiedWorld, certified_world
from tests.e2e.service import Service, executed, until
from tests.fakes.nginx import Nginx, missing, program
from tests.fakes.pebble import needs_pebble
from tests.fakes.ports import free_port

pytestmark = [
    pytest.mark.same_for_any_user,
    pytest.mark.e2e,
    needs_pebble,
    pytest.mark.skipif(bool(missing()), reason=missing() or "it is there"),
]
HELLO = str(Path(__file__).parents[3] / "examples" / "hello")
HOST, FRONT = "binder.uni.example", "127.0.0.2"
LINK = "/api/link?link=https%3A%2F%2Fgithub.com%2Fowner%2Frepo"
PATH = "/build/git/https%3A%2F%2F127.0.0.1%2Fx/HEAD"
"""A launch that is counted, and fails before anything is asked of anybody."""


@dataclass
class Behind:
    """A service, and the nginx in front of it."""

    world: CertifiedWorld
    nginx: Nginx
    service: Service
    own_http: int
    """Where the service itself listens for http."""

    @property
    def direct(self) -> CertifiedWorld:
        """As who goes past nginx sees it."""
        return replace(self.world, front=ADDRESS, http_port=self.own_http)

    @property
    def chain(self) -> Path:
        """What nginx shows."""
        return self.nginx.folder / "perijove.pem"

    @property
    def printed(self) -> str:
        """What `perijove up` printed for nginx, as it stands there."""
        told = [json.loads(line)["event"] for line in self.service.log.read_text().splitlines()]
        (lines,) = [one.splitlines()[1:] for one in told if one.startswith("For nginx in front:")]
        assert all(line.startswith("    ") for line in lines if line), lines
        return "\n".join(line.removeprefix("    ") for line in lines) + "\n"

    def pasted(self, *, tls: bool) -> str:
        """The same for nginx's test ports and folder; without what needs the certificate where `tls` is not set.

        That it comes to us from its own address is what another machine's nginx does by itself.
        """
        text, first = self.printed, self.printed.partition("# Once the certificate")[0]
        text = text if tls else first
        for ours, theirs in (
            ("    listen [::]:80;\n", ""),
            ("    listen [::]:443 ssl;\n", ""),
            ("listen 80;", f"listen {FRONT}:{self.world.http_port};"),
            ("listen 443 ssl;", f"listen {FRONT}:{self.world.https_port} ssl;"),
            ("https://$host$request_uri", f"https://$host:{self.world.https_port}$request_uri"),
            ("/etc/nginx/", f"{self.nginx.folder}/"),
        ):
            assert ours in self.printed
            text = text.replace(ours, theirs)
        return f"proxy_bind {FRONT};\n{text}"

    def write_hook(self) -> None:
        """The printed command for each new certificate, as the script that the settings name."""
        line = next(one for one in self.printed.splitlines() if "cert export" in one).removeprefix("# ")
        conf, log = self.nginx.folder / "nginx.conf", self.nginx.folder / "error.log"
        self.script.write_text(f"""#!/bin/sh
set -e
perijove() {{ {sys.executable} -m perijove "$@" --state {self.service.state.root}; }}
nginx() {{ {program()} -p {self.nginx.folder} -c {conf} -e {log} "$@"; }}
{line.replace("/etc/nginx/", f"{self.nginx.folder}/")}
: > {self.script}.done
""")
        self.script.chmod(0o700)

    @property
    def script(self) -> Path:
        return self.nginx.folder / "renewed"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, module_state: State) -> Iterator[Behind]:
    """As operators have it: the service is started, what it prints is pasted, the certificate comes."""
    folder = tmp_path_factory.mktemp("behind")
    http, https = free_port(), free_port()
    with certified_world(folder, http_port=http, tls_port=https) as world:
        told = {"CERTIFICATES_ON_RENEWED": str(folder / "renewed"), "LAUNCHING_RATE_LIMIT": "1"}
        service = world.service(module_state, HOST, **told)
        service.flags = ("--behind", FRONT)
        world.dns.set(HOST, "A", FRONT)
        visited = replace(world, http_port=http, https_port=https, front=FRONT)
        behind = Behind(visited, Nginx(folder), service, world.http_port)
        try:
            service.up()
            until(lambda: "For HAProxy in front:" in service.log.read_text())
            behind.write_hook()
            behind.nginx.start(behind.pasted(tls=False))
            until(behind.script.with_suffix(".done").exists, 30)
            behind.nginx.reload(behind.pasted(tls=True))
            until(lambda: service.cli("describe", "certificate", HOST).startswith("✓ Ready"))
            yield behind
        finally:
            if service.process is not None:
                service.stop()
            behind.nginx.stop()


def scheme(answer: httpx.Response) -> str:
    """How the service believes to be reached, by the links that it gives out."""
    link: str = answer.raise_for_status().json()["link"]
    return link.partition("://")[0]


def test_the_printed_configuration_brings_the_certificate_and_passes_all_on(behind: Behind) -> None:
    world = behind.world
    assert world.ask(HOST, "/health").status_code == 200
    led = world.ask(HOST, "/v2/gh/owner/repo/HEAD?urlpath=lab", https=False)
    expected = f"https://{HOST}:{world.https_port}/v2/gh/owner/repo/HEAD?urlpath=lab"
    assert (led.status_code, led.headers["Location"]) == (301, expected)
    assert stat.S_IMODE(behind.chain.with_suffix(".key").stat().st_mode) == 0o600
    assert f"Perijove is up at https://{HOST}/" in behind.service.log.read_text()


def test_links_are_https_where_the_front_says_so_and_nobody_else(behind: Behind) -> None:
    world = behind.world
    assert scheme(world.ask(HOST, LINK)) == "https"
    assert scheme(world.ask(HOST, LINK, headers={"X-Forwarded-Proto": "http"})) == "https"
    direct = behind.direct.ask(HOST, LINK, https=False, headers={"X-Forwarded-Proto": "https"}, source="127.0.0.7")
    assert scheme(direct) == "http"


async def test_a_kernel_s_websocket_passes_and_outlives_the_renewal_in_front(behind: Behind) -> None:
    world = behind.world
    session = world.secured(behind.service, HELLO)
    before = world.has(HOST).serial_number
    async with asyncio.timeout(60), session.channel() as channel:
        assert await executed(channel, "state = 41; state") == "41"
        await asyncio.to_thread(behind.service.cli, "cert", "renew", HOST)
        after = x509.load_pem_x509_certificate(behind.chain.read_bytes()).serial_number
        assert after != before
        await asyncio.to_thread(until, lambda: world.has(HOST).serial_number == after)
        assert await executed(channel, "state + 1") == "42"


def test_launches_are_counted_by_the_visitor_s_address_and_a_forged_one_is_not_believed(behind: Behind) -> None:
    stream = {"Accept": "text/event-stream"}
    world, forged = behind.world, stream | {"X-Forwarded-For": "198.51.100.9"}
    for _ in range(FAILED):  # its limit is one launch, and of what fails so many
        assert not refused(world.ask(HOST, PATH, source="127.0.0.5", headers=stream))
    assert "127.0.0.5" in refused(world.ask(HOST, PATH, source="127.0.0.5", headers=stream))
    assert "127.0.0.5" in refused(world.ask(HOST, PATH, source="127.0.0.5", headers=forged))
    assert not refused(world.ask(HOST, PATH, source="127.0.0.6", headers=stream))

    direct = behind.direct
    for _ in range(FAILED):
        assert not refused(direct.ask(HOST, PATH, https=False, source="127.0.0.7", headers=forged))
    other = stream | {"X-Forwarded-For": "198.51.100.10"}
    assert "127.0.0.7" in refused(direct.ask(HOST, PATH, https=False, source="127.0.0.7", headers=other))


def refused(answer: httpx.Response) -> str:
    """What is said where the rate limit is reached; `` where it is not."""
    return answer.text if RATE_LIMITED.code in answer.text else ""
