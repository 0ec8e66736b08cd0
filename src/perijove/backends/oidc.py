"""Any OpenID provider (OpenID Connect Core 1.0, Discovery 1.0): the port `Provider`. Acts.

The code flow with PKCE (RFC 7636). authlib and joserfc judge what the provider says; httpx asks. What it says of itself
is kept for an hour, its keys until a signature is by one that is not among them: providers change them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx

from perijove.authorities import believed
from perijove.domain.auth_failures import LOGIN_REFUSED, NAME_UNUSABLE, PROVIDER_SILENT, PROVIDER_WRONG
from perijove.domain.auth_settings import AuthSettings
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail, Failure
from perijove.domain.people import NAME, Back, Leave, Person
from perijove.domain.ports import Clock
from perijove.domain.sizes import size

WITHIN = 10.0
"""Seconds for one answer of the provider."""
LARGEST = 1024**2
"""Bytes of one."""
KEPT = 3600.0
"""Seconds."""
LEEWAY = 120
"""Seconds by which its clock and ours may differ."""
SIGNED_BY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""By a key of the provider's alone: never by the secret that it shares with us, and never by nobody."""
ANEW_EVERY = 30.0
"""Seconds between two looks for new keys."""


@dataclass(slots=True)
class _Known:
    """What one issuer says of itself."""

    issuer: str
    at: float
    metadata: Mapping[str, Any]
    keys: Any = None
    keys_at: float = 0.0


class OidcProvider:
    """Logs people in at `auth.oidc_issuer`."""

    def __init__(self, settings: Callable[[], AuthSettings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._known: _Known | None = None

    async def address(self, leave: Leave) -> str:
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415  imported when asked for
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415  likewise

        auth, known = self._settings(), await self._discovered()
        return str(
            prepare_grant_uri(
                self._endpoint(known, "authorization_endpoint"),
                client_id=auth.oidc_client_id,
                response_type="code",
                redirect_uri=leave.redirect_uri,
                scope=" ".join(auth.oidc_scopes),
                state=leave.state,
                nonce=leave.nonce,
                code_challenge=create_s256_code_challenge(leave.verifier),
                code_challenge_method="S256",
            )
        )

    async def person(self, leave: Leave, back: Back) -> Person:
        known = await self._discovered()
        said = known.metadata.get("authorization_response_iss_parameter_supported") is True
        if (said or back.issuer) and back.issuer != known.issuer:  # RFC 9207: another provider's answer
            raise Fail(PROVIDER_WRONG("another provider answered", Evidence("iss", back.issuer[:200] or "(missing)")))
        told = await self._tokens(known, leave, back.code)
        claims = await self._claims(
            known, str(told.get("id_token", "")), str(told.get("access_token", "")), leave.nonce
        )
        auth = self._settings()
        if not {auth.oidc_name, auth.oidc_groups} <= claims.keys() and "userinfo_endpoint" in known.metadata:
            claims = await self._more(known, claims, str(told.get("access_token", "")))
        return person(claims, auth)

    async def check(self, redirect_uri: str) -> None:
        """Whether people could be logged in, as far as can be seen without one. Raises Fail as the others.

        What the provider says of itself, its keys, and that it knows this service.
        """
        self._secret()
        address = await self.address(Leave(redirect_uri, "state", "nonce", "v" * 43))
        await self._keys(await self._discovered(), anew=True)
        try:
            async with httpx.AsyncClient(timeout=WITHIN, verify=await believed()) as client:
                answer = await client.get(f"{address}&prompt=none")
        except httpx.HTTPError as error:
            raise Fail(_silent(address, error)) from error
        if answer.is_client_error:  # Core, 3.1.2.6: it leads nobody to an address that it does not know
            asked = Evidence(address.partition("?")[0], f"{answer.status_code}, for redirect_uri={redirect_uri}")
            raise Fail(LOGIN_REFUSED("it does not know this client, or where it shall lead browsers back", asked))

    async def _discovered(self) -> _Known:
        """Raises Fail: `start.provider-silent`, `start.provider-wrong`."""
        issuer, now = self._settings().oidc_issuer, self._clock.now()
        if self._known is None or self._known.issuer != issuer or now - self._known.at > KEPT:
            metadata = await self._asked("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if metadata.get("issuer") != issuer:
                seen = Evidence("issuer", str(metadata.get("issuer"))[:300])
                raise Fail(PROVIDER_WRONG(f"it calls itself otherwise than auth.oidc_issuer = {issuer}", seen))
            self._known = _Known(issuer, now, metadata)
        return self._known

    async def _tokens(self, known: _Known, leave: Leave, code: str) -> Mapping[str, Any]:
        from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415  likewise
        from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415  likewise

        auth, secret = self._settings(), self._secret()
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=leave.redirect_uri, code_verifier=leave.verifier
        )
        methods = known.metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "none" if not secret else "client_secret_basic"
        if secret and "client_secret_basic" not in methods:
            method = "client_secret_post"
        quoted = quote_plus if method == "client_secret_basic" else str  # RFC 6749, 2.3.1
        client = ClientAuth(quoted(auth.oidc_client_id), quoted(secret), method)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        url, headers, body = client.prepare("POST", self._endpoint(known, "token_endpoint"), headers, body)
        return await self._asked("POST", url, headers, body)

    def _secret(self) -> str:
        """Raises Fail: `platform.bad-settings`."""
        if not (name := self._settings().oidc_client_secret_file):
            return ""
        try:
            return Path(name).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = "auth.oidc_client_secret_file cannot be read"
            raise Fail(BAD_SETTINGS(why, Evidence(name, str(error)[:300]))) from error

    async def _claims(self, known: _Known, token: str, access: str, nonce: str) -> Mapping[str, Any]:
        """What the ID token says, once all is right with it (Core, 3.1.3.7). Raises Fail: `start.provider-wrong`."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415  likewise
        from joserfc import jwt  # noqa: PLC0415  likewise
        from joserfc.errors import JoseError  # noqa: PLC0415  likewise

        client = self._settings().oidc_client_id
        wanted = {"iss": {"essential": True, "value": known.issuer}, "aud": {"essential": True, "value": client}}
        params = {"nonce": nonce, "client_id": client, "access_token": access}
        fresh = False
        while True:
            keys = await self._keys(known, anew=fresh)
            try:
                read = jwt.decode(token, keys, algorithms=SIGNED_BY)
                claims = CodeIDToken(read.claims, read.header, wanted, params)
                claims.validate(int(self._clock.now()), LEEWAY)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                if not fresh and self._clock.now() - known.keys_at > ANEW_EVERY:
                    fresh = True  # it may have been signed by a newer key
                    continue
                raise Fail(_untrue(error)) from error
            return dict(claims)

    async def _keys(self, known: _Known, *, anew: bool) -> Any:
        from joserfc.errors import JoseError  # noqa: PLC0415  likewise
        from joserfc.jwk import KeySet  # noqa: PLC0415  likewise

        if known.keys is None or anew:
            told = await self._asked("GET", self._endpoint(known, "jwks_uri"))
            try:
                known.keys = KeySet.import_key_set({"keys": told["keys"]})
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise Fail(_untrue(error)) from error
            known.keys_at = self._clock.now()
        return known.keys

    async def _more(self, known: _Known, claims: Mapping[str, Any], access: str) -> Mapping[str, Any]:
        """What the provider tells besides, of the same person (Core, 5.3.2)."""
        headers = {"Authorization": f"Bearer {access}"}
        told = await self._asked("GET", self._endpoint(known, "userinfo_endpoint"), headers)
        if told.get("sub") != claims["sub"]:
            raise Fail(PROVIDER_WRONG("it tells of another person than it logged in", Evidence("userinfo", "sub")))
        return {**told, **claims}

    def _endpoint(self, known: _Known, name: str) -> str:
        """Raises Fail: `start.provider-wrong`."""
        url = str(known.metadata.get(name, ""))
        if not url.startswith("https://") and not known.issuer.startswith("http://"):
            raise Fail(PROVIDER_WRONG(f"its {name} is no https address", Evidence(name, url[:300] or "(missing)")))
        return url

    async def _asked(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> Mapping[str, Any]:
        """Its answer. Raises Fail: `start.provider-silent`, `start.provider-wrong`, `start.login-refused`."""
        content = b""
        try:
            async with (
                httpx.AsyncClient(timeout=WITHIN, verify=await believed()) as client,
                client.stream(method, url, headers=headers, content=body) as answer,
            ):
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > LARGEST:
                        raise Fail(
                            PROVIDER_WRONG("an answer is too large", Evidence(url, f"more than {size(LARGEST)}"))
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Fail(_silent(url, error)) from error
        try:
            told: Any = json.loads(content)
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, dict) and answer.is_success:
            return told
        if isinstance(told, dict) and answer.status_code in (400, 401) and "error" in told:
            words = f"{told['error']}: {told.get('error_description', '')}"[:300]
            raise Fail(LOGIN_REFUSED("the provider refused what it was asked", Evidence(url, words)))
        seen = Evidence(url, f"{answer.status_code} {content[:200].decode(errors='replace')}")
        kind = PROVIDER_SILENT if answer.status_code >= 500 else PROVIDER_WRONG
        raise Fail(kind("what it answers is not what a provider says there", seen))


def person(claims: Mapping[str, Any], auth: AuthSettings) -> Person:
    """Whom the provider means. Pure. Raises Fail: `start.name-unusable`."""
    name, groups = claims.get(auth.oidc_name), claims.get(auth.oidc_groups)
    if auth.oidc_name == "email" and claims.get("email_verified") is not True:
        raise Fail(NAME_UNUSABLE("the provider has not verified the address", Evidence("email", str(name)[:200])))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Fail(
            NAME_UNUSABLE("its characters, its length, or there is none", Evidence(auth.oidc_name, str(name)[:200]))
        )
    listed: Sequence[Any] = groups if isinstance(groups, list) else ()
    return Person(name, frozenset(one for one in listed if isinstance(one, str) and NAME.fullmatch(one)))


def _silent(url: str, error: Exception) -> Failure:
    return PROVIDER_SILENT("it does not answer", Evidence(url.partition("?")[0], (str(error) or repr(error))[:300]))


def _untrue(error: Exception) -> Failure:
    return PROVIDER_WRONG("what it says of the person cannot be trusted", Evidence("its answer", repr(error)[:300]))
