"""The faults of `faulty_web`, a row each: who has it, and how it is to be told."""

from __future__ import annotations

from dataclasses import dataclass

from tests.fakes.dns import Dns
from tests.fakes.faulty_web import CLOSED_443, EMPTY, FILTERED, FRONT, MARKER, OTHER_KEY, STRANGER, TLS_80

QUICK, SLOW = 1.0, 3.5
"""Seconds for a look and its judgement on a loaded machine; without load 0.1 and 3."""


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

    def happens(self, dns: Dns) -> None:
        """From now on."""
        dns.set("www.moved.example", "A", FRONT)
        if self.a:
            dns.set(self.name, "A", self.a)
        if self.how:
            dns.misbehave(self.name, self.how)


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
