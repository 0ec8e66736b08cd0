"""Why a CA cannot be asked, from what the libraries raise."""

from __future__ import annotations

import socket
import ssl
from itertools import pairwise

import pytest

from perijove.backends.acme import reach
from perijove.backends.acme.connection import Cut
from perijove.domain.certificate_failures import ACME_NOT_ACME, ACME_UNREACHABLE, ACME_UNTRUSTED
from perijove.domain.failures import Kind
from perijove.proxies import ProxyRefused

URL = "https://ca.example:14000/dir"


def raised(*causes: BaseException) -> BaseException:
    """The last, raised from the one before it, and so on."""
    for cause, error in pairwise(causes):
        error.__cause__ = cause
    return causes[-1]


@pytest.mark.parametrize(
    ("causes", "row", "words"),
    [
        ((socket.gaierror(-2, "Name or service not known"), OSError("all failed"), OSError("no")),
         ACME_UNREACHABLE, "the name of ca.example:14000 does not resolve"),
        ((ConnectionRefusedError(111, "refused"), OSError("All connection attempts failed")),
         ACME_UNREACHABLE, "ca.example:14000 refuses the connection"),
        ((ExceptionGroup("several", [OSError(101, "Network is unreachable"), ConnectionRefusedError(111, "refused")]),
          OSError("All connection attempts failed")),
         ACME_UNREACHABLE, "ca.example:14000 refuses the connection"),
        ((TimeoutError(),), ACME_UNREACHABLE, "ca.example:14000 does not answer in time"),
        ((ProxyRefused("407 Proxy Authentication Required"),), ACME_UNREACHABLE,
         "the proxy does not let us through to ca.example:14000"),
        ((ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), Cut("x")),
         ACME_NOT_ACME, "ca.example:14000 does not speak TLS that we understand"),
        ((ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Cut("x")),
         ACME_UNREACHABLE, "ca.example:14000 ends the connection before TLS stands"),
        ((ValueError("no"),), ACME_UNREACHABLE, "the connection to ca.example:14000 fails"),
    ],
)  # fmt: skip
def test_what_was_raised_is_told_in_words(causes: tuple[BaseException, ...], row: Kind, words: str) -> None:
    told = reach.unreachable(raised(*causes), URL)
    assert (told.kind, told.cause) == (row, words)
    assert told.evidence[0].where == URL
    assert all(type(one).__name__ in told.evidence[0].saw for one in causes)


def test_errors_that_lead_in_a_circle_come_to_an_end() -> None:
    one, other = OSError("a"), OSError("b")
    one.__cause__, other.__cause__ = other, one
    assert reach.unreachable(one, URL).evidence[0].saw == "OSError: a; OSError: b"


def test_a_certificate_that_nobody_saw_is_untrusted_all_the_same() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    assert reach.refused_certificate(raised(refused, Cut("x"))) is refused
    assert reach.refused_certificate(Cut("x")) is None


def test_the_public_roots_are_trusted_without_a_file() -> None:
    assert len(reach.roots("").get_ca_certs()) > 50


def test_a_refused_certificate_that_could_not_be_looked_at_keeps_the_verifiers_words() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_code, refused.verify_message = 18, "self-signed certificate"
    told = reach.untrusted(refused, URL, b"", 0)
    assert (told.kind, told.cause) == (ACME_UNTRUSTED, "self-signed certificate")


@pytest.mark.parametrize("url", ["https://[bad/dir", "nonsense", ""])
def test_a_url_that_is_none_is_told_as_it_stands(url: str) -> None:
    assert reach.unreachable(ValueError("no"), url).evidence[0].where == url
