"""Where the service listens, and by which address it is reached. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Protocol

from perijove.domain.parsing import split_address

OFF = "off"


class Wish(Protocol):
    """What the operator says of it: the table `service` of the settings."""

    @property
    def http(self) -> tuple[str, ...]: ...
    @property
    def https(self) -> tuple[str, ...]: ...
    @property
    def hosts(self) -> tuple[str, ...]: ...
    @property
    def session_hosts(self) -> tuple[str, ...]: ...
    @property
    def behind(self) -> tuple[str, ...]: ...


def http_listeners(wish: Wish) -> tuple[str, ...]:
    """`ADDRESS:PORT`s for http."""
    if wish.http:
        return wish.http
    return ("0.0.0.0:80", "[::]:80") if wish.hosts and not wish.behind else ("127.0.0.1:8000",)


def https_listeners(wish: Wish) -> tuple[str, ...]:
    """`ADDRESS:PORT`s for https; none where it is off, or where only an http address was asked for."""
    if wish.https:
        return tuple(address for address in wish.https if address != OFF)
    if wish.hosts and not wish.behind:
        return ("0.0.0.0:443", "[::]:443")
    return ("127.0.0.1:8443",) if wish.behind or not wish.http else ()


def certified_hosts(wish: Wish) -> tuple[tuple[str, ...], ...]:
    """Names that need a certificate, those of one together: each host's alone, all sessions' in one.

    Without names of its own, the service is `localhost`.
    """
    if not https_listeners(wish):
        return ()
    alone = tuple((host,) for host in wish.hosts or ("localhost",))
    return (*alone, wish.session_hosts) if wish.session_hosts else alone


def redirects(wish: Wish) -> bool:
    """Whether http leads to https: with names, unless somebody in front decides."""
    return bool(wish.hosts and https_listeners(wish) and not wish.behind)


def loopback_only(wish: Wish) -> bool:
    """Whether nobody but this machine can reach the service."""
    if wish.behind:
        return False
    hosts = [split_address(address)[0] for address in (*http_listeners(wish), *https_listeners(wish))]
    return all(host == "localhost" or (host != "" and ip_address(host).is_loopback) for host in hosts)


def own_url(wish: Wish) -> str:
    """The service's own address with its slash, by its first name where it has one."""
    if not wish.hosts:
        return listening_url(wish)
    name = next((host for host in wish.hosts if not host.startswith("*.")), wish.hosts[0].replace("*", "www", 1))
    name = f"[{name}]" if ":" in name else name
    if wish.behind:
        return f"https://{name}/"
    if https := https_listeners(wish):
        return f"https://{name}{_port(https[0], 443)}/"
    return f"http://{name}{_port(http_listeners(wish)[0], 80)}/"


def listening_url(wish: Wish) -> str:
    """Where this machine itself reaches the service by http, whatever its names mean elsewhere."""
    return f"http://{here(http_listeners(wish)[0]).removesuffix(':80')}/"


def here(address: str) -> str:
    """`0.0.0.0:443` → `127.0.0.1:443`: how this machine itself reaches a listener."""
    host, port = split_address(address)
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)
    return f"{name}:{port}"


def _port(address: str, usual: int) -> str:
    port = split_address(address)[1]
    return "" if port == usual else f":{port}"
