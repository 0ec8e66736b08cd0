"""What is told of a Binder that is looked at from outside: a healthy one gives nothing, each broken fact its code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from perijove.certifying.verdict.web_servers import program as recognised
from perijove.doctor.engine import Outcome, Told
from perijove.doctor.site.diagnosis import diagnosed
from perijove.doctor.site.telling import program
from perijove.domain import certificate_failures as cert
from perijove.domain import (
    cluster_failures,
    cluster_session_failures,
    cluster_tls_failures,
    failures,
    front_failures,
    site_failures,
)
from perijove.domain.certificates import SOLVER_HEADER, DnsSeen, Hop, SeenCertificate
from perijove.domain.findings import Confidence
from perijove.domain.site import CHALLENGE, AddressAsked, BuildSeen, Frame, Got, Site, SiteSeen, json_object

DAY, NOW = 86400.0, 1_790_000_000.0
HOST, V4, V6 = "binder.example.org", "192.0.2.10", "2001:db8::10"
SITE = Site("https", HOST, 443)
TOKEN = f"http://{HOST}{CHALLENGE}token"
GOOD = SeenCertificate(HOST, (HOST,), "R11", NOW - 10 * DAY, NOW + 80 * DAY, "aa", self_signed=False, trusted=True)
TO_HTTPS = Hop(f"http://{HOST}/", f"{V4}:80", 301, server="nginx", location=f"https://{HOST}/")
PAGE = Hop(f"https://{HOST}/", f"{V4}:443", 200, server="nginx", body="<html>")
CHALLENGED = (
    replace(TO_HTTPS, url=TOKEN, location=TOKEN.replace("http:", "https:")),
    Hop(TOKEN.replace("http:", "https:"), f"{V4}:443", 404, server="openresty"),
)
CHECKS = [{"service": "Docker registry", "ok": True}, {"service": "JupyterHub API", "ok": True}]
HEALTH = Got(SITE.url + "health", 200, "application/json", body=json.dumps({"ok": True, "checks": CHECKS}))
VERSIONS = Got(SITE.url + "versions", 200, "application/json", body=json.dumps({"binderhub": "1.0.0"}))
OURS = replace(VERSIONS, body=json.dumps({"binderhub": "0.2.0+perijove.1", "perijove": "1"}))
STREAM = Got(SITE.url + "build/" + SITE.build, 200, "text/event-stream")
READY: dict[str, Any] = {"phase": "ready", "message": "running", "url": SITE.url + "user/x/", "token": "t"}
SEEN = SiteSeen(
    SITE, NOW,
    (DnsSeen(HOST, "AAAA", "no-record", (), "192.0.2.53:53"), DnsSeen(HOST, "A", "answered", (V4,), "192.0.2.53:53")),
    (AddressAsked(V4, (TO_HTTPS, PAGE), CHALLENGED, (PAGE,), GOOD),),
    HEALTH, VERSIONS, Got(SITE.url, 404), Got(SITE.url, 101),
)  # fmt: skip


def built(*events: tuple[float, dict[str, Any]], answer: Got = STREAM, **more: Any) -> BuildSeen:
    frames = tuple(Frame(after, json.dumps(event)) for after, event in events)
    return BuildSeen(answer, frames, ended=frames[-1].after if frames else 65.0, **more)


WELL = replace(SEEN, build=built((0.1, {"phase": "waiting"}), (3.0, READY), socket=Got(SITE.url, 101)))


def at(seen: SiteSeen = SEEN, **changes: Any) -> SiteSeen:
    """The same site with something else at its address."""
    return replace(seen, addresses=(replace(seen.addresses[0], **changes),))


def shows(trusted: bool = False, **changes: Any) -> SiteSeen:
    return at(certificate=replace(GOOD, trusted=trusted, **changes))


def ill(*checks: dict[str, Any], status: int = 503, seen: SiteSeen = SEEN) -> SiteSeen:
    return replace(seen, health=replace(HEALTH, status=status, body=json.dumps({"ok": False, "checks": checks})))


def failed(message: str, seen: SiteSeen = SEEN, **more: Any) -> SiteSeen:
    return replace(seen, build=built((1.0, {"phase": "failed", "message": message, **more})))


def codes(told: tuple[Told, ...]) -> list[Any]:
    return [(one.finding.code, codes(one.explains)) if one.explains else one.finding.code for one in told]


QUEUE = {"service": "Pod quota", "ok": False, "_ignore_failure": True}
EXPIRED: dict[str, Any] = {
    "not_before": NOW - 100 * DAY,
    "not_after": NOW - 10 * DAY,
    "problem": "certificate has expired",
}
FAKE: dict[str, Any] = {"subject": "Kubernetes Ingress Controller Fake Certificate", "names": ("ingress.local",)}
LOGIN = (replace(TO_HTTPS, location="https://login.example.org/start"),)
CLOSED = (replace(TO_HTTPS, status=0, error="refused"),)
CIRCLE = (replace(CHALLENGED[0], location=TOKEN),)
NO_HUB = {"service": "JupyterHub API", "ok": False}
NO_USER = "Failed to create temporary user for registry.example/image:1\n"
LATE = [(10.0, {"phase": "waiting", "at": 1.0}), (10.1, {"phase": "built", "at": 5.0}), (10.1, READY | {"at": 10.0})]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(SEEN, id="nothing launched"),
        pytest.param(WELL, id="launched"),
        pytest.param(replace(WELL, versions=OURS), id="a Perijove"),
        pytest.param(at(challenge=(replace(CHALLENGED[0], status=404, location=""),)), id="a 404 on port 80"),
        pytest.param(at(challenge=(replace(CHALLENGED[0], marker="ours"),)), id=f"{SOLVER_HEADER} on port 80"),
        pytest.param(shows(trusted=True, not_before=NOW - 62 * DAY, not_after=NOW + 28 * DAY), id="renewal is due"),
        pytest.param(at(challenge=CIRCLE), id="a circle that keeps nobody from renewing yet"),
        pytest.param(at(secure=(replace(PAGE, hsts="max-age=15724800"),)), id="HSTS with a good certificate"),
        pytest.param(
            replace(SEEN, addresses=(*SEEN.addresses, AddressAsked(
                V6, (Hop(SITE.url, "", 0, "unreachable", "[Errno 101] Network is unreachable"),), (), (), None,
                "[Errno 101] Network is unreachable"))), id="no IPv6 on this machine",
        ),
        pytest.param(replace(ill(QUEUE, status=200), versions=OURS), id="a Perijove whose queue is in use"),
        pytest.param(replace(at(challenge=CLOSED, page=CLOSED, certificate=replace(GOOD, names=("*.example.org",)))),
                     id="a wildcard, and port 80 is closed"),
        pytest.param(at(shows(names=("*.example.org",), not_before=NOW - 65 * DAY, not_after=NOW + 25 * DAY,
                              trusted=True), challenge=LOGIN), id="a wildcard that is due, led to a login"),
        *(pytest.param(replace(SEEN, versions=got, health=got), id=f"a login before it, {got.status} {got.location}")
          for got in (Got(SITE.url, 401), Got(SITE.url, 302, location="https://sso.example.org/start"),
                      Got(SITE.url, 302, location="/oauth2/sign_in?rd=/"))),
        pytest.param(replace(SEEN, upgraded=Got(SITE.url, 403)), id="an application that refuses the websocket"),
    ],
)  # fmt: skip
def test_a_healthy_binder_gives_nothing(seen: SiteSeen) -> None:
    examination = diagnosed(seen)
    assert examination.well, [one.failure.message for one in examination.findings]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(at(certificate=None, handshake="refused", secure=(replace(PAGE, status=0, error="refused"),)),
                     [site_failures.HTTPS_UNANSWERED.code], id="port 443 is closed"),
        pytest.param(replace(SEEN, addresses=(*SEEN.addresses, AddressAsked(V6, (), (), (), None, "timed out"))),
                     [cert.IPV6_BROKEN.code], id="IPv6 alone is dead"),
        pytest.param(at(page=(replace(TO_HTTPS, status=0, error="timeout"),),
                        challenge=(replace(CHALLENGED[0], status=0, error="timeout"),)),
                     [cert.PORT_FILTERED.code], id="port 80 is swallowed"),
        pytest.param(at(challenge=(replace(CHALLENGED[0], status=0, error="tls", location=""),)),
                     [cert.TLS_ON_PORT_80.code], id="TLS on port 80"),
        pytest.param(at(secure=(replace(PAGE, status=301, location=f"https://{HOST}/"),)),
                     [site_failures.REDIRECT_ASTRAY.code], id="a circle"),
        pytest.param(shows(**EXPIRED), [(front_failures.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code,
                                         [cert.NOT_VALID_NOW.code])], id="expired behind a redirect"),
        pytest.param(at(shows(**EXPIRED), challenge=(replace(CHALLENGED[0], status=404, location=""),)),
                     [cert.NOT_VALID_NOW.code], id="expired, nothing redirected"),
        pytest.param(at(shows(**EXPIRED), challenge=(replace(CHALLENGED[0], marker="ours"),)),
                     [cert.NOT_VALID_NOW.code], id="expired, our solver is asked"),
        pytest.param(shows(**FAKE), [(front_failures.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code,
                                      [cluster_tls_failures.FAKE_CERTIFICATE.code])], id="a fake behind a redirect"),
        pytest.param(shows(subject="TRAEFIK DEFAULT CERT"),
                     [(front_failures.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code,
                       [cluster_tls_failures.FAKE_CERTIFICATE.code])], id="Traefik's own"),
        pytest.param(shows(signed_by="Caddy Local Authority - ECC Intermediate"),
                     [site_failures.CERTIFICATE_UNTRUSTED.code], id="Caddy's own CA"),
        pytest.param(shows(self_signed=True), [site_failures.CERTIFICATE_UNTRUSTED.code], id="signed by itself"),
        pytest.param(shows(names=("other.example",)), [cert.NAMES_MISSING.code], id="another name"),
        pytest.param(shows(problem="unable to get local issuer certificate"), [cert.CHAIN_BROKEN.code], id="no chain"),
        pytest.param(at(shows(self_signed=True), secure=(replace(PAGE, hsts="max-age=15724800"),)),
                     [(site_failures.CERTIFICATE_UNTRUSTED.code, [site_failures.HSTS_FORBIDS_EXCEPTION.code])],
                     id="HSTS with a bad certificate"),
        pytest.param(at(shows(self_signed=True), secure=(replace(PAGE, hsts="max-age=0"),)),
                     [site_failures.CERTIFICATE_UNTRUSTED.code], id="HSTS that was taken back"),
        pytest.param(replace(SEEN, health=Got(SITE.url, 502, server="nginx"), versions=Got(SITE.url, 502)),
                     [site_failures.BINDER_UNREACHED.code], id="nobody behind the proxy"),
        pytest.param(replace(SEEN, health=Got(SITE.url, 404), versions=Got(SITE.url, 200, body="<html>")),
                     [site_failures.NOT_A_BINDER.code], id="another site"),
        pytest.param(replace(SEEN, health=Got(SITE.url, 503, body=json.dumps({"failure": {
            "code": "cert.https-pending", "cause": "soon", "remedy": "Wait."}})), versions=Got(SITE.url, 503)),
                     [cert.HTTPS_PENDING.code], id="a Perijove that says why"),
        pytest.param(ill(NO_HUB), [cluster_failures.LAUNCHES_FAIL.code], id="the hub's check"),
        pytest.param(ill({"service": "Docker registry", "ok": False}), [cluster_failures.REGISTRY_CHECK_FAILS.code],
                     id="the registry's check"),
        pytest.param(ill({"service": "Pod quota", "ok": False, "_ignore_failure": True, "total_pods": 9, "quota": 9}),
                     [cluster_failures.QUOTA_FULL.code], id="BinderHub's quota"),
        pytest.param(ill({"service": "Sandboxes", "ok": False, "message": "no answer"}),
                     [site_failures.UNHEALTHY.code], id="any other check"),
        pytest.param(failed(NO_USER, ill(NO_HUB)), [cluster_failures.LAUNCHES_FAIL.code], id="the same, told twice"),
        pytest.param(failed(NO_USER, ill(NO_HUB, seen=at(shows(**EXPIRED), challenge=()))),
                     [(cert.NOT_VALID_NOW.code, [cluster_failures.LAUNCHES_FAIL.code])], id="for its certificate"),
        pytest.param(failed("Too many users on this BinderHub! Try again soon."), [cluster_failures.QUOTA_FULL.code],
                     id="a launch that finds it full"),
        pytest.param(failed("GitHub rate limit exceeded. Try again in 5 minutes."),
                     [cluster_failures.GITHUB_RATE_LIMITED.code], id="a launch without GitHub"),
        pytest.param(failed("Error resolving ref for gh:binder-examples/requirements/HEAD: HTTP 401: Unauthorized"),
                     [cluster_session_failures.GIT_TOKEN_REFUSED.code], id="a launch with a token that has expired"),
        pytest.param(failed("Could not resolve ref for gh:a/b/HEAD. Double check your URL."),
                     [failures.REPO_NOT_FOUND.code], id="a launch of what is not there"),
        pytest.param(failed("Something else\n"), [site_failures.LAUNCH_FAILED.code], id="a launch, in other words"),
        pytest.param(failed("x", failure={"code": "build.conflict", "cause": "a needs b", "remedy": "Loosen."}),
                     [failures.CONFLICT.code], id="a launch that a Perijove explains"),
        pytest.param(replace(SEEN, build=built(answer=Got(SITE.url, 403, "text/html"))),
                     [site_failures.LAUNCH_FAILED.code], id="a build that is refused"),
        pytest.param(replace(SEEN, build=built((1.0, {"phase": "building"}), waited=True)),
                     [site_failures.LAUNCH_FAILED.code], id="a build without end"),
        pytest.param(replace(SEEN, build=built(*LATE, socket=Got(SITE.url, 101))),
                     [front_failures.STREAM_HELD_BACK.code], id="events held back"),
        pytest.param(replace(SEEN, build=built((1.0, {"phase": "building"}), cut="peer closed connection")),
                     [front_failures.STREAM_HELD_BACK.code], id="a stream that is cut"),
        pytest.param(replace(WELL, build=replace(WELL.build, socket=Got(SITE.url, 400))),  # type: ignore[type-var]
                     [front_failures.WEBSOCKET_CUT.code], id="a session's websocket is cut"),
        pytest.param(replace(SEEN, upgraded=Got(SITE.url, 426)), [front_failures.WEBSOCKET_CUT.code],
                     id="an upgrade is cut"),
    ],
)  # fmt: skip
def test_each_broken_fact_has_its_code_and_its_consequences_beneath(seen: SiteSeen, expected: list[Any]) -> None:
    assert codes(diagnosed(seen).told) == expected


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        pytest.param(("no-such-name", "no-such-name"), cert.DNS_NO_SUCH_NAME.code, id="no such name"),
        pytest.param(("no-record", "no-record"), cert.DNS_NO_ADDRESS.code, id="no address"),
        pytest.param(("server-failure", "no-record"), cert.DNS_SERVER_FAILURE.code, id="a zone that fails"),
        pytest.param(("no-answer", "no-answer"), "", id="nobody answers"),
    ],
)
def test_without_an_address_nothing_else_is_asked(statuses: tuple[str, str], code: str) -> None:
    dns = tuple(
        DnsSeen(HOST, record, one, (), "192.0.2.53:53") for record, one in zip(("AAAA", "A"), statuses, strict=True)
    )
    examination = diagnosed(SiteSeen(SITE, NOW, dns, ()))
    assert [one.code for one in examination.findings] == ([code] if code else [])
    assert {one.outcome for one in examination.results[1:]} == {Outcome.SKIPPED}


def written(over: float) -> SiteSeen:
    """Events that came together, and were written over so many seconds."""
    phases = ("waiting", "building", "failed")
    build = built(*((over, {"phase": phase, "at": NOW + over * n / 2}) for n, phase in enumerate(phases)))
    return replace(SEEN, build=build)


@pytest.mark.parametrize(
    ("seen", "sure"),
    [
        (written(1.2), Confidence.LIKELY),
        (written(6.0), Confidence.CERTAIN),
        (replace(WELL, build=replace(WELL.build, socket=Got(SITE.url, 502))), Confidence.LIKELY),  # type: ignore[type-var]
        (replace(WELL, build=replace(WELL.build, socket=Got(SITE.url, 400))), Confidence.CERTAIN),  # type: ignore[type-var]
    ],
)
def test_what_a_lost_packet_or_a_dead_session_shows_too_is_not_certain(seen: SiteSeen, sure: Confidence) -> None:
    ours = (front_failures.STREAM_HELD_BACK.code, front_failures.WEBSOCKET_CUT.code)
    assert [one.confidence for one in diagnosed(seen).findings if one.code in ours] == [sure]


@pytest.mark.parametrize(
    ("seen", "sure"),
    [
        (at(certificate=None, handshake="no answer in time"), Confidence.LIKELY),
        (at(certificate=None, handshake="Connection refused"), Confidence.CERTAIN),
    ],
)
def test_a_port_that_is_silent_may_be_busy(seen: SiteSeen, sure: Confidence) -> None:
    (told,) = (one for one in diagnosed(seen).findings if one.code == site_failures.HTTPS_UNANSWERED.code)
    assert told.confidence is sure


def test_a_renewal_that_will_fail_is_foreseen_and_one_that_is_late_is_its_consequence() -> None:
    due = at(shows(trusted=True, not_before=NOW - 62 * DAY, not_after=NOW + 28 * DAY), challenge=CIRCLE)
    [root] = diagnosed(due).told
    assert (root.finding.code, root.finding.foreseen) == (front_failures.ACME_HTTP01_BLOCKED_BY_FRONT_PROXY.code, True)
    late = at(shows(trusted=True, not_before=NOW - 80 * DAY, not_after=NOW + 10 * DAY), challenge=CIRCLE)
    [root] = diagnosed(late).told
    assert [one.finding.code for one in root.explains] == [cluster_tls_failures.CERTIFICATE_NOT_RENEWED.code]
    assert root.finding.foreseen
    assert root.explains[0].finding.foreseen


def test_a_redirect_is_suspected_more_where_another_server_answers_behind_it() -> None:
    [root] = diagnosed(shows(**EXPIRED)).told
    assert root.finding.confidence is Confidence.LIKELY
    same = at(shows(**EXPIRED), challenge=(CHALLENGED[0], replace(CHALLENGED[1], server="nginx")))
    [root] = diagnosed(same).told
    assert root.finding.confidence is Confidence.POSSIBLE


def test_what_a_failed_user_excludes_is_said() -> None:
    [root] = diagnosed(failed(NO_USER)).told
    words = " ".join(one.saw for one in root.finding.failure.evidence)
    assert "images, nodes and users' storage" in words
    assert "Failed to create temporary user" in words


def other(**changes: Any) -> SiteSeen:
    """The host of a hub, which is well but for this."""
    site, shown = (
        replace(SITE, host="hub.example", build=""),
        {"names": ("hub.example",), "fingerprint": "bb", **changes},
    )
    page, solver = replace(PAGE, url=site.url), replace(CHALLENGED[0], status=404, location="")
    return replace(
        SEEN, site=site, health=None, versions=None, plain=None, upgraded=None,
        addresses=(AddressAsked(V4, (page,), (solver,), (page,), replace(GOOD, **shown)),),
    )  # fmt: skip


def test_the_certificate_of_another_host_explains_launches_that_fail() -> None:
    assert diagnosed(replace(WELL, others=(other(),))).well
    [root] = diagnosed(replace(failed(NO_USER), others=(other(trusted=False, **EXPIRED),))).told
    assert (root.finding.code, root.finding.subject) == (cert.NOT_VALID_NOW.code, "https://hub.example/")
    assert codes(root.explains) == [cluster_failures.LAUNCHES_FAIL.code]


def test_another_host_without_an_address_is_told_as_that() -> None:
    gone = tuple(DnsSeen("hub.example", record, "no-such-name", (), "192.0.2.53:53") for record in ("AAAA", "A"))
    nobody = Got(SITE.url, words="hub.example has no address")
    seen = replace(WELL, build=built((3.0, READY), socket=nobody), others=(replace(other(), dns=gone, addresses=()),))
    examination = diagnosed(seen)
    assert [(one.code, one.subject) for one in examination.findings] == [(cert.DNS_NO_SUCH_NAME.code, "hub.example")]


def test_what_is_not_seen_of_another_host_takes_nothing_from_what_is_and_is_never_well() -> None:
    asked = tuple(DnsSeen("run.example", record, "no-answer", (), "192.0.2.53:53") for record in ("AAAA", "A"))
    unseen = replace(other(), site=replace(SITE, host="run.example", build=""), dns=asked, addresses=())
    for hosts, codes_told in (((other(trusted=False, **EXPIRED), unseen), [cert.NOT_VALID_NOW.code]), ((unseen,), [])):
        told = diagnosed(replace(WELL, others=hosts))
        (result,) = (one for one in told.results if one.name == "site.others")
        assert [one.code for one in result.findings] == codes_told
        assert result.outcome is (Outcome.ILL if codes_told else Outcome.SKIPPED)


@pytest.mark.parametrize("text", ["", "[1]", "[" * 4000, '{"a": '], ids=["none", "a list", "a nest", "cut"])
def test_a_strangers_text_that_is_no_object_says_nothing(text: str) -> None:
    assert json_object(text) == {}


@pytest.mark.parametrize(
    "seen",
    [
        replace(SEEN, upgraded=Got(SITE.url, words="no answer in time")),
        replace(WELL, build=built((3.0, READY), socket=Got(SITE.url, words="no answer in time"))),
    ],
    ids=["without a session", "a session's"],
)
def test_an_answer_that_did_not_come_is_not_cut(seen: SiteSeen) -> None:
    (result,) = [one for one in diagnosed(seen).results if one.name == "site.websockets"]
    assert (result.outcome, result.findings) == (Outcome.SKIPPED, ())
    assert "no answer in time" in result.why_skipped


def test_consequences_are_no_second_root() -> None:
    circle = tuple(replace(PAGE, status=302, location=SITE.url) for _ in range(3))
    lost = replace(at(secure=circle), health=Got(SITE.url, 302), versions=Got(SITE.url, 302))
    assert codes(diagnosed(lost).told) == [(site_failures.REDIRECT_ASTRAY.code, [site_failures.NOT_A_BINDER.code])]
    refused = (Hop(TOKEN, f"{V4}:80", 0, "refused", "[Errno 111] Connection refused"),)
    late = at(shows(trusted=True, not_before=NOW - 80 * DAY, not_after=NOW + 10 * DAY), page=refused, challenge=refused)
    assert codes(diagnosed(late).told) == [
        (cert.PORT_REFUSED.code, [cluster_tls_failures.CERTIFICATE_NOT_RENEWED.code])
    ]


@pytest.mark.parametrize(
    ("phases", "cause", "remedy"),
    [
        ((), "before anything else was told", "BinderHub itself"),
        (("waiting", "building", "unknown"), "at building", "build failed"),
        (("building", "pushing"), "at pushing", "registry"),
        (("built", "launching"), "at launching", "hub's log"),
    ],
)
def test_of_a_failure_without_a_reason_it_is_told_how_far_it_came(
    phases: tuple[str, ...], cause: str, remedy: str
) -> None:
    events = [*phases, "failed"]
    seen = replace(SEEN, build=built(*((1.0, {"phase": one, "message": "Internal Server Error"}) for one in events)))
    [root] = diagnosed(seen).told
    assert root.finding.failure.cause.startswith("Internal Server Error")
    assert cause in root.finding.failure.cause
    assert remedy in root.finding.failure.remedy


def test_a_websocket_that_nobody_can_judge_is_skipped() -> None:
    result = next(
        one for one in diagnosed(replace(SEEN, upgraded=Got(SITE.url, 404))).results if one.name == "site.websockets"
    )
    assert (result.outcome, "a build that gets ready" in result.why_skipped) == (Outcome.SKIPPED, True)


def test_evidence_is_bounded_whatever_is_answered() -> None:
    long = "x" * 100_000
    seen = failed(long, ill({"service": long, "ok": False, "message": long}))
    seen = at(seen, page=(replace(TO_HTTPS, server=long, location=long),))
    findings = diagnosed(seen).findings
    assert findings
    for finding in findings:
        texts = [finding.failure.cause, finding.subject, *(one.saw for one in finding.failure.evidence)]
        assert max(map(len, texts)) <= 1000


@pytest.mark.parametrize(
    ("hop", "name"),
    [
        pytest.param({"server": "nginx/1.22.1"}, "nginx", id="nginx"),
        pytest.param({"body": "<hr><center>nginx</center>"}, "nginx", id="nginx without its header"),
        pytest.param({"server": "Apache/2.4.57 (Debian)"}, "Apache", id="Apache"),
        pytest.param({"body": "<address>Apache Server at x Port 80</address>"}, "Apache", id="Apache's page"),
        pytest.param({"server": "Caddy"}, "Caddy", id="Caddy"),
        pytest.param({"status": 302, "undated": True}, "HAProxy", id="HAProxy's redirect"),
        pytest.param({"status": 302}, "", id="a redirect with a date"),
        pytest.param({"body": "No server is available to handle this request."}, "HAProxy", id="HAProxy's page"),
        pytest.param({"server": "cloudflare", "status": 301, "undated": True}, "", id="others"),
    ],
)
def test_a_web_server_is_recognised_by_what_it_answers(hop: dict[str, Any], name: str) -> None:
    assert recognised(Hop(SITE.url, V4, **{"status": 404, **hop})) == name


@pytest.mark.parametrize(
    ("server", "line"),
    [
        ("nginx", "proxy_set_header Upgrade $http_upgrade;"),
        ("Apache", "upgrade=websocket"),
        ("Caddy", "reverse_proxy ADDRESS-OF-THE-BINDER:PORT"),
        ("", "timeout tunnel"),
    ],
)
def test_the_remedy_is_in_the_words_of_who_stands_in_front(server: str, line: str) -> None:
    first = replace(TO_HTTPS, server=server, undated=not server)
    seen = replace(at(page=(first, PAGE)), upgraded=Got(SITE.url, 502))
    assert program(seen) == (server or "HAProxy")
    [root] = diagnosed(seen).told
    assert line in root.finding.commands[0]
    assert "perijove cert export" not in root.finding.commands[0]


@pytest.mark.parametrize("code", ["", "no.such-code"])
def test_a_failure_whose_code_is_not_known_is_told_in_its_own_words(code: str) -> None:
    [root] = diagnosed(failed("words of its own", failure={"code": code})).told
    assert root.finding.code == site_failures.LAUNCH_FAILED.code
    assert "words of its own" in root.finding.failure.cause
