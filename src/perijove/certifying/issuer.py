"""Who is asked for a certificate, and who next? In: the wish, what became of others. Out: issuers in order. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import CertificateSpec, Issuer, IssuerKind
from perijove.domain.failures import Failure

FALLS_OVER = frozenset(
    kind.code
    for kind in (
        rows.ACME_UNREACHABLE, rows.ACME_UNTRUSTED, rows.ACME_NOT_ACME, rows.ACME_UNAVAILABLE, rows.ACME_RATE_LIMITED,
        rows.ACME_BAD_NONCE, rows.ACME_EAB_REQUIRED, rows.ACME_ACCOUNT_REFUSED, rows.ACME_TERMS_CHANGED,
        rows.NAME_REJECTED, rows.PROFILE_UNKNOWN, rows.CAA_FORBIDS, rows.ACME_ERROR, rows.CA_SLOW, rows.ORDER_INVALID,
        rows.FILE_UNREADABLE, rows.FILE_FORM, rows.KEY_MISMATCH, rows.CHAIN_BROKEN, rows.NAMES_MISSING,
        rows.NOT_VALID_NOW, rows.LOCAL_CA_BROKEN,
    )
)  # fmt: skip
"""Failures that lie with one issuer, and that another one may not have. What the CA did not see, no CA will see."""


def remaining(spec: CertificateSpec, chosen: str) -> tuple[Issuer, ...]:
    """The issuers to ask, from the one chosen before on; all where none was, or the settings do not know it."""
    names = [issuer.name for issuer in spec.issuers]
    return spec.issuers[names.index(chosen) :] if chosen in names else spec.issuers


def because(issuer: Issuer, failure: Failure) -> str:
    """Why the one after it is asked."""
    return f"{issuer.name} cannot: {failure.kind.title[:1].lower()}{failure.kind.title[1:]}: {failure.cause}"


def asks_for_proof(issuers: Sequence[Issuer]) -> bool:
    """Whether the first of them has to be shown that the name is ours."""
    return bool(issuers) and issuers[0].kind is IssuerKind.ACME
