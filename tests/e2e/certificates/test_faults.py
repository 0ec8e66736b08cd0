"""Each fault between a CA and the challenge, made for real, is named with its place and its remedy, and at once.

One nginx plays all web servers in front, one name server answers for all names; a look and its judgement are timed.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from perijove.backends.dns01.authoritative import Authoritative
from perijove.backends.sight.eyes import Eyes
from perijove.certifying.verdict import Verdict, judge
from perijove.domain.certificates import SOLVER_HEADER, ChallengeType, Confidence, Sighting
from perijove.domain.settings import CertificatesSettings, Settings
from tests.fakes.dns import Dns, running_dns
from tests.fakes.nginx import missing, quiet_port, running_nginx, self_signed

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

FRONT, CLOSED_443, FILTERED, TLS_80, STRANGER, EMPTY = (f"127.0.0.{last}" for last in (2, 3, 5, 6, 9, 11))
OURS = ("127.0.0.1", FRONT, CLOSED_443, FILTERED, TLS_80, EMPTY, "::1")
MARKER = "this-perijove"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
EXPECTED = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
OTHER_KEY = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"
CA = "letsencrypt.org"
QUICK, SLOW = 1.0, 3.5
"""Seconds for a look and its judgement on a loaded machine; without load 0.1 and 3."""
HTTP, TLS_ALPN, BY_DNS = ChallengeType.HTTP, ChallengeType.TLS_ALPN, ChallengeType.DNS


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

    def judged(self, seen: Sighting, *allowed: ChallengeType, account: str = "", clock_ahead: float = 0) -> Verdict:
        return judge(
            seen,
            marker=MARKER,
            caa_identities=(CA,),
            account_url=account,
            clock_ahead=clock_ahead,
            allowed=allowed or (HTTP,),
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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("nginx")
    http, https = quiet_port(), quiet_port()
    with ExitStack() as stack:
        solver, dns = stack.enter_context(_solver()), stack.enter_context(running_dns())
        stack.enter_context(_swallowing(FILTERED, http))
        stack.enter_context(running_nginx(folder, _configuration(http, https, solver, folder)))
        yield World(dns, http, https, solver, folder)


def eyes_by(settings: Callable[[], Settings]) -> Eyes:
    return Eyes(settings, Authoritative(lambda: settings().certificates.resolvers))


@pytest.fixture
async def eyes(world: World) -> Eyes:
    return eyes_by(lambda: world.settings)


@dataclass(frozen=True)
class Fault:
    """A row of the table: the name that has it, its code, and words of its cause, evidence and remedy."""

    name: str
    code: str
    cause: tuple[str, ...]
    evidence: str
    remedy: str
    a: str = FRONT
    """The A record; `` for none."""
    how: str = ""
    """How the name server misbehaves."""
    within: float = QUICK


NGINX = "location ^~ /.well-known/acme-challenge/ { proxy_pass http://"
REACHED = f"X-Perijove-Solver: {MARKER}"
FAULTS = {
    "1 port 80 refused": Fault(
        "refused.example",
        "cert.port-refused",
        (f"{EMPTY}:", "refuses connections"),
        "refused",
        "lead to Perijove",
        EMPTY,
    ),
    "2 port 80 filtered": Fault(
        "filtered.example",
        "cert.port-filtered",
        (f"{FILTERED}:", "does not answer attempts to connect"),
        "timeout",
        "Open port 80",
        FILTERED,
        within=SLOW,
    ),
    "3 not found": Fault(
        "missing.example",
        "cert.not-forwarded",
        ("nginx/", FRONT, "answers 404"),
        "404, Server: nginx",
        NGINX,
    ),
    "4a redirected to https, not forwarded": Fault(
        "story.example",
        "cert.redirect-not-forwarded",
        (
            "nginx/",
            "redirects to https://story.example/.well-known/acme-challenge/… (301)",
            "answers 404",
            "self-signed (ingress.local)",
            "browsers that saw its HSTS header cannot pass",
        ),
        "301, Server: nginx",
        "`return` or `rewrite` beside it has to move into `location / { … }`",
    ),
    "4c redirected to https, closed": Fault(
        "closed.example",
        "cert.redirect-refused",
        ("redirects to https://closed.example", f"{CLOSED_443}:", "refuses"),
        "refused",
        NGINX,
        CLOSED_443,
    ),
    "4d redirected in a circle": Fault(
        "circle.example",
        "cert.redirect-loop",
        ("redirects to http://circle.example", "where it was asked before"),
        "Location: http://circle.example",
        NGINX,
    ),
    "5a redirected to a name that is not there": Fault(
        "gone.example",
        "cert.redirect-unresolved",
        ("redirects to http://www.nowhere.example", "no-such-name"),
        "unresolved",
        NGINX,
    ),
    "5a redirected without a slash": Fault(
        "slash.example",
        "cert.redirect-unresolved",
        ("a slash is missing after the host",),
        "unresolved",
        NGINX,
    ),
    "5b redirected to another site": Fault(
        "moved.example",
        "cert.redirect-elsewhere",
        ("redirects to http://www.moved.example", "answers 404"),
        "404",
        NGINX,
    ),
    "5b redirected to a bare address": Fault(
        "bare.example",
        "cert.redirect-elsewhere",
        ("CAs follow to names, and 127.0.0.2 is an address",),
        "301",
        NGINX,
    ),
    "5c redirected to another port": Fault(
        "port.example",
        "cert.redirect-bad-port",
        ("redirects to https://port.example:8443", "CAs follow to ports"),
        "Location: https://port.example:8443",
        NGINX,
    ),
    "6 a login page": Fault(
        "login.example",
        "cert.login-page",
        ("nginx/", "answers 200 with a page called “Sign in”"),
        "Sign in",
        NGINX,
    ),
    "6 a redirect to a login": Fault(
        "sso.example",
        "cert.login-redirect",
        ("redirects to the login https://sso.example/users/sign_in", "(302)"),
        "302, Server: nginx",
        NGINX,
    ),
    "6 a password": Fault(
        "password.example",
        "cert.password-asked",
        ("answers 401", 'Basic realm="campus"'),
        "WWW-Authenticate",
        "{ auth_basic off; proxy_pass",
    ),
    "7 no such name": Fault(
        "typo.example",
        "cert.dns-no-such-name",
        ("says that typo.example does not exist",),
        "no-such-name",
        "Create",
        "",
        "nxdomain",
    ),
    "7b no record": Fault(
        "empty.example",
        "cert.dns-no-address",
        ("neither an A nor an AAAA record",),
        "no-record",
        "Add an A",
        "",
        "empty",
    ),
    "7b a server that fails": Fault(
        "broken.example",
        "cert.dns-server-failure",
        ("cannot say which AAAA and A records broken.example has",),
        "SERVFAIL",
        "DNSSEC",
        "",
        "servfail",
    ),
    "7b a server that is silent": Fault(
        "silent.example",
        "cert.dns-no-answer",
        ("nothing came back from 127.0.0.1:",),
        "timed out",
        "/etc/resolv.conf",
        "",
        "silent",
        SLOW,
    ),
    "8 another machine's address": Fault(
        "wrong.example",
        "cert.dns-wrong-address",
        (f"leads to {STRANGER}", "127.0.0.1", "nginx/", "answers 404"),
        STRANGER,
        "Change the A record of wrong.example",
        STRANGER,
    ),
    "11 another account's answer": Fault(
        "old.example",
        "cert.other-account",
        ("this token with the key of another ACME account", OTHER_KEY[:12]),
        OTHER_KEY,
        "Remove what answers there",
    ),
    "18 another site": Fault(
        "wiki.example",
        "cert.other-site",
        ("answers 200 with a page called “Campus Wiki”",),
        "Campus Wiki",
        NGINX,
    ),
    "18b nothing behind it": Fault(
        "down.example",
        "cert.upstream-down",
        ("nginx/", "answers 502"),
        "502",
        "`proxy_pass http://127.0.0.1:",
    ),
    "18b TLS on port 80": Fault(
        "tls.example",
        "cert.tls-on-port-80",
        ("nginx/", "answers 400", "expects TLS"),
        "400",
        "Take `ssl` out",
        TLS_80,
    ),
    "a status nobody foresaw": Fault(
        "odd.example",
        "cert.unexpected-answer",
        ("answers 418: “short and stout”",),
        "418",
        NGINX,
    ),
    "a redirect that CAs do not follow": Fault(
        "see-other.example",
        "cert.unexpected-answer",
        ("(303)", "CAs follow 301, 302, 307 and 308 alone"),
        "303",
        NGINX,
    ),
    "our solver, asked for something else": Fault(
        "lost.example",
        "cert.unexpected-answer",
        ("Perijove was reached", "answers 404"),
        REACHED,
        "path and Host header on unchanged",
    ),
}


@pytest.mark.parametrize("which", FAULTS)
async def test_a_fault_is_named_with_its_place_and_remedy(
    which: str, world: World, eyes: Eyes, record_property: Callable[[str, object], None]
) -> None:
    fault = FAULTS[which]
    world.dns.set("www.moved.example", "A", FRONT)
    if fault.a:
        world.dns.set(fault.name, "A", fault.a)
    if fault.how:
        world.dns.misbehave(fault.name, fault.how)
    began = time.monotonic()
    seen = await eyes.look(fault.name, TOKEN, EXPECTED, tls=False)
    verdict = world.judged(await eyes.past_caches(seen, TOKEN, tls=False))
    seconds = time.monotonic() - began
    record_property("seconds", round(seconds, 4))
    print(f"{which}: {seconds * 1000:.0f} ms")
    failure = verdict.failure
    assert failure is not None
    print(failure.message)
    assert failure.kind.code == fault.code, failure.message
    assert not [words for words in fault.cause if words not in failure.cause], failure.cause
    assert [one for one in failure.evidence if fault.evidence in f"{one.where}: {one.saw}"], failure.evidence
    assert fault.remedy in failure.remedy
    assert verdict.open == ()
    assert seconds < fault.within


async def test_a_name_that_leads_here_is_open(world: World, eyes: Eyes) -> None:
    world.dns.set("well.example", "A", FRONT)
    seen = await eyes.look("well.example", TOKEN, EXPECTED, tls=False)
    assert world.judged(seen) == Verdict(None, Confidence.CERTAIN, (HTTP,), ())
    assert seen.addresses[0].hops[0].marker == MARKER
    assert seen.seconds < QUICK


async def test_a_redirect_that_reaches_us_is_open_whatever_its_certificate(world: World, eyes: Eyes) -> None:
    world.dns.set("forwards.example", "A", FRONT)
    seen = await eyes.look("forwards.example", TOKEN, EXPECTED, tls=False)
    verdict = world.judged(seen)
    assert (verdict.failure, verdict.open) == (None, (HTTP,))
    assert [note.saw for note in verdict.notes] == [
        "reached through 1 redirect(s), the certificate there is self-signed (ingress.local); CAs do not mind"
    ]


async def test_a_broken_ipv6_address_is_named_though_ipv4_leads_here(world: World, eyes: Eyes) -> None:
    world.dns.set("six.example", "A", FRONT)
    world.dns.set("well.example", "A", FRONT)
    world.dns.set("well.example", "AAAA", "::1")
    try:
        seen = await eyes.look("well.example", TOKEN, EXPECTED, tls=False)
    finally:
        world.dns.clear("well.example")
    failure = world.judged(seen).failure
    assert failure is not None
    assert failure.kind.code == "cert.ipv6-broken"
    assert "DNS has ::1, but [::1]:" in failure.cause
    assert failure.cause.endswith(f"by IPv4 ({FRONT}) Perijove answers")
    assert "Remove the AAAA record" in failure.remedy
    assert seen.seconds < QUICK


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ('0 issue "ca.example"', 'at example: `0 issue "ca.example"` lets others issue, and not letsencrypt.org'),
        ('0 issue ";"', "lets nobody issue"),
        ('128 tbs "x"', "is critical, and CAs do not know the tag tbs"),
        ('0 issue "letsencrypt.org; validationmethods=dns-01"', "does not allow http-01"),
        ('0 issue "letsencrypt.org; accounturi=https://ca/acct/1"', "is for another account than https://ca/acct/2"),
    ],
)
async def test_a_caa_record_that_forbids_is_named_wherever_on_the_way_up_it_stands(
    record: str, cause: str, world: World, eyes: Eyes
) -> None:
    world.dns.set("well.example", "A", FRONT)
    world.dns.set("example", "CAA", record)
    try:
        seen = await eyes.look("well.example", TOKEN, EXPECTED, tls=False)
        wild = await eyes.look("*.well.example", TOKEN, EXPECTED, tls=False)
    finally:
        world.dns.clear("example")
    failure = world.judged(seen, account="https://ca/acct/2").failure
    assert failure is not None
    assert failure.kind.code == "cert.caa-forbids"
    assert cause in failure.cause
    assert [one.saw for one in failure.evidence] == [record]
    assert 'example. CAA 0 issue "letsencrypt.org"' in failure.remedy
    assert (wild.addresses, {one.record for one in wild.dns}) == ((), {"CAA"})
    by_dns = world.judged(wild, BY_DNS, account="https://ca/acct/2").failure
    assert (by_dns is None) == ("dns-01" in record)


async def test_a_clock_that_is_wrong_is_named_before_anything_else(world: World, eyes: Eyes) -> None:
    world.dns.set("well.example", "A", FRONT)
    seen = await eyes.look("well.example", TOKEN, EXPECTED, tls=False)
    failure = world.judged(seen, clock_ahead=12 * 365 * 86400).failure
    assert failure is not None
    assert failure.kind.code == "cert.clock-wrong"
    assert failure.cause == "this machine's clock is 4380 days behind the CA's"


async def test_the_way_through_an_alias_is_seen(world: World, eyes: Eyes) -> None:
    world.dns.set("alias.example", "CNAME", "well.example")
    world.dns.set("well.example", "A", FRONT)
    seen = await eyes.look("alias.example", TOKEN, EXPECTED, tls=False)
    assert ("alias.example", "CNAME", ("well.example",)) in [(one.name, one.record, one.values) for one in seen.dns]
    assert [one.address for one in seen.addresses] == [FRONT]


async def test_an_address_needs_no_dns(world: World, eyes: Eyes) -> None:
    asked = len(world.dns.asked)
    seen = await eyes.look(FRONT, TOKEN, EXPECTED, tls=False)
    assert (seen.dns, len(world.dns.asked)) == ((), asked)
    failure = world.judged(seen).failure
    assert failure is not None
    assert failure.kind.code == "cert.not-forwarded"


async def test_where_port_80_is_closed_an_answer_on_443_is_enough(world: World) -> None:
    world.dns.set("alpn.example", "A", EMPTY)
    with _challenge_answered(world.folder, "alpn.example") as port:
        certificates = replace(world.settings.certificates, tls_port=port)
        eyes = eyes_by(lambda: Settings(certificates=certificates))
        seen = await eyes.look("alpn.example", TOKEN, EXPECTED, tls=True)
        other = await eyes.look("alpn.example", TOKEN, EXPECTED + "x", tls=True)
    verdict = world.judged(seen, HTTP, TLS_ALPN)
    assert (verdict.failure, verdict.open) == (None, (TLS_ALPN,))
    failure = world.judged(other, HTTP, TLS_ALPN).failure
    assert failure is not None
    assert failure.kind.code == "cert.port-refused"
    assert "another certificate: self-signed (alpn.example)" in [one.saw for one in failure.evidence]
    alone = world.judged(other, TLS_ALPN).failure
    assert alone is not None
    assert alone.kind.code == "cert.no-challenge"


async def test_what_a_port_shows_is_told_and_judged_by_the_visitors_roots(world: World, eyes: Eyes) -> None:
    shown = await eyes.handshake(f"{FRONT}:{world.https}", "ingress.local")
    assert (shown.subject, shown.names, shown.self_signed, shown.trusted) == (
        "ingress.local", ("ingress.local",), True, False,
    )  # fmt: skip
    roots = replace(world.settings.certificates, public_roots=str(world.folder / "ingress.local.pem"))
    trusting = eyes_by(lambda: Settings(certificates=roots))
    assert (await trusting.handshake(f"{FRONT}:{world.https}", "ingress.local")).trusted
    assert not (await trusting.handshake(f"{FRONT}:{world.https}", "other.example")).trusted
    with pytest.raises(ConnectionError, match="Connect call failed"):
        await eyes.handshake(f"{EMPTY}:{world.https}", "ingress.local")
    with pytest.raises(ConnectionError, match="no TLS handshake"):
        await eyes.handshake(f"{FRONT}:{world.http}", "ingress.local")


@contextmanager
def _challenge_answered(folder: Path, name: str) -> Iterator[int]:
    """A TLS server that answers TLS-ALPN-01 for `EXPECTED` as RFC 8737 says."""
    digest = b"\x04\x20" + sha256(EXPECTED.encode()).digest()
    identifier = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.5.5.7.1.31"), digest)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(folder, name, identifier))
    context.set_alpn_protocols(["acme-tls/1"])
    with socket.socket() as listening:
        listening.bind((EMPTY, 0))
        listening.listen()
        thread = threading.Thread(target=_shake, args=(listening, context), name="TLS-ALPN", daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _shake(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands with whoever comes, until the socket is shut."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(5)
            try:
                with context.wrap_socket(connection, server_side=True) as shaken:
                    shaken.recv(1)
            except OSError:  # the other side has seen enough
                continue
