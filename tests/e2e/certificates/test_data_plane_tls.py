"""Https in the data plane as it is: a real Caddy, certificates by a CA of the test's own, handshakes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect

from perijove.backends.caddy.alpn import TlsAlpnSolver
from perijove.domain.certificates import ChallengeAnswer, ChallengeType
from perijove.domain.failures import BAD_SETTINGS, PORT_TAKEN, STATE_UNUSABLE, Fail
from perijove.domain.state import State
from tests.fakes.http3 import asked as asked_by_http3
from tests.fakes.ports import free_port, listening
from tests.fakes.tls_front import LIMIT, TlsFront, tls_front
from tests.fakes.upstream import bound, echo, served, upstream

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
HSTS = "strict-transport-security"


@pytest.fixture
async def front(state: State) -> AsyncIterator[TlsFront]:
    async with tls_front(state) as front:
        yield front


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_each_name_is_shown_its_own_certificate(front: TlsFront) -> None:
    hosts = ("one.test", "two.test", "*.wild.test", "exact.wild.test")
    certificates = {host: front.certificate(host) for host in hosts}
    both = front.certificate("both.test", "both.test", "one.test")
    await front.ensure(certificates=(*certificates.values(), both))
    asked = {"one.test": "one.test", "two.test": "two.test", "any.wild.test": "*.wild.test"}
    for name, host in {**asked, "exact.wild.test": "exact.wild.test"}.items():
        assert await front.shows(name, certificates[host])
    assert await front.shows("both.test", both)


async def test_one_file_may_serve_two_names(front: TlsFront) -> None:
    one = front.certificate("one.test", "one.test", "two.test")
    await front.ensure(certificates=(one, replace(one, host="two.test")))
    for name in ("one.test", "two.test"):
        assert await front.shows(name, one)


async def test_handshakes_for_other_names_are_refused(front: TlsFront) -> None:
    await front.ensure(certificates=(front.certificate("one.test"),), alpn_hosts=("one.test", "waiting.test"))
    for name in ("other.test", "sub.one.test", "waiting.test", "127.0.0.1"):
        assert await front.refuses(name)
    assert not await front.refuses("one.test")


async def test_without_any_certificate_https_speaks_tls_and_refuses(front: TlsFront) -> None:
    await front.ensure()
    assert await front.refuses("one.test")
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        answer = await client.get(f"http://127.0.0.1:{front.port}/")
    assert answer.status_code == 400


async def test_an_address_and_localhost_are_shown_to_those_who_send_no_name(front: TlsFront) -> None:
    address = front.certificate("127.0.0.1")
    await front.ensure(certificates=(front.certificate("one.test"), address))
    assert await front.shows("127.0.0.1", address)
    elsewhere = front.certificate("203.0.113.7", "203.0.113.7", "127.0.0.1")
    await front.ensure(certificates=(front.certificate("one.test"), elsewhere))
    assert await front.shows("127.0.0.1", elsewhere)
    local = front.certificate("localhost", "localhost", "127.0.0.1")
    await front.ensure(certificates=(local,))
    for name in ("localhost", "127.0.0.1"):
        assert await front.shows(name, local)


async def test_old_versions_of_tls_are_refused(front: TlsFront) -> None:
    await front.ensure(certificates=(front.certificate("one.test"),))
    old = front.trusting()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version|unsupported protocol"):
        await front.shown("one.test", context=old)


async def test_http_leads_to_https_for_names_that_have_a_certificate(front: TlsFront) -> None:
    own = (front.certificate("one.test"), front.certificate("*.wild.test"), front.certificate("127.0.0.1"))
    await front.ensure(certificates=own, redirects=True)
    async with httpx.AsyncClient(base_url=front.http, trust_env=False, timeout=LIMIT) as client:
        for host, there in {"one.test": "one.test", "ONE.test:80": "ONE.test", "a.wild.test": "a.wild.test"}.items():
            answer = await client.post("/user/s/a%20b?x=%2F&y", headers={"Host": host}, content=b"kept")
            assert answer.status_code == 308
            assert answer.headers["location"] == f"https://{there}:{front.port}/user/s/a%20b?x=%2F&y"
        answer = await client.get("/x", headers={"Host": "127.0.0.1"})
        assert answer.headers["location"] == f"https://127.0.0.1:{front.port}/x"
        assert HSTS not in answer.headers
        for host in ("waiting.test", "other.test"):
            told = (await client.get("/user/s/x", headers={"Host": host})).json()
            assert (told["who"], told["headers"]["x-forwarded-proto"]) == ("control", "http")
        assert (await client.get("/-/v1/page.css", headers={"Host": "waiting.test"})).text == "a {}"


async def test_the_challenge_is_never_redirected(front: TlsFront) -> None:
    path = "/.well-known/acme-challenge/token"
    await front.ensure(certificates=(front.certificate("one.test"),), redirects=True)
    async with httpx.AsyncClient(base_url=front.http, trust_env=False, timeout=LIMIT) as client:
        for host in ("one.test", "waiting.test", "127.0.0.1"):
            told = (await client.get(path, headers={"Host": host})).json()
            assert (told["who"], told["raw_path"], told["headers"]["host"]) == ("control", path, host)
    async with front.asking("one.test") as client:
        assert (await client.get(path)).json()["who"] == "control"


def poisoning() -> Starlette:
    """A session that would have browsers remember things of its host."""

    async def answer(request: Request) -> Response:
        return Response("mine", headers={HSTS: "max-age=9; includeSubDomains; preload"})

    return Starlette(routes=[Route("/{path:path}", answer)])


async def test_hsts_is_told_where_the_certificate_says_so_and_nowhere_else(front: TlsFront) -> None:
    await front.ensure(certificates=(front.certificate("one.test", hsts=True), front.certificate("two.test")))
    async with served(poisoning(), bound(front.state.session_sockets / "s.sock")):
        for path in ("/", "/user/s/", "/-/v1/page.css"):
            async with front.asking("one.test") as client:
                assert (await client.get(path)).headers.get_list(HSTS) == ["max-age=31536000"]
            async with front.asking("two.test") as client:
                assert HSTS not in (await client.get(path)).headers
    async with httpx.AsyncClient(base_url=front.http, trust_env=False, timeout=LIMIT) as client:
        assert HSTS not in (await client.get("/", headers={"Host": "one.test"})).headers


async def test_the_server_behind_is_told_that_https_was_spoken(front: TlsFront) -> None:
    await front.ensure(certificates=(front.certificate("one.test"),))
    async with upstream(front.state.session_sockets / "s.sock", "session"), front.asking("one.test") as client:
        for path in ("/", "/user/s/"):
            headers = (await client.get(path, headers={"X-Forwarded-Proto": "http"})).json()["headers"]
            assert (headers["x-forwarded-proto"], headers["host"]) == ("https", f"one.test:{front.port}")


FORGED = {"X-Forwarded-For": "198.51.100.1, 192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "one.test"}


async def test_a_connection_for_one_session_s_host_serves_another_s_that_its_certificate_holds(front: TlsFront) -> None:
    """As browsers reuse connections: no 421 (`strict_sni_host`), after which they would begin anew."""
    await front.ensure(certificates=(front.certificate("*.run.test"),))
    async with front.asking("one.run.test") as client:
        other = {"Host": f"two.run.test:{front.port}"}
        assert (await client.get("/", headers=other)).status_code == 200


async def test_forwarded_headers_are_believed_from_the_server_in_front_only(front: TlsFront) -> None:
    strange = {**FORGED, "X-Forwarded-For": "198.51.100.1, 192.0.2.7, 127.0.0.9", "Host": "front.internal"}
    everywhere = (f"0.0.0.0:{free_port()}",)
    await front.ensure(http=everywhere, https=(), proxies=("127.0.0.1", "127.0.0.8/31"))
    url = f"http://127.0.0.1:{everywhere[0].rpartition(':')[2]}/"
    told = {}
    for source in ("127.0.0.1", "127.0.0.2"):
        transport = httpx.AsyncHTTPTransport(local_address=source)
        async with httpx.AsyncClient(transport=transport, timeout=LIMIT) as client:
            told[source] = (await client.get(url, headers=strange)).json()["headers"]
    trusted, stranger = told["127.0.0.1"], told["127.0.0.2"]
    assert trusted["x-forwarded-for"] == "192.0.2.7"
    assert (trusted["x-forwarded-proto"], trusted["x-forwarded-host"], trusted["host"]) == (
        "https",
        "one.test",
        "one.test",
    )
    assert stranger["x-forwarded-for"] == "127.0.0.2"
    assert (stranger["x-forwarded-proto"], stranger["x-forwarded-host"], stranger["host"]) == (
        "http",
        "front.internal",
        "front.internal",
    )


async def test_the_twins_of_ipv4_and_ipv6_share_a_port(front: TlsFront) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    http, https = free_port(), free_port()
    one = front.certificate("one.test")
    await front.ensure(
        http=(f"0.0.0.0:{http}", f"[::]:{http}"), https=(f"0.0.0.0:{https}", f"[::]:{https}"), certificates=(one,)
    )
    for address in ("127.0.0.1", "::1"):
        assert await front.shows("one.test", one, address=address)
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        for host, client_address in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
            told = (await client.get(f"http://{host}:{http}/")).json()
            assert told["headers"]["x-forwarded-for"] == client_address


async def test_a_taken_address_is_told_with_its_setting(front: TlsFront) -> None:
    with listening() as port, pytest.raises(Fail) as raised:
        await front.ensure(https=(f"127.0.0.1:{port}",))
    failure = raised.value.failure
    assert failure.kind is PORT_TAKEN
    assert "(process " in failure.cause
    assert "service.https" in failure.cause
    assert "--https" in failure.remedy


async def test_an_address_taken_at_the_last_moment_is_told_with_its_setting(front: TlsFront) -> None:
    """Where Caddy itself finds it: its own check is not ours."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        await front.ensure(http=(f"127.0.0.2:{port}",), https=())
        with pytest.raises(Fail) as raised:
            await front.ensure(http=(f"127.0.0.2:{port}", f"127.0.0.1:{port}"))
    assert raised.value.failure.kind is PORT_TAKEN
    assert f"listens on 127.0.0.1:{port}" in raised.value.failure.cause


async def test_one_address_cannot_be_for_both(front: TlsFront) -> None:
    with pytest.raises(Fail) as raised:
        await front.ensure(https=front.table.http)
    assert raised.value.failure.kind is BAD_SETTINGS


async def echoed(talk: ClientConnection, words: str) -> None:
    async with asyncio.timeout(LIMIT):
        await talk.send(words)
        assert await talk.recv() == f"session: {words}"


TICKS = 30
"""At ten a second: longer than Caddy's grace period."""


def ticking() -> Starlette:
    """A download that takes its time, and an echo."""

    async def download(request: Request) -> Response:
        async def ticks() -> AsyncIterator[str]:
            for number in range(TICKS):
                yield f"{number}\n"
                await asyncio.sleep(0.1)

        return StreamingResponse(ticks())

    return Starlette(routes=[Route("/user/s/download", download), *echo("session").routes])


async def test_a_websocket_and_a_download_live_through_a_renewal(front: TlsFront) -> None:
    old, new = front.certificate("one.test"), front.certificate("one.test")
    await front.ensure(certificates=(old,))
    address = f"wss://one.test:{front.port}/user/s/"
    session = served(ticking(), bound(front.state.session_sockets / "s.sock"))
    talking = connect(address, proxy=None, host="127.0.0.1", port=front.port, ssl=front.trusting())
    async with session, front.asking("one.test") as client, talking as talk, asyncio.timeout(LIMIT):
        await echoed(talk, "before")
        assert await front.shows("one.test", old)
        async with client.stream("GET", "/user/s/download") as download:
            lines = download.aiter_lines()
            assert await anext(lines) == "0"
            await front.ensure(certificates=(new,))
            assert await front.shows("one.test", new)
            await echoed(talk, "after")
            assert [int(line) async for line in lines] == list(range(1, TICKS))
        await echoed(talk, "long after")


async def test_a_download_over_http2_lives_through_a_renewal(front: TlsFront) -> None:
    curl = shutil.which("curl")
    if curl is None or "HTTP2" not in subprocess.run([curl, "-V"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("no curl with HTTP/2 here")
    await front.ensure(certificates=(front.certificate("one.test"),))
    command = [curl, "--silent", "--show-error", "--no-buffer", "--http2", "--cacert", str(front.ca.file)]
    command += [
        "--noproxy",
        "*",
        "--resolve",
        f"one.test:{front.port}:127.0.0.1",
        "--write-out",
        "HTTP/%{http_version}",
    ]
    command += [f"https://one.test:{front.port}/user/s/download"]
    async with served(ticking(), bound(front.state.session_sockets / "s.sock")), asyncio.timeout(LIMIT):
        asking = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert asking.stdout is not None
            assert await asking.stdout.readline() == b"0\n"
            await front.ensure(certificates=(front.certificate("one.test"),))
            rest = (await asking.stdout.read()).decode().split()
        finally:
            if asking.returncode is None:
                asking.kill()
            await asking.wait()
    assert rest == [*(str(number) for number in range(1, TICKS)), "HTTP/2"]


# tls-alpn-01

DIRECTORIES = [
    pytest.param("https://127.0.0.1:14000/dir", "127.0.0.1-14000-dir", id="Pebble"),
    pytest.param("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org-directory", id="LE"),
    pytest.param("https://acme.zerossl.com/v2/DV90", "acme.zerossl.com-v2-dv90", id="upper case"),
    pytest.param("https://ca.test/acme/acme directory+1/", "ca.test-acme-acme_directory_plus_1", id="odd signs"),
]
IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""RFC 8737, 3."""


def challenge(host: str, directory: str, token: str = "token-1") -> ChallengeAnswer:
    return ChallengeAnswer(host, ChallengeType.TLS_ALPN, token, f"{token}.thumbprint", directory)


def proves(shown: x509.Certificate, answer: ChallengeAnswer) -> bool:
    """Whether a CA would be content: the names, and the digest of the key authorization in a critical extension."""
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = shown.extensions.get_extension_for_oid(IDENTIFIER)
    assert isinstance(found.value, x509.UnrecognizedExtension)
    digest = hashlib.sha256(answer.key_authorization.encode()).digest()
    named = [str(name.value) for name in names] == [answer.host]
    return named and found.critical and found.value.value == b"\x04\x20" + digest


def unverified(*alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


@pytest.mark.parametrize(("directory", "component"), DIRECTORIES)
async def test_an_answer_to_tls_alpn_is_shown_while_it_stands(front: TlsFront, directory: str, component: str) -> None:
    served_one = front.certificate("one.test")
    hosts, solver = ("one.test", "waiting.test"), TlsAlpnSolver(front.state)
    await front.ensure(certificates=(served_one,), alpn_hosts=hosts, alpn_directories=("https://a.test/d", directory))
    for host in hosts:
        answer = challenge(host, directory)
        with pytest.raises(ssl.SSLError):
            await front.shown(host, context=unverified("acme-tls/1"))
        await solver.present(answer)
        assert proves(await front.shown(host, context=unverified("acme-tls/1")), answer)
        newer = challenge(host, directory, "token-2")
        await solver.present(newer)
        await solver.withdraw(answer)
        assert proves(await front.shown(host, context=unverified("acme-tls/1")), newer)
        folder = front.state.caddy / "acme" / component / "challenge_tokens"
        assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]
        assert {stat.S_IMODE(above.stat().st_mode) for above in (folder, *folder.parents[:2])} == {0o700}
        assert await front.shows("one.test", served_one)
        await solver.withdraw(newer)
        await solver.withdraw(newer)
        with pytest.raises(ssl.SSLError):
            await front.shown(host, context=unverified("acme-tls/1"))


async def test_an_address_is_answered_by_its_name_in_the_reverse_zone(front: TlsFront) -> None:
    """RFC 8738, 6."""
    directory = "https://127.0.0.1:14000/dir"
    await front.ensure(alpn_hosts=("192.0.2.1", "2001:db8::1"), alpn_directories=(directory,))
    for host in ("192.0.2.1", "2001:db8::1"):
        answer = challenge(host, directory)
        await TlsAlpnSolver(front.state).present(answer)
        name = ipaddress.ip_address(host).reverse_pointer
        assert proves(await front.shown(name, context=unverified("acme-tls/1")), answer)


async def test_caddy_itself_asks_no_ca(front: TlsFront) -> None:
    with socket.socket() as authority:
        authority.bind(("127.0.0.1", 0))
        authority.listen()
        authority.setblocking(False)
        directory = f"https://127.0.0.1:{authority.getsockname()[1]}/dir"
        one = front.certificate("one.test")
        hosts = ("one.test", "waiting.test")
        await front.ensure(certificates=(one,), alpn_hosts=hosts, alpn_directories=(directory,))
        assert await front.shows("one.test", one)
        assert await front.refuses("waiting.test")
        await front.caddy.close()
        await front.ensure(certificates=(), redirects=True)
        assert await front.refuses("one.test")
        with pytest.raises(BlockingIOError):
            authority.accept()
    stored = [file for file in front.state.caddy.rglob("*") if file.is_file()]
    assert not [file for file in stored if file.suffix in (".crt", ".key", ".json")]


async def test_an_answer_that_cannot_be_written_is_told(front: TlsFront) -> None:
    front.state.caddy.mkdir(mode=0o700)
    (front.state.caddy / "acme").write_text("in the way")
    with pytest.raises(Fail) as raised:
        await TlsAlpnSolver(front.state).present(challenge("one.test", "https://a.test/d"))
    assert raised.value.failure.kind is STATE_UNUSABLE


async def test_http3_is_offered_and_spoken_at_the_same_port_also_after_a_reload(front: TlsFront) -> None:
    quic = (f"udp/127.0.0.1:{front.port}",)
    await front.ensure(certificates=(front.certificate("one.test"),), quic=quic)
    both = (front.certificate("one.test"), front.certificate("two.test"))
    for certificates in (both[:1], both):
        await front.ensure(certificates=certificates, quic=quic)
        async with front.asking("one.test") as client:
            offered = (await client.get("/")).headers["Alt-Svc"]
        assert offered.startswith(f'h3=":{front.port}";')
        status, body = await asked_by_http3(("127.0.0.1", front.port), "one.test", "/", front.ca.file.read_text())
        assert (status, b"control" in body) == (200, True)
    await front.ensure(certificates=both, quic=())
    async with front.asking("one.test") as client:
        assert "Alt-Svc" not in (await client.get("/")).headers
    with bound_datagrams(front.port):
        pass  # whoever does not speak it holds no port


async def test_a_udp_port_that_somebody_has_is_told(front: TlsFront) -> None:
    with bound_datagrams(front.port), pytest.raises(Fail) as caught:
        await front.ensure(certificates=(front.certificate("one.test"),), quic=(f"udp/127.0.0.1:{front.port}",))
    assert caught.value.failure.kind is PORT_TAKEN
    assert f"listens on udp/127.0.0.1:{front.port}" in caught.value.failure.cause
    assert "service.http3" in caught.value.failure.remedy


@contextlib.contextmanager
def bound_datagrams(port: int) -> Iterator[None]:
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", port))
        yield
