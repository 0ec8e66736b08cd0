"""What the certificate way needs of the world: Protocols, their failures named. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from perijove.domain.certificates import (
    Account,
    AuthorizationView,
    CaDirectory,
    ChallengeAnswer,
    DnsSeen,
    HostName,
    Issuer,
    Observation,
    OrderName,
    OrderView,
    RenewalWindow,
    Secret,
    SeenCertificate,
)


class Authority(Protocol):
    """One CA: an ACME server, or the embedded one. All its answers are views of what it says now.

    Every method raises Fail with `cert.acme-*`, `cert.rate-limited` (its `after` is the CA's Retry-After in seconds),
    `cert.bad-nonce` and the like; evidence holds the CA's problem document whole.
    A nonce that is refused and an account that the CA lost are put right inside, with the same key.
    """

    async def directory(self) -> CaDirectory:
        """What it offers, asked afresh; its clock beside ours."""
        ...

    async def account(self) -> Account:
        """Our account, registered where it is not yet."""
        ...

    async def new_order(self, hosts: tuple[HostName, ...], profile: str = "", replaces: str = "") -> OrderView:
        """Place an order. A `replaces` (RFC 9773, 5) that the CA does not take any more is left out."""
        ...

    async def order(self, url: str) -> OrderView:
        """Raises Fail: `cert.order-lost`."""
        ...

    async def authorization(self, url: str) -> AuthorizationView: ...

    async def answer(self, challenge: str) -> None:
        """Tell the CA to look at a challenge, by its URL."""
        ...

    async def finalize(self, order: OrderView, csr: bytes) -> OrderView:
        """Hand in the request, in DER."""
        ...

    async def certificate(self, url: str) -> bytes:
        """The chain in PEM, leaf first."""
        ...

    async def revoke(self, secret: Secret, reason: int) -> None:
        """RFC 5280, 5.3.1 names the reasons."""
        ...

    async def renewal_window(self, secret: Secret) -> RenewalWindow | None:
        """When it would like the renewal; None where it does not say."""
        ...


Authorities = Callable[[Issuer, str], Authority]
"""The authority of an issuer at a directory's URL (its own, or its rehearsal's)."""


Names = tuple[HostName, ...]
"""Of one certificate."""


class Secrets(Protocol):
    """Keys and chains on disk: written aside, verified, renamed; 0600."""

    def request(self, order: OrderName, host: HostName, names: Names = ()) -> bytes:
        """The signing request of an attempt in DER; its key is made once and kept until `stage` or `drop`.

        It asks for `names`; where there are none, for the host by which the certificate is called.
        """
        ...

    def stage(
        self, order: OrderName, host: HostName, chain: bytes, issuer: Issuer, directory: str, names: Names = ()
    ) -> Secret:
        """The chain beside its key, verified, under a revision of its own; not yet the host's current one.

        Raises Fail: `cert.chain-broken`, `cert.key-mismatch`, `cert.names-missing`, `cert.not-valid-now`,
        `platform.disk-full`.
        """
        ...

    def take(self, host: HostName, chain: bytes, key: bytes, issuer: str, names: Names = ()) -> Secret:
        """Somebody's chain and key, verified and staged likewise. Raises Fail as `stage`."""
        ...

    def keep(self, secret: Secret) -> None:
        """Make it the host's current one; older revisions but the last go."""
        ...

    def current(self, host: HostName) -> Secret | None: ...

    def adopt(self, host: HostName, names: Names) -> None:
        """Another host's current one becomes this one's too: the one that is for most of `names`.

        Nothing where none is for any of them. Raises Fail: `platform.disk-full`.
        """
        ...

    def staged(self, host: HostName, revision: str) -> Secret | None:
        """One that was staged and neither kept nor dropped, found after a restart."""
        ...

    def drop(self, order: OrderName, host: HostName) -> None:
        """Forget an attempt's key; nothing where there is none."""
        ...


class Solver(Protocol):
    """Puts one type of answer where the CA looks."""

    async def present(self, answer: ChallengeAnswer) -> None:
        """Returns once it can be seen. Raises Fail: `cert.dns-*`, `cert.no-challenge`."""
        ...

    async def withdraw(self, answer: ChallengeAnswer) -> None:
        """Take it away; nothing where it is not there."""
        ...


class Probe(Protocol):
    """Looks at a host as far as this machine can see."""

    async def look(self, host: HostName, token: str, expected: str, *, tls: bool) -> Observation:
        """DNS, then every address: port 80 hop by hop to the challenge of `token`; with `tls` port 443 as well.

        `expected` is the key authorization that must come back. Never raises for what it sees. At most a few seconds.
        """
        ...

    async def past_caches(self, seen: Observation, token: str, *, tls: bool) -> Observation:
        """The same by the zone's own servers, where resolvers remember something else; otherwise `seen` itself.

        CAs ask those servers. Never raises for what it sees; where they cannot be asked, that takes below a second.
        """
        ...

    async def texts(self, name: str) -> tuple[DnsSeen, ...]:
        """The TXT records of a name, by each server of its zone; by the resolvers where none of those can be asked.

        Never raises for what it sees. At most a few seconds.
        """
        ...

    async def handshake(self, address: str, server_name: str) -> SeenCertificate:
        """What `ADDRESS:PORT` shows for a name. Raises ConnectionError or TimeoutError in words.

        Of an address that this machine has, what that address shows at this port: clients send no name there.
        """
        ...


Apply = Callable[[], Awaitable[None]]
"""Has the data plane do what the table says now; many waiters share one reload. Raises Fail: `platform.*`."""
