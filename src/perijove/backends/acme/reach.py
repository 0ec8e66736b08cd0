"""Why a CA cannot be asked: its name, its port, its TLS, its certificate or our clock.

In: what the HTTP library raised, and what an answer shows when trust is put aside for one look at it. Out: a Failure
with the system's own words. `roots` alone reads files, `proxy` the environment.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from socket import gaierror
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
from cryptography import x509
from cryptography.x509.oid import NameOID

from perijove.backends.acme.views import plain
from perijove.domain import certificate_failures as rows
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.proxies import ProxyRefused

NOT_YET_VALID, EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED of OpenSSL."""
_IGNORE_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python has no name for it."""
CLOCK_TOLERANCE = 60.0
"""Seconds by which two good clocks may differ."""
WORDS = 2000


def roots(ca_file: str) -> ssl.SSLContext:
    """Who may vouch for a CA: the issuer's own file, else the public roots and the system's.

    The environment (SSL_CERT_FILE, REQUESTS_CA_BUNDLE) has no say. Raises Fail: `cert.file-unreadable`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca_file or certifi.where())
    except (OSError, ValueError) as error:  # ssl.SSLError, where it is no PEM, is an OSError
        seen = Evidence(ca_file, f"{type(error).__name__}: {error}")
        raise Fail(rows.FILE_UNREADABLE("the issuer's `ca_file` holds no roots that can be read", seen)) from error
    if not ca_file:
        system = ssl.get_default_verify_paths()
        file, folder = Path(system.openssl_cafile), Path(system.openssl_capath)
        if file.is_file() or folder.is_dir():
            context.load_verify_locations(file if file.is_file() else None, folder if folder.is_dir() else None)
    return context


def lenient(context: ssl.SSLContext, refused: ssl.SSLCertVerificationError) -> ssl.SSLContext:
    """For one look, without a secret, at what was refused: as strict as possible, so that nobody else can answer."""
    if refused.verify_code in {NOT_YET_VALID, EXPIRED}:
        context.verify_flags |= ssl.VerifyFlags(_IGNORE_TIME)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def loopback(host: str) -> bool:
    """Whether it is this machine's own, which no proxy can reach for us."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy(host: str) -> str:
    """URL of the environment's proxy for a host, maybe with a password; `` for none."""
    if loopback(host) or proxy_bypass(host):
        return ""
    proxies = getproxies()
    named = proxies.get("https", "") or proxies.get("all", "")
    return named if "://" in named or not named else f"http://{named}"


def _proxy_told(url: str) -> str:
    """`HOST:PORT` of the proxy for a URL, without its password; `` for none."""
    try:
        named = proxy(urlsplit(url).hostname or "")
    except ValueError:
        return ""
    return plain(named.rpartition("://")[2].rpartition("@")[2].rstrip("/"), 253)


def refused_certificate(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The verification that failed, where that is what an error comes from."""
    return next((one for one in _causes(error) if isinstance(one, ssl.SSLCertVerificationError)), None)


def unreachable(error: BaseException, url: str) -> Failure:
    """Why no answer came."""
    causes = list(_causes(error))
    seen = Evidence(url, plain("; ".join(dict.fromkeys(f"{type(one).__name__}: {one}" for one in causes)), WORDS))
    host = plain(url.partition("://")[2].partition("/")[0] or url, 253)
    host += f" (by the proxy {by})" if (by := _proxy_told(url)) else ""
    for one in causes:
        match one:
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return rows.ACME_UNREACHABLE(f"{host} ends the connection before TLS stands", seen)
            case ssl.SSLError():
                return rows.ACME_NOT_ACME(f"{host} does not speak TLS that we understand", seen)
            case gaierror():
                return rows.ACME_UNREACHABLE(f"the name of {host} does not resolve", seen)
            case ConnectionRefusedError():
                return rows.ACME_UNREACHABLE(f"{host} refuses the connection", seen)
            case TimeoutError():
                return rows.ACME_UNREACHABLE(f"{host} does not answer in time", seen)
            case ProxyRefused():
                return rows.ACME_UNREACHABLE(f"the proxy does not let us through to {host}", seen)
    return rows.ACME_UNREACHABLE(f"the connection to {host} fails", seen)


def untrusted(error: ssl.SSLCertVerificationError, url: str, der: bytes, date: float) -> Failure:
    """Why its certificate is refused. `der` is what it showed, `date` its Date; empty and 0 where neither was seen."""
    words = Evidence(url, plain(error.verify_message or str(error), WORDS))
    if not der:
        return rows.ACME_UNTRUSTED(words.saw, words)
    shown = x509.load_der_x509_certificate(der)
    start, end = shown.not_valid_before_utc.timestamp(), shown.not_valid_after_utc.timestamp()
    certificate = Evidence("its certificate", _told(shown))
    now = time.time()
    if error.verify_code not in {NOT_YET_VALID, EXPIRED}:
        return rows.ACME_UNTRUSTED(f"{words.saw}; it is signed by {_common_name(shown.issuer)}", words, certificate)
    clocks = Evidence("clocks", f"ours {_written(now)}, the CA's {_written(date) if date else 'not told'}")
    if date and start <= date <= end and not start <= now <= end and abs(date - now) > CLOCK_TOLERANCE:
        ahead = "ahead of" if now > date else "behind"
        return rows.CLOCK_WRONG(f"it is {_span(abs(now - date))} {ahead} the CA's", clocks, certificate, words)
    return rows.ACME_UNTRUSTED(words.saw, words, certificate, clocks)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it comes from, each once."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [inner for inner in (one.__cause__, one.__context__) if inner is not None]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()


def _told(certificate: x509.Certificate) -> str:
    times = f"{_written(certificate.not_valid_before_utc.timestamp())} to " + _written(
        certificate.not_valid_after_utc.timestamp()
    )
    return f"of {_common_name(certificate.subject)}, signed by {_common_name(certificate.issuer)}, valid {times}"


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return plain(str(found[0].value) if found else name.rfc4514_string() or "nobody", 200)


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
