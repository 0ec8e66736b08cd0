"""The words of the certificate way: issuer, order, challenge, secret, and what was seen of a host. Frozen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from perijove.domain.persistent_record import PersistentRecord

HostName = str
"""A name that a certificate is for: `binder.example.org`, `*.example.org`, `192.0.2.1`, `2001:db8::1`."""
OrderName = str
"""`<host>-<number>`: one attempt to get one certificate; it is called by its first name."""

SOLVER_HEADER = "X-Perijove-Solver"
"""Whatever answers below `/.well-known/acme-challenge/` says by this header which Perijove it is."""
LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa", "test")
"""RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`: names that nobody can own, with all below them."""


@lru_cache(maxsize=4096)
def is_address(host: HostName) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def written(name: HostName) -> HostName:
    """A name or an address in the one way of writing it, so that equal ones are equal texts."""
    return str(ip_address(name)) if is_address(name) else name.lower().rstrip(".")


def covers(held: Iterable[HostName], name: HostName) -> bool:
    """Whether a certificate that holds these names is one for `name`; a wildcard holds one label (RFC 9525, 6.3)."""
    whole = is_address(name) or name.startswith("*.")
    wanted = {written(name)} if whole else {written(name), written("*." + name.partition(".")[2])}
    return not wanted.isdisjoint(map(written, held))


class IssuerKind(StrEnum):
    """Where certificates come from."""

    ACME = "acme"
    """a CA that speaks RFC 8555"""
    LOCAL = "local"
    """the embedded CA"""
    FILES = "files"
    """the operator's own files"""


class ChallengeType(StrEnum):
    """How a CA is shown that a name is ours."""

    HTTP = "http-01"
    """RFC 8555, 8.3"""
    TLS_ALPN = "tls-alpn-01"
    """RFC 8737"""
    DNS = "dns-01"
    """RFC 8555, 8.4"""
    DNS_PERSIST = "dns-persist-01"
    """draft-ietf-acme-dns-persist-02: by a record that stays"""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs."""

    name: str
    """`letsencrypt`, `local`, or the operator's own name for it."""
    kind: IssuerKind
    directory: str = ""
    """URL of the ACME directory."""
    staging: str = ""
    """URL of the directory of its rehearsal, used as the eye outside; `` for none."""
    ca_file: str = ""
    """Roots by which the directory's own TLS is judged, in PEM; ``: the public ones."""
    email: str = ""
    profile: str = ""
    """One of the directory's `meta.profiles`; ``: the CA's default."""
    eab_kid: str = ""
    eab_key_file: str = ""
    """File with the MAC key of the external account binding, base64url (RFC 8555, 7.3.4)."""
    chain_file: str = ""
    key_file: str = ""
    """The operator's files, for `files`."""


@dataclass(frozen=True, slots=True)
class CertificateSpec:
    """What the operator wants for one host, or for several names together."""

    host: HostName
    """By which the certificate is called: its first name."""
    issuers: tuple[Issuer, ...]
    """The first that can; the others when it cannot."""
    challenges: tuple[ChallengeType, ...] = ()
    """Allowed ones in the order of preference; empty: chosen by what is open."""
    rehearse: bool = True
    """Whether a host that never had a certificate asks `staging` first."""
    also: tuple[HostName, ...] = ()
    """Further names of the same certificate."""

    @property
    def names(self) -> tuple[HostName, ...]:
        """All of them."""
        return (self.host, *self.also)


# What a CA says: RFC 8555, 7.1


class OrderStatus(StrEnum):
    """RFC 8555, 7.1.6; `errored` is ours: the CA could not be asked to the end."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    ERRORED = "errored"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 7807), whole."""

    type: str
    """`urn:ietf:params:acme:error:unauthorized`"""
    detail: str
    status: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    """All of it, subproblems included, as it came; bounded."""


@dataclass(frozen=True, slots=True)
class ChallengeView:
    """One way the CA offers; types that we do not know are kept and never chosen."""

    type: str
    url: str
    token: str
    status: str
    """pending, processing, valid, invalid"""
    problem: Problem | None = None
    issuer_domain_names: tuple[str, ...] = ()
    """Of dns-persist-01: by which of the CA's names a record may call it."""
    account_uri: str = ""
    """Of dns-persist-01 up to its draft 01: as what the CA knows us; `` where it does not say."""


@dataclass(frozen=True, slots=True)
class AuthorizationView:
    """What the CA wants shown for one name."""

    url: str
    host: HostName
    """Without `*.`; `wildcard` says whether it stood there."""
    wildcard: bool
    status: str
    """pending, valid, invalid, deactivated, expired, revoked"""
    challenges: tuple[ChallengeView, ...]

    @property
    def name(self) -> HostName:
        """As it stood in the order."""
        return f"*.{self.host}" if self.wildcard else self.host


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the CA tells it now."""

    url: str
    status: OrderStatus
    authorizations: tuple[str, ...]
    """URLs"""
    finalize: str
    certificate: str = ""
    """URL, once valid."""
    problem: Problem | None = None
    expires: float = 0
    """Unix seconds; 0 where it does not say."""
    look_again: float = 0
    """Seconds the CA asked us to wait before the next look; 0 where it did not."""


@dataclass(frozen=True, slots=True)
class CaDirectory:
    """A CA's directory (RFC 8555, 7.1.1)."""

    url: str
    profiles: tuple[str, ...] = ()
    eab_required: bool = False
    terms: str = ""
    caa_identities: tuple[str, ...] = ()
    renewal_info: bool = False
    """Whether it says when to renew (RFC 9773)."""
    clock_ahead: float = 0
    """Seconds by which its clock is ahead of ours, by the answer's Date; 0 where it sent none."""
    issuer_domain_names: tuple[str, ...] = ()
    """By which names records for dns-persist-01 call it; a CA that names some offers that challenge (draft, 3.2)."""
    account_hash_prefix: str = ""
    """Before the hash by which such records name an account (draft, 4.1); ``: they name its URL."""


@dataclass(frozen=True, slots=True)
class Account:
    """Our account at a CA."""

    url: str
    thumbprint: str
    """Of its key (RFC 7638): a key authorization is `<token>.<thumbprint>`."""


@dataclass(frozen=True, slots=True)
class RenewalWindow:
    """When the CA would like a renewal (RFC 9773, 4.2). Unix seconds."""

    start: float
    end: float
    explanation: str = ""
    """URL"""
    look_again: float = 21600
    """Seconds until it is worth asking again."""


@dataclass(frozen=True, slots=True)
class ChallengeAnswer:
    """What must be seen at a name while the CA looks."""

    host: HostName
    type: ChallengeType
    token: str
    key_authorization: str
    directory: str
    """URL of the CA's directory; the TLS-ALPN solver files answers by it."""
    record: PersistentRecord | None = None
    """What must stand in DNS for dns-persist-01."""


# Secrets


@dataclass(frozen=True, slots=True)
class Secret:
    """A private key and its chain on disk, verified."""

    host: HostName
    revision: str
    """Name of its folder, unique for the host."""
    names: tuple[HostName, ...]
    """Those that it holds."""
    not_before: float
    not_after: float
    """Unix seconds."""
    serial: str
    """Hexadecimal."""
    fingerprint: str
    """SHA-256 of the leaf's DER, hexadecimal."""
    signed_by: str
    """Common name of the leaf's issuer."""
    issuer: str
    """Name of the `Issuer` it came from."""
    directory: str
    """The ACME directory it came from; `` for others."""
    ari: str
    """Its identifier for renewal information (RFC 9773, 4.1); `` where it has none."""
    chain: Path
    key: Path
    ordered: tuple[HostName, ...] = ()
    """Names that it was got for; empty: for its host alone."""


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """A certificate as a handshake showed it."""

    subject: str
    names: tuple[str, ...]
    signed_by: str
    not_before: float
    not_after: float
    fingerprint: str
    self_signed: bool
    trusted: bool
    """Whether the roots that visitors' browsers trust lead to it, by its name and now."""
    problem: str = ""
    """Why it is not trusted, in OpenSSL's words; `` where nobody asked."""

    @property
    def called(self) -> str:
        """Its subject, or its names where that says nothing, as CAs have it by now."""
        return self.subject or ", ".join(self.names[:5])


# What is seen of a host


class Confidence(StrEnum):
    """How much a look from here can say about the view from outside."""

    CERTAIN = "certain"
    """Nobody sees it otherwise: it answered us, or the fault lies where everybody looks."""
    INSIDE = "inside"
    """Seen from this machine only: a NAT, a split-horizon DNS or a CDN may show others something else."""


@dataclass(frozen=True, slots=True)
class DnsSeen:
    """One question to the name servers."""

    name: str
    record: str
    """A, AAAA, CAA, CNAME, TXT"""
    status: str
    """answered, no-such-name, no-record, server-failure, no-answer"""
    values: tuple[str, ...]
    server: str
    """Who answered, or who was asked in vain: `127.0.0.53:53`."""
    words: str = ""
    """What the library said, where nothing was answered."""
    ttl: int = 0
    """Seconds for which who answered goes on to say so, at least; 0 where it is not known."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One request and its answer on the way to the challenge."""

    url: str
    address: str
    """`192.0.2.1:80`; `` where the name did not resolve."""
    status: int
    """0 where nothing answered"""
    error: str = ""
    """``, refused, timeout (no connection), silent (no answer), unreachable, unresolved, reset, tls, not-http;
    `tls` at an `http://` address: what answers there expects TLS"""
    words: str = ""
    """The error as it was told, verbatim."""
    server: str = ""
    location: str = ""
    marker: str = ""
    """Our solver's header: it was we who answered."""
    hsts: str = ""
    asks_password: str = ""
    """WWW-Authenticate"""
    via: str = ""
    """What a CDN or proxy says of itself: CF-Ray, Via, X-Cache …"""
    body: str = ""
    """Its beginning, as text, at most 512 characters."""
    encoding: str = ""
    """Content-Encoding"""
    certificate: SeenCertificate | None = None
    seconds: float = 0
    undated: bool = False
    """The answer has no Date: HAProxy's own ones have none."""


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """One of a host's addresses, asked by itself."""

    address: str
    ours: bool | None
    """Whether it is this machine's; None where nobody can say (a private machine behind a public address)."""
    translated: bool = field(default=False, kw_only=True)
    """Ours by the operator's word, but on no interface here: a look at it goes through a NAT."""
    hops: tuple[Hop, ...]
    """From port 80 on, redirects followed; empty where they were not asked for."""
    tls: Hop | None = None
    """What answered on port 443 to a handshake with ALPN `acme-tls/1`; `marker` where the answer was ours."""


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was seen of a host in one look."""

    host: HostName
    at: float
    dns: tuple[DnsSeen, ...]
    addresses: tuple[AddressSeen, ...]
    expected: str
    """The key authorization that the challenge's path must answer."""
    own_addresses: tuple[str, ...] = field(default=(), kw_only=True)
    """What `ours` was judged by: the operator's `public_addresses`, or those of this machine's interfaces."""
    http_port: int = 80
    tls_port: int = 443
    seconds: float = 0
    cached: tuple[DnsSeen, ...] = ()
    """What resolvers still say, where the zone's own servers say something else; the latter stands in `dns` then."""
