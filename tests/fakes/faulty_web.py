"""A web between CAs and us in which everything goes wrong: one nginx plays all servers in front, one name server
answers for all names, and each name has a fault of its own.

    with faulty_web(folder) as world:
        seen = await world.probe().look("missing.example", TOKEN, EXPECTED, tls=False)
        world.judged(seen).failure
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from perijove.backends.dns01.authoritative import Authoritative
from perijove.backends.probes.host_probe import HostProbe
from perijove.certifying.verdict import Verdict, judge
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import SOLVER_HEADER, ChallengeType, Observation
from perijove.domain.settings import Settings
from tests.fakes.dns import Dns, running_dns
from tests.fakes.nginx import running_nginx, self_signed
from tests.fakes.ports import free_port

FRONT, CLOSED_443, FILTERED, TLS_80, STRANGER, EMPTY = (f"127.0.0.{last}" for last in (2, 3, 5, 6, 9, 11))
OURS = ("127.0.0.1", FRONT, CLOSED_443, FILTERED, TLS_80, EMPTY, "::1")
MARKER = "this-perijove"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
EXPECTED = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
OTHER_KEY = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"
CA = "letsencrypt.org"


@dataclass(frozen=True)
class World:
    """All that runs while the faults are looked at."""

    dns: Dns
    http: int
    https: int
    solver: str
    folder: Path

    @property
    def settings(self) -> Settings:
        return Settings(
            certificates=CertificatesSettings(
                resolvers=(self.dns.server,), public_addresses=OURS, http_port=self.http, tls_port=self.https
            )
        )

    def probe(self, settings: Settings | None = None) -> HostProbe:
        """Looks at it; with other settings than its own where they are given."""
        own = settings or self.settings
        return HostProbe(lambda: own, Authoritative(lambda: own.certificates.resolvers))

    def judged(self, seen: Observation, *allowed: ChallengeType, account: str = "", clock_ahead: float = 0) -> Verdict:
        return judge(
            seen,
            marker=MARKER,
            caa_identities=(CA,),
            account_url=account,
            clock_ahead=clock_ahead,
            allowed=allowed or (ChallengeType.HTTP,),
            reach_us=self.solver,
        )


class _Solver(BaseHTTPRequestHandler):
    """Perijove's own answer to the challenge, and to nothing else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        right = self.path == f"/.well-known/acme-challenge/{TOKEN}"
        body = EXPECTED.encode() if right else b"not known"
        self.send_response(200 if right else 404)
        self.send_header(SOLVER_HEADER, MARKER)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def _solver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Solver)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="our solver", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def _swallowing(address: str, port: int) -> Iterator[None]:
    """A port whose queue is full: the kernel drops every further attempt to connect, as a firewall would."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        yield


def _configuration(http: int, https: int, solver: str, folder: Path) -> str:
    """A server block a fault, told apart by name, as on a machine with many sites."""
    chain, key = self_signed(folder, "ingress.local")
    (folder / "passwords").write_text("ada:{PLAIN}open\n")
    tls = f"ssl_certificate {chain}; ssl_certificate_key {key};"
    hsts = 'add_header Strict-Transport-Security "max-age=31536000" always;'
    on_80, on_443 = f"listen {FRONT}:{http};", f"listen {FRONT}:{https} ssl; {tls}"
    to_https = "return 301 https://$server_name$request_uri;"
    us = f"proxy_pass http://{solver};"
    login = "<!DOCTYPE html><html><head><title>Sign in</title></head><form><input type=password></form></html>"
    app = "<!doctype html><html><head><title>Campus Wiki</title></head><div id=app></div></html>"
    path = "location ~ ^/.well-known/acme-challenge/(?<token>.+)$"
    blocks = {
        "_": f"{on_80} return 404;",
        "well.example": f"{on_80} location ^~ /.well-known/acme-challenge/ {{ {us} }} location / {{ return 404; }}",
        "missing.example": f"{on_80} location / {{ return 404; }}",
        "story.example": f"{on_80} {to_https}",
        "forwards.example": f"{on_80} {to_https}",
        "circle.example": f"{on_80} {to_https}",
        "gone.example": f"{on_80} return 302 http://www.nowhere.example$request_uri;",
        "slash.example": f"{on_80} return 301 http://slash.example.well-known/acme-challenge/x;",
        "moved.example": f"{on_80} return 301 http://www.moved.example:{http}$request_uri;",
        "port.example": f"{on_80} return 301 https://$server_name:8443$request_uri;",
        "bare.example": f"{on_80} return 301 http://{FRONT}:{http}/;",
        "see-other.example": f"{on_80} return 303 https://$server_name$request_uri;",
        "login.example": f"{on_80} default_type text/html; return 200 '{login}';",
        "sso.example": f"{on_80} return 302 https://$server_name/users/sign_in?next=$request_uri;",
        "password.example": f'{on_80} auth_basic "campus"; auth_basic_user_file {folder}/passwords; root {folder};',
        "wiki.example": f"{on_80} default_type text/html; return 200 '{app}';",
        "down.example": f"{on_80} location / {{ proxy_pass http://{EMPTY}:{http}; }}",
        "old.example": f"{on_80} {path} {{ default_type text/plain; return 200 '$token.{OTHER_KEY}'; }}",
        "odd.example": f"{on_80} default_type text/plain; return 418 'short and stout';",
        "lost.example": f"{on_80} rewrite ^ /elsewhere break; location / {{ {us} }}",
    }
    secure = {
        "_": f"{on_443} {hsts} return 404;",
        "forwards.example": f"{on_443} {hsts} location / {{ {us} }}",
        "circle.example": f"{on_443} return 301 http://$server_name:{http}$request_uri;",
    }
    others = [
        f"server {{ listen {CLOSED_443}:{http}; server_name closed.example; {to_https} }}",
        f"server {{ listen {STRANGER}:{http}; server_name _; return 404; }}",
        f"server {{ listen {TLS_80}:{http} ssl; {tls} return 404; }}",
    ]
    servers = [f"server {{ server_name {name}; {body} }}" for block in (blocks, secure) for name, body in block.items()]
    return "\n".join([*servers, *others])


@contextmanager
def faulty_web(folder: Path) -> Iterator[World]:
    """All of it, running; nginx's files in `folder`."""
    http, https = free_port(), free_port()
    with ExitStack() as stack:
        solver, dns = stack.enter_context(_solver()), stack.enter_context(running_dns())
        stack.enter_context(_swallowing(FILTERED, http))
        stack.enter_context(running_nginx(folder, _configuration(http, https, solver, folder)))
        yield World(dns, http, https, solver, folder)
