"""Which names want a certificate, and from whom? In: settings. Out: a CertificateSpec for each certificate. Pure.

Raises Fail `platform.bad-settings` for an issuer that nobody knows, or a wish that no issuer can fulfil.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

from perijove.certifying.challenge import BY_DNS
from perijove.domain.certificate_settings import CertificatesSettings, IssuerSettings
from perijove.domain.certificates import (
    LOCAL_NAMES,
    CertificateSpec,
    ChallengeType,
    HostName,
    Issuer,
    IssuerKind,
    is_address,
)
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail
from perijove.domain.listening import certified_hosts
from perijove.domain.settings import Settings

LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETSENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
ZEROSSL = "https://acme.zerossl.com/v2/DV90"
KNOWN = {
    issuer.name: issuer
    for issuer in (
        Issuer("letsencrypt", IssuerKind.ACME, LETSENCRYPT, LETSENCRYPT_STAGING),
        Issuer("letsencrypt-staging", IssuerKind.ACME, LETSENCRYPT_STAGING),
        Issuer("zerossl", IssuerKind.ACME, ZEROSSL),
        Issuer("local", IssuerKind.LOCAL),
    )
}
REHEARSALS = frozenset(issuer.staging for issuer in KNOWN.values() if issuer.staging)
"""Directories whose certificates no browser trusts."""
LOCAL_SUFFIXES = tuple(f".{name}" for name in LOCAL_NAMES)
"""No public CA issues for what nobody can own."""
FOR_ADDRESSES = "shortlived"
"""The profile by which Let's Encrypt issues for IP addresses."""
MOST_NAMES = {"tlsserver": 25, FOR_ADDRESSES: 25}
"""Names that Let's Encrypt puts into a certificate of these profiles (its page on profiles, 2026-11); others: 100."""
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def wanted(settings: Settings) -> tuple[CertificateSpec, ...]:
    """What each of the service's names shall get, and all those of sessions together."""
    return tuple(_spec(names, settings.certificates) for names in certified_hosts(settings.service))


def is_local(host: HostName) -> bool:
    """Whether no public CA can issue for it: a name or an address of this machine or network alone."""
    if is_address(host):
        return not ip_address(host).is_global
    return "." not in host or host.endswith(LOCAL_SUFFIXES)


def _spec(names: tuple[HostName, ...], settings: CertificatesSettings) -> CertificateSpec:
    host, own = names[0], settings.host.get(names[0])
    for name in names:
        _check_host(name)
    usual = "local" if all(map(is_local, names)) else "letsencrypt"
    asked = (own.issuers if own else ()) or settings.issuers or (usual,)
    where = f'certificates.host."{host}".issuers' if own and own.issuers else "certificates.issuers"
    issuers = [_for_host(host, _issuer(name, settings, where)) for name in asked]
    challenges = _challenges(host, (own.challenges if own else ()) or settings.challenges)
    for name in names if any(issuer.kind is IssuerKind.ACME for issuer in issuers) else ():
        _check_challenges(name, challenges, settings)
    for issuer in issuers:
        _check_number(names, issuer)
    return CertificateSpec(host, tuple(issuers), challenges, settings.rehearse, names[1:])


def _for_host(host: HostName, issuer: Issuer) -> Issuer:
    if is_address(host) and issuer.directory in (LETSENCRYPT, LETSENCRYPT_STAGING) and not issuer.profile:
        return replace(issuer, profile=FOR_ADDRESSES)
    return issuer


def _issuer(name: str, settings: CertificatesSettings, where: str) -> Issuer:
    """By the operator's own table, by a known name, or by a directory's URL."""
    if name in settings.issuer:
        return _own(name, settings.issuer[name], settings)
    if name in KNOWN:
        known = replace(KNOWN[name], email=settings.email, profile=settings.profile)
        if name == "local":
            return KNOWN[name]
        return _bound(known, settings) if name == "zerossl" else known
    if name.startswith("https://"):
        known = next((one for one in KNOWN.values() if one.directory == name), Issuer("", IssuerKind.ACME, name))
        found = replace(known, ca_file=settings.acme_ca, email=settings.email, profile=settings.profile)
        return _bound(replace(found, name=known.name or name.removeprefix("https://").rstrip("/")), settings)
    raise _bad(
        where,
        f"knows no issuer {name!r}: use {', '.join(KNOWN)}, an https URL, or a table certificates.issuer.{name}",
        name,
    )


def _bound(issuer: Issuer, settings: CertificatesSettings) -> Issuer:
    """With the external account binding, which must be whole."""
    if bool(settings.eab_kid) != bool(settings.eab_key_file):
        raise _bad("certificates.eab_kid", "and certificates.eab_key_file go together", settings.eab_kid)
    return replace(issuer, eab_kid=settings.eab_kid, eab_key_file=settings.eab_key_file)


def _own(name: str, own: IssuerSettings, settings: CertificatesSettings) -> Issuer:
    where = f"certificates.issuer.{name}"
    if own.chain or own.key:
        if not (own.chain and own.key):
            raise _bad(where, "needs both chain and key", own.chain or own.key)
        if own.directory:
            raise _bad(where, "is either a directory or files, not both", own.directory)
        return Issuer(name, IssuerKind.FILES, chain_file=own.chain, key_file=own.key)
    known = KNOWN.get(name, Issuer(name, IssuerKind.ACME))
    directory = own.directory or known.directory
    if not directory.startswith("https://"):
        raise _bad(where, "needs a directory with an https URL, or a chain and a key", own.directory)
    if bool(own.eab_kid) != bool(own.eab_key_file):
        raise _bad(where, "needs both eab_kid and eab_key_file, or none", own.eab_kid or own.eab_key_file)
    return Issuer(
        name,
        IssuerKind.ACME,
        directory,
        own.staging or (known.staging if directory == known.directory else ""),
        own.ca_file,
        own.email or settings.email,
        own.profile or settings.profile,
        own.eab_kid,
        own.eab_key_file,
    )


def _challenges(host: HostName, names: Sequence[str]) -> tuple[ChallengeType, ...]:
    known = [kind.value for kind in ChallengeType]
    for name in names:
        if name not in known:
            raise _bad("certificates.challenges", f"must be of {', '.join(known)} (for {host})", name)
    return tuple(ChallengeType(name) for name in names)


def _check_challenges(host: HostName, challenges: Sequence[ChallengeType], settings: CertificatesSettings) -> None:
    """That at least one way is left on which an ACME CA can be shown this name."""
    if host.startswith("*."):
        if challenges and BY_DNS.isdisjoint(challenges):
            why = f"must hold dns-01 or dns-persist-01 for the wildcard {host}"
            raise _bad("certificates.challenges", why, ", ".join(challenges))
        if not settings.dns and ChallengeType.DNS_PERSIST not in challenges:
            why = f"must be set, or certificates.challenges hold dns-persist-01: the wildcard {host} needs one of them"
            raise _bad("certificates.dns", why, settings.dns)
    if is_address(host) and challenges and BY_DNS.issuperset(challenges):
        why = f"must hold more than {' and '.join(challenges)} for the address {host}"
        raise _bad("certificates.challenges", why, ", ".join(challenges))
    if ChallengeType.DNS in challenges and not settings.dns:
        raise _bad("certificates.challenges", "holds dns-01, which needs certificates.dns", ", ".join(challenges))


def _check_number(names: tuple[HostName, ...], issuer: Issuer) -> None:
    most = MOST_NAMES.get(issuer.profile, len(names)) if issuer.directory in (LETSENCRYPT, LETSENCRYPT_STAGING) else 0
    if 0 < most < len(names):
        why = f"must hold {most} names at most, as {issuer.name} issues by the profile {issuer.profile}; use a wildcard"
        raise _bad("service.session_hosts", why, f"{len(names)} names")


def _check_host(host: HostName) -> None:
    if is_address(host):
        return
    labels = host.removeprefix("*.").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _bad(
            "service.hosts", "must hold names like binder.example.org, in lower case and as DNS knows them", host
        )
    if host.startswith("*.") and len(labels) < 2:
        raise _bad("service.hosts", "holds a wildcard that no CA issues for", host)


def _bad(name: str, why: str, saw: str) -> Fail:
    return Fail(BAD_SETTINGS(f"{name} {why}", Evidence(name, saw[:200])))
