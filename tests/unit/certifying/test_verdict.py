"""What a look means, in words: each fault its own code and sentence, and how sure a view from inside can be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from perijove.certifying.verdict import Verdict, judge
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import (
    AddressSeen,
    ChallengeType,
    Confidence,
    DnsSeen,
    Hop,
    Observation,
    SeenCertificate,
)
from perijove.domain.failures import Kind

HOST, HERE, SIX, ROUTER = "binder.example.org", "198.51.100.7", "2001:db8::7", "203.0.113.1"
TOKEN, MARKER, US = "evaGxfADs6pSRb2LAv9IZf17", "this-perijove", "10.0.1.61:80"
EXPECTED = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
URL = f"http://{HOST}/.well-known/acme-challenge/{TOKEN}"
HTTPS = URL.replace("http:", "https:")
PUBLIC_DNS, STUB, CAMPUS_DNS = "192.0.2.53:53", "127.0.0.53:53", "10.0.0.53:53"
CERTAIN, INSIDE = Confidence.CERTAIN, Confidence.INSIDE
HTTP, TLS_ALPN, BY_DNS = ChallengeType.HTTP, ChallengeType.TLS_ALPN, ChallengeType.DNS
SELF_SIGNED = SeenCertificate("ingress.local", ("ingress.local",), "ingress.local", 0, 9, "ff", True, False)


def dns(record: str, *values: str, status: str = "", name: str = HOST, server: str = PUBLIC_DNS) -> DnsSeen:
    return DnsSeen(name, record, status or ("answered" if values else "no-record"), values, server)


def hop(status: int, url: str = URL, at: str = f"{HERE}:80", server: str = "nginx", **said: object) -> Hop:
    return replace(Hop(url, at, status, server=server), **said)  # type: ignore[arg-type]


def silent(error: str, url: str = URL, at: str = f"{HERE}:80", words: str = "") -> Hop:
    return Hop(url, at, 0, error, words)


OURS = hop(200, server="Caddy", marker=MARKER, body=EXPECTED)
TO_HTTPS = hop(301, location=HTTPS)


def at(*hops: Hop, address: str = HERE, ours: bool | None = True, tls: Hop | None = None) -> AddressSeen:
    return AddressSeen(address, ours, hops, tls)


def look(
    *addresses: AddressSeen, asked: tuple[DnsSeen, ...] = (), host: str = HOST, server: str = PUBLIC_DNS
) -> Observation:
    found = tuple(dns("AAAA" if ":" in one.address else "A", one.address, server=server) for one in addresses)
    return Observation(host, 0, asked or found, addresses, EXPECTED, own_addresses=(HERE,))


def judged(
    seen: Observation, *allowed: ChallengeType, clock: float = 0, account: str = "", cas: tuple[str, ...] = ()
) -> Verdict:
    return judge(
        seen, marker=MARKER, caa_identities=cas, account_url=account, clock_ahead=clock, allowed=allowed or (HTTP,),
        reach_us=US,
    )  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What stands at port 80, and what has to be said of it."""

    hops: tuple[Hop, ...]
    kind: Kind
    cause: str
    remedy: str = "location ^~ /.well-known/acme-challenge/ { proxy_pass http://10.0.1.61:80;"
    confidence: Confidence = CERTAIN


LOGIN = hop(302, location="https://login.campus.example/adfs?back=/")
ELSEWHERE = hop(404, "https://www.other.example/", f"{ROUTER}:443", "Apache/2.4")
FAULTS = {
    "nothing listens": Told(
        (silent("refused"),),
        rows.PORT_REFUSED,
        f"{HERE}:80 refuses connections",
        f"Have port 80 of {HERE} lead to Perijove",
    ),
    "a firewall drops": Told(
        (silent("timeout"),), rows.PORT_FILTERED, f"{HERE}:80 does not answer attempts to connect", "Open port 80"
    ),
    "a firewall rejects": Told(
        (silent("unreachable", words="No route to host"),),
        rows.PORT_FILTERED,
        "cannot be reached (No route to host)",
        "Open",
    ),
    "a connection without an answer": Told(
        (silent("silent"),),
        rows.UNEXPECTED_ANSWER,
        "takes connections and does not answer in time",
        "ten seconds",
        INSIDE,
    ),
    "something that is not HTTP": Told(
        (silent("not-http", words="illegal status line: SSH-2.0"),), rows.UNEXPECTED_ANSWER, "SSH-2.0", "pass"
    ),
    "TLS on port 80, told by its handshake": Told(
        (silent("tls"),),
        rows.TLS_ON_PORT_80,
        f"{HERE}:80 answers TLS handshakes, and not plain HTTP",
        "lead to Perijove's http port",
    ),
    "TLS on port 80 of Apache": Told(
        (hop(400, server="Apache", body="You're speaking plain HTTP to an SSL-enabled server port."),),
        rows.TLS_ON_PORT_80,
        "it expects TLS there",
        "not to one that expects TLS",
    ),
    "nginx on the way knows nothing": Told((hop(404),), rows.NOT_FORWARDED, f"nginx at {HERE}:80 answers 404"),
    "Apache knows nothing": Told(
        (hop(404, server="Apache/2.4.57 (Debian)"),),
        rows.NOT_FORWARDED,
        "Apache/2.4.57 (Debian)",
        "ProxyPass /.well-known/acme-challenge/ http://10.0.1.61:80/.well-known/acme-challenge/",
    ),
    "Caddy knows nothing": Told(
        (hop(404, server="Caddy"),),
        rows.NOT_FORWARDED,
        "Caddy at",
        "with `reverse_proxy 10.0.1.61:80` in it",
    ),
    "a server without a name knows nothing": Told(
        (hop(404, server=""),),
        rows.NOT_FORWARDED,
        "a web server without a name at",
        "pass `/.well-known/acme-challenge/`",
    ),
    "the founding story: redirected to a certificate of nobody, behind HSTS": Told(
        (TO_HTTPS, hop(404, HTTPS, f"{HERE}:443", certificate=SELF_SIGNED, hsts="max-age=9")),
        rows.REDIRECT_NOT_FORWARDED,
        f"nginx at {HERE}:80 redirects to https://{HOST}/.well-known/acme-challenge/… (301), where nginx at "
        f"{HERE}:443 answers 404 instead of Perijove; the certificate of {HOST} there is self-signed (ingress.local), "
        "and browsers that saw its HSTS header cannot pass",
        "a `return` or `rewrite` beside it has to move into `location / { … }`",
    ),
    "redirected to a closed port": Told(
        (TO_HTTPS, silent("refused", HTTPS, f"{HERE}:443")),
        rows.REDIRECT_REFUSED,
        f"{HERE}:443 refuses connections",
    ),
    "redirected to a port that wants another name": Told(
        (TO_HTTPS, silent("tls", HTTPS, f"{HERE}:443", "alert unrecognized name")),
        rows.REDIRECT_REFUSED,
        "breaks off the TLS handshake (alert unrecognized name)",
    ),
    "a circle of two": Told(
        (TO_HTTPS, hop(301, HTTPS, f"{HERE}:443", location=URL)),
        rows.REDIRECT_LOOP,
        "where it was asked before",
    ),
    "more redirects than CAs follow": Told(
        tuple(hop(301, f"{URL}{turn}", location=f"{URL}{turn + 1}") for turn in range(11)),
        rows.REDIRECT_LOOP,
        "after 10 redirects before",
    ),
    "redirected to a name that is not there": Told(
        (hop(301, location="http://gone.example/"), Hop("http://gone.example/", "", 0, "unresolved", "A no-such-name")),
        rows.REDIRECT_UNRESOLVED,
        "gone.example has no address (A no-such-name)",
    ),
    "redirected to another site": Told(
        (hop(301, location=ELSEWHERE.url), ELSEWHERE),
        rows.REDIRECT_ELSEWHERE,
        f"redirects to https://www.other.example/ (301), where Apache/2.4 at {ROUTER}:443 answers 404",
    ),
    "redirected to a port of its own": Told(
        (hop(301, location=f"https://{HOST}:8443/"),),
        rows.REDIRECT_BAD_PORT,
        "CAs follow to ports 80 and 443 alone",
    ),
    "redirected to another scheme": Told(
        (hop(301, location="ftp://x/"),),
        rows.UNEXPECTED_ANSWER,
        "which CAs cannot follow",
    ),
    "redirected to a login elsewhere": Told(
        (LOGIN, hop(200, LOGIN.location, f"{ROUTER}:443", body="<title>Campus</title>")),
        rows.LOGIN_REDIRECT,
        "redirects to the login https://login.campus.example/adfs?back=/ (302)",
    ),
    "redirected to a login with 303": Told(
        (hop(303, location="/login"),),
        rows.LOGIN_REDIRECT,
        f"the login http://{HOST}/login (303)",
    ),
    "a login page": Told((hop(200, body="<title>Log in</title>"),), rows.LOGIN_PAGE, "a page called “Log in”"),
    "a page that asks for a password": Told((hop(200, body="<input type='password'>"),), rows.LOGIN_PAGE, "is a login"),
    "a password": Told(
        (hop(401, asks_password='Basic realm="x"'),),
        rows.PASSWORD_ASKED,
        'asks for a password (Basic realm="x")',
        "{ auth_basic off; proxy_pass",
    ),
    "another site": Told((hop(200, body="<html>"),), rows.OTHER_SITE, "answers 200 where the challenge should be"),
    "nothing behind nginx": Told((hop(502),), rows.UPSTREAM_DOWN, "answers 502", "`proxy_pass http://10.0.1.61:80;`"),
    "nothing behind HAProxy": Told(
        (hop(503, server="", body="<h1>503</h1> No server is available to handle this request."),),
        rows.UPSTREAM_DOWN,
        "answers 503",
        "`server perijove 10.0.1.61:80`",
    ),
    "another account's answer to this token": Told(
        (hop(200, body=f"{TOKEN}.{'x' * 43}\n"),),
        rows.OTHER_ACCOUNT,
        "this token with the key of another ACME account",
    ),
    "another Perijove": Told(
        (hop(404, marker="that-perijove"),),
        rows.OTHER_ACCOUNT,
        "as another Perijove (that-perijove)",
    ),
    "our solver without this token": Told(
        (hop(404, marker=MARKER),),
        rows.UNEXPECTED_ANSWER,
        "Perijove was reached",
        "Host header on unchanged",
    ),
    "our answer, changed on the way": Told(
        (hop(200, marker=MARKER, body=f"<pre>{EXPECTED}</pre>"),),
        rows.UNEXPECTED_ANSWER,
        "gives the right answer with '<pre></pre>' around it",
        "passed on as they are",
    ),
    "a byte order mark before the answer": Told(
        (hop(200, body=f"\ufeff{EXPECTED}"),), rows.UNEXPECTED_ANSWER, "with a byte order mark", "as they are"
    ),
    "an answer that is compressed": Told(
        (hop(200, body="\x1f\ufffd\x08", encoding="gzip"),),
        rows.UNEXPECTED_ANSWER,
        "answers compressed (gzip)",
        "Turn compression off",
    ),
    "our answer with another status": Told(
        (hop(203, marker=MARKER, body=EXPECTED),),
        rows.UNEXPECTED_ANSWER,
        "answers 203",
        "unchanged",
    ),
    "a text": Told((hop(200, body="hello"),), rows.UNEXPECTED_ANSWER, "answers 200: “hello”"),
    "a crash": Told((hop(500),), rows.UNEXPECTED_ANSWER, "answers 500"),
}


@pytest.mark.parametrize("which", FAULTS)
def test_what_stands_at_port_80_is_told_apart(which: str) -> None:
    told = FAULTS[which]
    verdict = judged(look(at(*told.hops)))
    assert verdict.failure is not None
    assert verdict.failure.kind is told.kind, verdict.failure.message
    assert told.cause in verdict.failure.cause
    assert told.remedy in verdict.failure.remedy
    assert len([one for one in verdict.failure.evidence if one.where.startswith("GET ")]) == len(told.hops)
    assert (verdict.open, verdict.confidence) == ((), told.confidence)


def test_an_answer_of_ours_is_open() -> None:
    assert judged(look(at(OURS))) == Verdict(None, CERTAIN, (HTTP,), ())


def test_white_space_after_the_answer_is_what_cas_forgive() -> None:
    assert judged(look(at(replace(OURS, body=f"{EXPECTED}\r\n")))).open == (HTTP,)


def test_the_right_answer_without_our_header_is_open_and_noted() -> None:
    verdict = judged(look(at(replace(OURS, marker="", server="nginx"))))
    assert (verdict.failure, verdict.open) == (None, (HTTP,))
    assert "header is taken out on the way" in verdict.notes[0].saw


def test_a_redirect_that_arrives_is_open_and_noted() -> None:
    arrived = replace(OURS, url=HTTPS, address=f"{HERE}:443", certificate=SELF_SIGNED)
    verdict = judged(look(at(TO_HTTPS, arrived)))
    assert (verdict.failure, verdict.open) == (None, (HTTP,))
    assert "1 redirect(s), the certificate there is self-signed (ingress.local)" in verdict.notes[0].saw


def test_every_address_that_a_ca_may_ask_has_to_lead_here() -> None:
    verdict = judged(look(at(OURS), at(hop(404, at=f"{ROUTER}:80"), address=ROUTER)))
    assert verdict.failure is not None
    assert verdict.failure.kind is rows.NOT_FORWARDED
    assert ROUTER in verdict.failure.cause


@pytest.mark.parametrize(
    ("there", "confidence"), [(silent("refused", at=f"[{SIX}]:80"), INSIDE), (hop(404, at=f"[{SIX}]:80"), CERTAIN)]
)
def test_ipv6_that_leads_elsewhere_is_its_own_fault(there: Hop, confidence: Confidence) -> None:
    """Some CAs fall back to IPv4 where they cannot connect, none where something else answers."""
    verdict = judged(look(at(there, address=SIX), at(OURS)))
    assert verdict.failure is not None
    assert verdict.failure.kind is rows.IPV6_BROKEN
    assert f"DNS has {SIX}" in verdict.failure.cause
    assert f"by IPv4 ({HERE}) Perijove answers" in verdict.failure.cause
    assert verdict.confidence is confidence


def test_ipv4_that_leads_elsewhere_is_noted_where_ipv6_leads_here() -> None:
    verdict = judged(look(at(OURS, address=SIX), at(silent("refused"))))
    assert (verdict.failure, verdict.open) == (None, (HTTP,))
    assert "visitors by IPv4 are lost" in verdict.notes[0].saw


def test_both_families_at_fault_are_not_blamed_on_ipv6() -> None:
    verdict = judged(look(at(silent("refused", at=f"[{SIX}]:80"), address=SIX), at(silent("refused"))))
    assert verdict.failure is not None
    assert verdict.failure.kind is rows.PORT_REFUSED


def test_port_443_is_enough_where_it_is_allowed() -> None:
    answered = Hop(f"https://{HOST}/", f"{HERE}:443", 0, marker="ours", certificate=SELF_SIGNED)
    seen = look(at(silent("timeout"), tls=answered))
    assert judged(seen, HTTP, TLS_ALPN).open == (TLS_ALPN,)
    refused = judged(seen, HTTP).failure
    assert refused is not None
    assert refused.kind is rows.PORT_FILTERED
    both = judged(look(at(OURS, tls=answered)), TLS_ALPN, HTTP)
    assert both.open == (TLS_ALPN, HTTP)


def test_port_443_alone_is_told_as_what_it_is() -> None:
    closed = Hop(f"https://{HOST}/", f"{HERE}:443", 0, "refused", "Connect call failed")
    failure = judged(look(at(OURS, tls=closed)), TLS_ALPN).failure
    assert failure is not None
    assert failure.kind is rows.NO_CHALLENGE
    assert (
        f"only tls-alpn-01 is allowed, and the TLS handshake for acme-tls/1 with {HERE}:443: refused" in failure.cause
    )


def test_dns_01_needs_no_port() -> None:
    asked = (dns("A", status="no-such-name"), dns("AAAA", status="no-such-name"))
    assert judged(look(asked=asked), HTTP, BY_DNS).open == (BY_DNS,)
    assert judged(look(host=f"*.{HOST}", asked=(dns("CAA"),)), BY_DNS) == Verdict(None, CERTAIN, (BY_DNS,), ())


def test_a_wildcard_without_dns_01_cannot_be_shown() -> None:
    failure = judged(look(host=f"*.{HOST}", asked=(dns("CAA"),)), HTTP).failure
    assert failure is not None
    assert failure.kind is rows.NO_CHALLENGE


@pytest.mark.parametrize(
    ("a", "aaaa", "kind", "cause"),
    [
        ("no-such-name", "no-such-name", rows.DNS_NO_SUCH_NAME, f"{PUBLIC_DNS} says that {HOST} does not exist"),
        ("no-record", "no-record", rows.DNS_NO_ADDRESS, "has neither an A nor an AAAA record"),
        ("no-record", "no-such-name", rows.DNS_NO_ADDRESS, "has neither an A nor an AAAA record"),
        ("server-failure", "no-record", rows.DNS_SERVER_FAILURE, f"cannot say which A records {HOST} has"),
        ("no-answer", "no-record", rows.DNS_NO_ANSWER, f"nothing came back from {PUBLIC_DNS}"),
    ],
)
def test_a_name_without_an_address_is_told_apart(a: str, aaaa: str, kind: Kind, cause: str) -> None:
    failure = judged(look(asked=(dns("AAAA", status=aaaa), dns("A", status=a)))).failure
    assert failure is not None
    assert failure.kind is kind
    assert cause in failure.cause


def test_an_alias_that_leads_nowhere_is_named() -> None:
    alias = dns("CNAME", "old.example.net")
    failure = judged(look(asked=(alias, dns("A", status="no-such-name"), dns("AAAA", status="no-such-name")))).failure
    assert failure is not None
    assert "through its alias old.example.net, does not exist" in failure.cause


def test_one_family_that_fails_is_noted_where_the_other_leads_here() -> None:
    asked = (dns("AAAA", status="server-failure"), dns("A", HERE))
    verdict = judged(look(at(OURS), asked=asked))
    assert (verdict.failure, verdict.open) == (None, (HTTP,))
    assert [note.where for note in verdict.notes] == [f"AAAA of {HOST} from {PUBLIC_DNS}"]


def test_another_machines_address_is_told_beside_our_own() -> None:
    failure = judged(look(at(hop(404, at=f"{ROUTER}:80"), address=ROUTER, ours=False))).failure
    assert failure is not None
    assert failure.kind is rows.DNS_WRONG_ADDRESS
    assert failure.cause == f"{HOST} leads to {ROUTER}, this machine has {HERE}; there nginx at {ROUTER}:80 answers 404"
    assert f"Change the A record of {HOST}" in failure.remedy
    assert "service.behind" in failure.remedy


def test_a_cdn_at_anothers_address_is_told_by_what_it_answers() -> None:
    through = hop(404, server="cloudflare", via="cf-ray: 8a")
    verdict = judged(look(at(through, address=ROUTER, ours=False)))
    assert verdict.failure is not None
    assert verdict.failure.kind is rows.NOT_FORWARDED
    assert verdict.confidence is INSIDE
    assert "may answer others otherwise" in verdict.failure.evidence[-1].saw


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ('0 issue "ca.example"', "lets others issue, and not letsencrypt.org"),
        ('0 issue ";"', "lets nobody issue"),
        ('0 issue "letsencrypt.org ca.example"', "lets others issue"),
        ('128 future "x"', "is critical, and CAs do not know the tag future"),
        ('0 issue "letsencrypt.org; validationmethods=dns-01"', "does not allow http-01"),
        ('0 issue "letsencrypt.org; accounturi=https://ca/1"', "is for another account than https://ca/2"),
    ],
)
def test_a_caa_record_that_forbids_is_named(record: str, cause: str) -> None:
    caa = dns("CAA", record, name="example.org")
    verdict = judged(look(at(OURS), asked=(dns("A", HERE), caa)), cas=("letsencrypt.org",), account="https://ca/2")
    assert verdict.failure is not None
    assert verdict.failure.kind is rows.CAA_FORBIDS
    assert verdict.failure.cause.startswith(f"at example.org: `{record}`")
    assert cause in verdict.failure.cause
    assert 'Add `example.org. CAA 0 issue "letsencrypt.org"`' in verdict.failure.remedy
    assert verdict.open == ()


@pytest.mark.parametrize(
    "records",
    [
        ('0 issue "ca.example"', '0 issue "LetsEncrypt.org"'),
        ('0 issue "letsencrypt.org; validationmethods=http-01,dns-01; accounturi=https://ca/2"',),
        ('0 iodef "mailto:x@example.org"',),
        ('0 issuewild ";"',),
        ('128 issue "letsencrypt.org"',),
        ('0 future "x"',),
    ],
)
def test_a_caa_record_that_allows_stands_in_nobodys_way(records: tuple[str, ...]) -> None:
    caa = dns("CAA", *records)
    verdict = judged(look(at(OURS), asked=(dns("A", HERE), caa)), cas=("letsencrypt.org",), account="https://ca/2")
    assert (verdict.failure, verdict.open) == (None, (HTTP,))


def test_a_wildcard_is_judged_by_its_own_caa_tag() -> None:
    caa = dns("CAA", '0 issue "letsencrypt.org"', '0 issuewild ";"')
    failure = judged(look(host=f"*.{HOST}", asked=(caa,)), BY_DNS, cas=("letsencrypt.org",)).failure
    assert failure is not None
    assert failure.kind is rows.CAA_FORBIDS


def test_a_caa_record_may_leave_one_challenge() -> None:
    answered = Hop(f"https://{HOST}/", f"{HERE}:443", 0, marker="ours", certificate=SELF_SIGNED)
    caa = dns("CAA", '0 issue "letsencrypt.org; validationmethods=tls-alpn-01"')
    seen = look(at(OURS, tls=answered), asked=(dns("A", HERE), caa))
    assert judged(seen, HTTP, TLS_ALPN, cas=("letsencrypt.org",)).open == (TLS_ALPN,)


@pytest.mark.parametrize(
    ("status", "kind"), [("server-failure", rows.DNS_SERVER_FAILURE), ("no-answer", rows.DNS_NO_ANSWER)]
)
def test_caa_records_that_nobody_tells_stop_a_ca(status: str, kind: Kind) -> None:
    seen = look(at(OURS), asked=(dns("A", HERE), dns("CAA", status=status)))
    verdict = judged(seen, cas=("letsencrypt.org",))
    assert verdict.failure is not None
    assert (verdict.failure.kind, verdict.confidence) == (kind, INSIDE)
    assert f"does not say which CAA records {HOST} has" in verdict.failure.cause
    assert judged(seen).failure is None  # a CA that names no identity looks at none


@pytest.mark.parametrize(
    ("ahead", "cause", "confidence"),
    [
        (12 * 365 * 86400.0, "this machine's clock is 4380 days behind the CA's", CERTAIN),
        (-7200.0, "this machine's clock is 120 minutes ahead of the CA's", CERTAIN),
        (400.0, "this machine's clock is 7 minutes behind the CA's", INSIDE),
    ],
)
def test_a_wrong_clock_is_told_before_all_else(ahead: float, cause: str, confidence: Confidence) -> None:
    verdict = judged(look(at(silent("refused"))), clock=ahead)
    assert verdict.failure is not None
    assert (verdict.failure.kind, verdict.failure.cause) == (rows.CLOCK_WRONG, cause)
    assert verdict.confidence is confidence


def test_a_clock_that_is_a_little_off_is_nobodys_business() -> None:
    assert judged(look(at(OURS)), clock=-240).failure is None


REFUSED = silent("refused")
CONFIDENCE = {
    "nothing listens at an address of our own": (look(at(REFUSED)), CERTAIN),
    "somebody answers at an address of our own": (look(at(hop(404))), CERTAIN),
    "loopback, whoever told it": (look(at(REFUSED, address="127.0.0.2", ours=False), server=STUB), CERTAIN),
    "a router's address, seen from behind it": (look(replace(at(REFUSED), translated=True)), INSIDE),
    "a page of that router": (look(replace(at(hop(200, body="<html>")), translated=True)), INSIDE),
    "a private machine, a public name": (look(at(REFUSED, ours=None)), INSIDE),
    "another machine that answers": (look(at(hop(404), address=ROUTER, ours=False)), CERTAIN),
    "another machine that does not answer": (look(at(REFUSED, address=ROUTER, ours=False)), INSIDE),
    "a private address that this network's server told": (
        look(at(REFUSED, address="10.0.1.61"), server=CAMPUS_DNS), INSIDE,
    ),
    "a private address that this machine's own server told": (
        look(at(REFUSED, address="10.0.1.61"), server=STUB), INSIDE,
    ),
    "a private address that everybody is told": (look(at(REFUSED, address="10.0.1.61")), CERTAIN),
    "no such name, by a public server": (look(asked=(dns("A", status="no-such-name"),)), CERTAIN),
    "no such name, by this network's server": (
        look(asked=(dns("A", status="no-such-name", server=CAMPUS_DNS),)), INSIDE,
    ),
    "a server that fails": (look(asked=(dns("A", status="server-failure"),)), INSIDE),
    "no server that answers": (look(asked=(dns("A", status="no-answer"),)), INSIDE),
}  # fmt: skip


@pytest.mark.parametrize("which", CONFIDENCE)
def test_how_sure_a_view_from_inside_is(which: str) -> None:
    seen, confidence = CONFIDENCE[which]
    verdict = judged(seen)
    assert verdict.failure is not None
    assert verdict.confidence is confidence
    explained = [one for one in verdict.failure.evidence if one.where == "seen from this machine only"]
    assert bool(explained) == (confidence is INSIDE)


def test_what_is_seen_of_a_private_address_of_our_own_is_open_but_not_certain() -> None:
    verdict = judged(look(at(OURS, address="10.0.1.61"), server=CAMPUS_DNS))
    assert (verdict.failure, verdict.open, verdict.confidence) == (None, (HTTP,), INSIDE)
