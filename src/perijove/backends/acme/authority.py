"""The port `Authority` for a CA that speaks RFC 8555: which request is made, and what its refusal means.

One instance a directory, shared by all hosts; an account is registered once, however many ask at once, and again with
the same key where the CA lost it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from acme.jws import JWS
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.b64 import b64decode
from josepy.jwa import HS256
from josepy.jwk import JWKEC, JWKOct

from perijove.backends.acme import problems, views
from perijove.backends.acme.account import Kept, folder_name, keep, load
from perijove.backends.acme.client import Answer, Client, Signer
from perijove.backends.acme.problems import Asked
from perijove.backends.acme.views import Directory
from perijove.domain.certificate_failures import ACME_EAB_REQUIRED, FILE_UNREADABLE
from perijove.domain.certificates import (
    Account,
    AuthorizationView,
    CaDirectory,
    HostName,
    Issuer,
    OrderStatus,
    OrderView,
    RenewalWindow,
    Secret,
)
from perijove.domain.failures import Evidence, Fail
from perijove.domain.state import State

DIRECTORY_LASTS = 3600.0
"""Seconds for which a directory's URLs are believed."""
CHAIN = "application/pem-certificate-chain"
_POST_AS_GET = b""
_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class _Registered:
    """An account that the CA knew when it was last asked, and its signatures."""

    account: Account
    signer: Signer


class AcmeAuthority:
    """Implements `Authority`; `close` ends its connections."""

    def __init__(self, issuer: Issuer, directory_url: str, state: State) -> None:
        self._issuer, self._url = issuer, directory_url
        self._folder = state.acme / folder_name(directory_url)
        self._client = Client(issuer.ca_file)
        self._registering = asyncio.Lock()
        self._registered: _Registered | None = None
        self._directory: Directory | None = None
        self._directory_until = 0.0

    async def close(self) -> None:
        """End its connections; a later question opens new ones."""
        await self._client.close()

    async def directory(self) -> CaDirectory:
        """Asked afresh."""
        asked_at = time.time()
        answer = await self._client.get(self._url)
        between = (asked_at + time.time()) / 2
        if not answer.ok:
            raise Fail(problems.failure(answer.refused(Asked.DIRECTORY)))
        date = problems.date(answer.headers.get("Date", ""))
        ahead = date + 0.5 - between if date else 0.0  # a Date has whole seconds
        self._directory = _read(answer, lambda document, url: views.directory(document, url, ahead))
        self._directory_until = time.monotonic() + DIRECTORY_LASTS
        return self._directory.offers

    async def account(self) -> Account:
        return (await self._account()).account

    async def new_order(self, hosts: tuple[HostName, ...], profile: str = "", replaces: str = "") -> OrderView:
        directory = await self._known()
        if profile and profile not in directory.offers.profiles:
            directory = await self._known(afresh=True)  # it may be new
            if profile not in directory.offers.profiles:
                raise Fail(problems.unknown_profile(profile, directory.offers.profiles, self._url))
        payload: dict[str, Any] = {"identifiers": [_identifier(host) for host in hosts]}
        payload |= {"profile": profile} if profile else {}
        replacing = {"replaces": replaces} if replaces and directory.offers.renewal_info else {}
        answer = await self._asked(directory.urls["newOrder"], payload | replacing)
        if replacing and _about_replaces(answer):
            answer = await self._asked(directory.urls["newOrder"], payload)
        if not answer.ok:
            raise Fail(problems.failure(answer.refused(Asked.NEW_ORDER, directory.offers.profiles)))
        return _order(answer, answer.location)

    async def order(self, url: str) -> OrderView:
        return _order(await self._looked_at(url), url)

    async def authorization(self, url: str) -> AuthorizationView:
        return _read(await self._looked_at(url), lambda document, _: views.authorization(document, url))

    async def answer(self, challenge: str) -> None:
        answer = await self._asked(challenge, {})
        if answer.ok:
            return
        if answer.status == 400:  # one that was told already may not be told again
            seen = await self._asked(challenge)
            if seen.ok and views.challenge_status(seen.json()) not in {"", "pending"}:
                return
        raise Fail(problems.failure(answer.refused(Asked.ORDER)))

    async def finalize(self, order: OrderView, csr: bytes) -> OrderView:
        answer = await self._asked(order.finalize, {"csr": _base64url(csr)})
        if answer.ok:
            return _order(answer, order.url)
        if answer.says("orderNotReady"):  # it may have the request already, and we not its answer
            now = await self.order(order.url)
            if now.status in {OrderStatus.PROCESSING, OrderStatus.VALID}:
                return now
        raise Fail(problems.failure(answer.refused(Asked.ORDER)))

    async def certificate(self, url: str) -> bytes:
        answer = await self._looked_at(url, CHAIN)
        if b"-----BEGIN CERTIFICATE-----" not in answer.body:
            raise Fail(answer.not_acme("it answers no certificate"))
        return answer.body

    async def revoke(self, secret: Secret, reason: int) -> None:
        leaf = _base64url(await asyncio.to_thread(_leaf, secret.chain))
        directory = await self._known()
        if not (url := directory.urls.get("revokeCert", "")):
            raise Fail(problems.missing("revokeCert", self._url))
        answer = await self._asked(url, {"certificate": leaf, "reason": reason})
        if not answer.ok and not answer.says("alreadyRevoked"):
            raise Fail(problems.failure(answer.refused(Asked.OTHER)))

    async def renewal_window(self, secret: Secret) -> RenewalWindow | None:
        if not secret.ari or secret.directory != self._url:
            return None
        if not (base := (await self._known()).urls.get("renewalInfo", "")):
            return None
        answer = await self._client.get(f"{base.rstrip('/')}/{secret.ari}")
        if answer.status == 404:  # a certificate that it does not know any more
            return None
        if not answer.ok:
            raise Fail(problems.failure(answer.refused(Asked.OTHER)))
        return _read(answer, lambda document, _: views.renewal(document, answer.retry_after))

    async def _known(self, *, afresh: bool = False) -> Directory:
        if self._directory is None or afresh or time.monotonic() > self._directory_until:
            await self.directory()
        assert self._directory is not None
        return self._directory

    async def _looked_at(self, url: str, accept: str = "application/json") -> Answer:
        """An order, or what hangs on it. Raises Fail: `cert.order-lost`."""
        answer = await self._asked(url, accept=accept)
        if not answer.ok:
            raise Fail(problems.failure(answer.refused(Asked.ORDER)))
        return answer

    async def _asked(
        self, url: str, payload: Mapping[str, Any] | None = None, accept: str = "application/json"
    ) -> Answer:
        """In the account's name; by one that is registered again, once, where the CA lost ours."""
        new_nonce = (await self._known()).urls["newNonce"]
        body = _POST_AS_GET if payload is None else json.dumps(payload).encode()
        registered = await self._account()
        answer = await self._client.signed(url, body, registered.signer, new_nonce, accept)
        if answer.says("accountDoesNotExist"):
            registered = await self._account(lost=registered)
            answer = await self._client.signed(url, body, registered.signer, new_nonce, accept)
        return answer

    async def _account(self, lost: _Registered | None = None) -> _Registered:
        """Ours; registered where it is not, or where it still is the one that was `lost`."""
        if self._registered is not None and self._registered is not lost:
            return self._registered
        async with self._registering:
            if self._registered is None or self._registered is lost:
                kept = await asyncio.to_thread(load, self._folder, self._url)
                url = await self._current(kept) if kept.url and lost is None else await self._register(kept)
                self._registered = _Registered(Account(url, kept.thumbprint), Signer(kept.key, url))
            return self._registered

    async def _register(self, kept: Kept) -> str:
        """The account's URL; a key that the CA knows gets the account it has (RFC 8555, 7.3.1)."""
        directory = await self._known()
        bound = await self._binding(kept.key, directory)
        payload = {"termsOfServiceAgreed": True, **self._contact(), **bound}
        answer = await self._client.signed(
            directory.urls["newAccount"], json.dumps(payload).encode(), Signer(kept.key), directory.urls["newNonce"]
        )
        if not answer.ok:
            raise Fail(problems.failure(answer.refused(Asked.BOUND_ACCOUNT if bound else Asked.ACCOUNT)))
        await asyncio.to_thread(keep, self._folder, self._url, answer.location, self._issuer.email)
        return answer.location

    async def _current(self, kept: Kept) -> str:
        """The account's URL, with the email that the operator wants now."""
        if kept.email == self._issuer.email:
            return kept.url
        new_nonce = (await self._known()).urls["newNonce"]
        payload = json.dumps({"contact": [], **self._contact()}).encode()
        answer = await self._client.signed(kept.url, payload, Signer(kept.key, kept.url), new_nonce)
        if answer.says("accountDoesNotExist"):
            return await self._register(kept)
        if not answer.ok:
            raise Fail(problems.failure(answer.refused(Asked.ACCOUNT)))
        await asyncio.to_thread(keep, self._folder, self._url, kept.url, self._issuer.email)
        return kept.url

    def _contact(self) -> dict[str, list[str]]:
        return {"contact": [f"mailto:{self._issuer.email}"]} if self._issuer.email else {}

    async def _binding(self, key: JWKEC, directory: Directory) -> dict[str, Any]:
        """RFC 8555, 7.3.4. Raises Fail: `cert.eab-required`."""
        if not self._issuer.eab_kid:
            if directory.offers.eab_required:
                seen = Evidence(self._url, "meta.externalAccountRequired: true")
                raise Fail(ACME_EAB_REQUIRED("its directory says so, and the issuer has no `eab_kid`", seen))
            return {}
        try:
            written = await asyncio.to_thread(Path(self._issuer.eab_key_file).read_text)
            mac = JWKOct(key=b64decode(written.strip().rstrip("=")))
        except (OSError, ValueError, TypeError) as error:
            words = f"{type(error).__name__}: {error.strerror if isinstance(error, OSError) else 'no base64url'}"
            seen = Evidence(self._issuer.eab_key_file or "eab_key_file", words)
            raise Fail(ACME_EAB_REQUIRED("the issuer's `eab_key_file` cannot be read", seen)) from error
        public = json.dumps(key.public_key().to_json()).encode()
        signed = JWS.sign(public, mac, HS256, None, url=directory.urls["newAccount"], kid=self._issuer.eab_kid)
        return {"externalAccountBinding": signed.to_json()}


def _read(answer: Answer, view: Callable[[Any, str], _Seen]) -> _Seen:
    """An answer as a view. Raises Fail: `cert.acme-not-acme`."""
    try:
        return view(answer.json(), answer.url)
    except ValueError as error:
        raise Fail(answer.not_acme(str(error))) from error


def _order(answer: Answer, url: str) -> OrderView:
    return _read(answer, lambda document, _: views.order(document, url, answer.retry_after))


def _identifier(host: HostName) -> dict[str, str]:
    """RFC 8555, 9.7.7; RFC 8738 for addresses."""
    try:
        return {"type": "ip", "value": str(ip_address(host))}
    except ValueError:
        return {"type": "dns", "value": host}


def _about_replaces(answer: Answer) -> bool:
    """Whether a new order is refused for the certificate it names as replaced (RFC 9773, 5)."""
    if answer.ok or answer.status >= 429:
        return False
    problem = answer.problem()
    named = problem.status == 409 or "alreadyReplaced" in problems.types(problem)
    return named or "replace" in problem.detail.lower()


def _leaf(chain: Path) -> bytes:
    """The first certificate of a file, in DER. Raises Fail: `cert.file-unreadable`."""
    try:
        return x509.load_pem_x509_certificate(chain.read_bytes()).public_bytes(Encoding.DER)
    except (OSError, ValueError) as error:
        seen = Evidence(str(chain), f"{type(error).__name__}: {error}"[:300])
        raise Fail(FILE_UNREADABLE("the chain to revoke cannot be read", seen)) from error


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
