"""What an operator says about logging in, and what cannot be followed of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from perijove.domain.people import device_hosts, host_of, strangely_named

Seconds = Annotated[float, "seconds"]


class AuthMethod(StrEnum):
    """How people log in."""

    NONE = "none"
    """Not at all: whoever reaches the service may launch."""
    PASSWORD = "password"  # noqa: S105
    """By a name and a password of `perijove user`."""
    OIDC = "oidc"
    """At an OpenID provider (`auth.oidc_issuer`): Keycloak, Entra ID, Google, GitLab, …"""
    HEADER = "header"
    """At the web server in front (`service.behind`), which says in `auth.header` who asks."""


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    client_id: str = ""
    """What the Git host calls this service: the id of an app there whose device flow is switched on."""
    scopes: tuple[str, ...] = ()
    """What it is asked for. Empty: `read_repository`, and of github.com nothing, where a GitHub App says it itself."""
    code_url: str = ""
    """Where it gives codes. Empty: github.com's `/login/device/code`, elsewhere GitLab's `/oauth/authorize_device`."""
    token_url: str = ""
    """Where it gives tokens. Empty: github.com's `/login/oauth/access_token`, elsewhere GitLab's `/oauth/token`."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    method: AuthMethod = AuthMethod.NONE
    """How people log in."""
    allowed: tuple[str, ...] = ()
    """Who may launch, by name, or by group as `@staff`; empty: everybody who can log in."""
    admins: tuple[str, ...] = ()
    """Who may see all launches and their logs, by name, or by group as `@staff`; beside those whom `perijove user`
    made admins."""
    repositories: Mapping[str, str] = field(default_factory=dict)
    """Who may launch what: regular expressions, and people and groups, separated by spaces. A launch `provider/spec`
    that one matches at its start, in any spelling, is for those alone. Classes say so themselves (`who`)."""
    device: Mapping[str, DeviceSettings] = field(default_factory=dict)
    """Git hosts that give people a token for their private repositories by the device flow (RFC 8628), each a table
    named by the host, `[auth.device."github.com"]`, with a `client_id`."""
    login_lifetime: Seconds = 7 * 86400
    """How long a browser stays logged in."""
    token_lifetime: Seconds = 90 * 86400
    """How long a token is good that a person makes for a program."""
    sessions: int = 5
    """How many sessions one person may have at once, those about to start included; 0: no limit. With log-in it takes
    the place of `launching.per_visitor_quota`, but for launches of a class."""
    password_file: str = ""
    """The file of `perijove user`. Empty: `control/people` in the state directory."""
    oidc_issuer: str = ""
    """The OpenID provider, as it calls itself: `https://login.example.org/realms/campus`. It leads browsers back to
    `/login/back`, which it has to know, of each of `service.hosts`."""
    oidc_client_id: str = ""
    """What the provider calls this service."""
    oidc_client_secret_file: str = ""
    """File with the secret that the provider gave it; the service's user must be able to read it, and nobody else.
    Empty: none, as PKCE allows."""
    oidc_scopes: tuple[str, ...] = ("openid", "email", "profile")
    """What the provider is asked for."""
    oidc_name: str = "email"
    """The claim that is a person's name here: `email`, which counts where the provider has verified it; `sub`, which it
    never gives to anybody else; or another, such as `preferred_username`, that people cannot choose themselves."""
    oidc_groups: str = "groups"
    """The claim that lists a person's groups."""
    header: str = "X-Forwarded-User"
    """The header in which the web server in front names the person. It must set it at every request, and pass no
    visitor's own on; what others say in it is dropped."""
    groups_header: str = ""
    """The header in which it names the person's groups, separated by commas. Empty: none."""


def faults(auth: AuthSettings, behind: tuple[str, ...], *, apart: bool) -> Iterator[tuple[str, str, str]]:
    """What cannot be followed: a setting's name, words after it, and what stands there.

    `apart`: whether sessions have origins of their own, or the operator said that they have none.
    """
    if auth.method is AuthMethod.NONE:
        return
    if not apart:
        why = "must be names for sessions: where they share the service's origin, the code of any repository acts as"
        why += " whoever opened it; `off` if that is wanted"
        yield "service.session_hosts", why, "empty"
    if auth.method is AuthMethod.HEADER and not behind:
        yield (
            "auth.method",
            "header needs the web server in front in service.behind: anybody could name himself",
            "header",
        )
    yield from (*_provider_faults(auth), *_device_faults(auth))
    for name in ("header", "groups_header"):
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}" if name == "header" else r"[A-Za-z0-9-]{0,64}", getattr(auth, name)):
            yield f"auth.{name}", "must be a header's name", getattr(auth, name)
    listed = {"auth.allowed": auth.allowed, "auth.admins": auth.admins}
    listed |= {"auth.repositories": tuple(one for who in auth.repositories.values() for one in who.split())}
    for name, who in listed.items():
        for one in strangely_named(who):
            yield name, "must hold people's names, and groups like @staff", one
    for pattern in auth.repositories:
        try:
            re.compile(pattern)
        except re.error as error:
            yield "auth.repositories", f"holds no regular expression: {error}", pattern


def _device_faults(auth: AuthSettings) -> Iterator[tuple[str, str, str]]:
    for name, client in auth.device.items():
        if not all(device_hosts({name: client})):
            yield "auth.device", "must be named by hosts, like github.com", name
        if not client.client_id:
            yield "auth.device", f"must say the client_id of {name}", "empty"
        for url in filter(None, (client.code_url, client.token_url)):
            if not host_of(url):
                yield "auth.device", f"must have https addresses, for {name} too", url


def _provider_faults(auth: AuthSettings) -> Iterator[tuple[str, str, str]]:
    if auth.method is AuthMethod.OIDC:
        here = re.match(r"http://(localhost|127\.0\.0\.1|\[::1\])[:/]", f"{auth.oidc_issuer}/")
        if not here and not re.fullmatch(r"https://[^/\s?#]+[^\s?#]*", auth.oidc_issuer):
            yield "auth.oidc_issuer", "must be the provider's https address", auth.oidc_issuer or "empty"
        if not auth.oidc_client_id:
            yield "auth.oidc_client_id", "must be what the provider calls this service", "empty"
