"""What a registry's answer means where it is not the one that was hoped for. Pure.

In: an answer, or why there was none. Out: a failure of the catalogue, by the status, the codes of the OCI distribution
specification 1.1 (`Error Codes`) and, for quotas, which it knows no code for, by words of Harbor, GitLab, Quay and ECR.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from perijove.domain.failures import Evidence, Failure
from perijove.domain.registry_failures import (
    NO_REGISTRY,
    OCI_BUSY,
    OCI_DENIED,
    OCI_FULL,
    OCI_INTERRUPTED,
    OCI_REFUSED,
    OCI_TLS,
    OCI_UNAUTHORISED,
    OCI_UNREACHABLE,
)

PAUSE, LONGEST_PAUSE = 30.0, 3600.0
"""Seconds to wait where it does not say, and at most."""
LOST = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "SIZE_INVALID"}
FORBIDDEN = {"DENIED", "NAME_UNKNOWN", "UNSUPPORTED"}
_QUOTA = re.compile(r"quota|configured upper limit|storage limit|limit ?exceeded|insufficient storage", re.IGNORECASE)
_NO_TLS = re.compile(r"plain HTTP request|HTTP request to an HTTPS server", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The beginning of one."""

    asked: str
    """The method and the address, without what stands behind its question mark."""
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def errors(self) -> tuple[set[str], str]:
        """The registry's codes, and its words; none where it does not speak as one."""
        try:
            told = json.loads(self.body)["errors"]
            found = [(str(one.get("code")), str(one.get("message") or "")) for one in told]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return set(), self.body.decode(errors="replace")
        return {code for code, _ in found}, "; ".join(f"{code}: {message}" for code, message in found)

    @property
    def token(self) -> str:
        """What it gives who asked for one; `` where it gives none that can be sent."""
        try:
            told = json.loads(self.body) if self.status == 200 else {}
            token = told.get("token") or told.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            return ""
        return token if isinstance(token, str) and token.isascii() and token.isprintable() else ""


def refused(answer: Answer, what: str) -> Failure:
    """`what` could not be done."""
    codes, words = answer.errors
    saw = Evidence(answer.asked, f"{answer.status} {words}".strip()[:500])
    match answer.status:
        case 401:
            return OCI_UNAUTHORISED(f"{what}: it asks who we are", saw)
        case 413:
            remedy = "Raise what it, or the web server before it, takes in one request (nginx: client_max_body_size)."
            return OCI_FULL(f"{what}: the request is too large for it", saw, remedy=remedy)
        case 429:
            return OCI_BUSY(f"{what}: there were too many requests", saw, after=_pause(answer))
        case _ if answer.status == 507 or (answer.status // 100 == 4 and _QUOTA.search(words[:2000])):
            return OCI_FULL(f"{what}: there is no room for it", saw)
        case 503 if "retry-after" in answer.headers:
            return OCI_BUSY(f"{what}: it is not ready", saw, after=_pause(answer))
        case _ if answer.status >= 500:
            return OCI_UNREACHABLE(f"{what}: it failed with {answer.status}", saw)
        case 400 if _NO_TLS.search(words[:2000]):
            return OCI_TLS(f"{what}: it wants TLS and was asked without", saw, remedy="Write it without http://.")
        case _ if codes & LOST:
            return OCI_INTERRUPTED(f"{what}: it no longer knows what it was given", saw)
        case 403 | 405:
            return OCI_DENIED(what, saw)
        case _ if codes & FORBIDDEN:
            return OCI_DENIED(what, saw)
        case _ if codes:
            return OCI_REFUSED(what, saw)
    return NO_REGISTRY(f"{what}: it does not answer as the OCI distribution specification says", saw)


def unanswered(error: Exception, asked: str, what: str, *, uploading: bool) -> Failure:
    """The same, where no answer came."""
    causes = list(_causes(error))
    saw = Evidence(asked, (str(error) or type(error).__name__)[:500])
    for one in causes:
        if isinstance(one, ssl.SSLCertVerificationError):
            return OCI_TLS(f"{what}: its certificate is not trusted ({one.verify_message})", saw)
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return OCI_TLS(f"{what}: what it speaks is no TLS that we know", saw)
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return (OCI_INTERRUPTED if uploading else NO_REGISTRY)(f"{what}: what came back is no HTTP", saw)
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects)):
        return NO_REGISTRY(f"{what}: it leads to where nothing can be asked", saw)
    if uploading and not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return OCI_INTERRUPTED(f"{what}: the connection was lost midway", saw)
    return OCI_UNREACHABLE(what, saw)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(20):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _pause(answer: Answer) -> float:
    """Seconds (RFC 9110, 10.2.3); where it names a time, the usual ones."""
    told = answer.headers.get("retry-after", "")
    return min(float(told), LONGEST_PAUSE) if re.fullmatch(r"[0-9]{1,9}", told) else PAUSE
