"""What an operator can set about certificates: tables of `settings`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from perijove.domain.certificates import ChallengeType

Seconds = Annotated[float, "seconds"]


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    directory: str = ""
    """URL of an ACME directory."""
    staging: str = ""
    """URL of its rehearsal's directory, asked first for a new host."""
    ca_file: str = ""
    """Roots that its own TLS is judged by, in PEM."""
    email: str = ""
    """Whom the CA writes to; `certificates.email` where empty."""
    profile: str = ""
    """A certificate profile of that CA: `tlsserver`, `shortlived`."""
    eab_kid: str = ""
    """Key identifier of the external account binding."""
    eab_key_file: str = ""
    """File with its MAC key, base64url; 0600."""
    chain: str = ""
    """The operator's own certificate with its chain, in PEM; watched."""
    key: str = ""
    """Its private key; watched."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    issuers: tuple[str, ...] = ()
    """As `certificates.issuers`, for this host."""
    challenges: tuple[ChallengeType, ...] = ()
    """As `certificates.challenges`, for this host."""


@dataclass(frozen=True, slots=True)
class CertificatesSettings:
    email: str = ""
    """Whom CAs write to."""
    issuers: tuple[str, ...] = ()
    """Who signs, in order; the next where one cannot. Known by name: `letsencrypt`, `letsencrypt-staging`, `zerossl`,
    `local` (the embedded CA); or a directory's URL, or a name of `certificates.issuer`. Empty: `letsencrypt`, and
    `local` for names of this machine."""
    acme_ca: str = ""
    """File with the roots that an issuer given by its URL is judged by."""
    profile: str = ""
    """Certificate profile, for issuers without one of their own."""
    eab_kid: str = ""
    """External account binding for issuers given by their URL: its key identifier."""
    eab_key_file: str = ""
    """File with its MAC key."""
    challenges: tuple[ChallengeType, ...] = ()
    """How names are shown to be ours, in the order of preference. Empty: whatever is open, http-01 first."""
    look_every: Seconds = 300
    """How often a host that has its certificate is looked at, whether a renewal would succeed; 0: never. One that looks
    ill is looked at every half minute. What its CA says of itself is asked for once an hour at most."""
    rehearse: bool = True
    """Whether a new host asks the CA's staging first, where it has one."""
    issuer: Mapping[str, IssuerSettings] = field(default_factory=dict)
    """Issuers of the operator's own: `[certificates.issuer.campus]`."""
    host: Mapping[str, HostSettings] = field(default_factory=dict)
    """What differs for one host: `[certificates.host."wiki.example.org"]`."""
    dns: str = ""
    """Who writes records for dns-01: `rfc2136`, a provider of dns-lexicon (`cloudflare`), or `hook:/path/to/it`."""
    dns_options: Mapping[str, str] = field(default_factory=dict)
    """What it needs: `server`, `key_name`, `key_file`, `algorithm`, `zone` for rfc2136; a provider's own options, each
    also as `<option>_file`, for secrets."""
    on_renewed: tuple[str, ...] = ()
    """Commands run after each new certificate, with PERIJOVE_HOST, PERIJOVE_NAMES, PERIJOVE_CHAIN and PERIJOVE_KEY."""
    resolvers: tuple[str, ...] = ()
    """Name servers to look with, `ADDRESS` or `ADDRESS:PORT`. Empty: this machine's."""
    public_addresses: tuple[str, ...] = ()
    """Addresses that the names should lead to, where this machine does not have them itself (NAT)."""
    public_roots: str = ""
    """File with the roots that visitors' browsers trust. Empty: Mozilla's."""
    http_port: int = 80
    """The port at which the CA asks for http-01; another for a private CA only."""
    tls_port: int = 443
    """The port at which the CA asks for tls-alpn-01; another for a private CA only."""
