"""Which repository of which registry is meant. Pure. In: how operators write it. Out: where it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail
from perijove.domain.images import HOMES

LONGEST = 255
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<registry>(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?)"
    rf"/(?P<name>{_PART}(?:/{_PART})*)"
)
"""Its name as in the OCI distribution specification 1.1, `Pulling manifests`."""


@dataclass(frozen=True, slots=True)
class Repository:
    """One of a registry."""

    registry: str
    """Its host, with a port where that is not the scheme's."""
    name: str
    scheme: str

    @property
    def origin(self) -> str:
        """What its addresses begin with."""
        return f"{self.scheme}://{HOMES.get(self.registry, self.registry)}"

    @property
    def address(self) -> str:
        return f"{self.origin}/v2/{self.name}"

    @property
    def image(self) -> str:
        """As engines write it, without a tag."""
        return f"{self.registry}/{self.name}"


def repository(named: str) -> Repository | None:
    """`registry.example/project/name`; with `http://` before it where it has no TLS, which loopback need not say."""
    found = _REPOSITORY.fullmatch(named) if len(named) <= LONGEST else None
    if found is None:
        return None
    registry = found["registry"].lower()
    scheme = found["scheme"] or ("http" if is_loopback(re.sub(r":\d+$", "", registry)) else "https")
    return Repository(registry, found["name"], scheme)


def for_images(named: str, *, from_a_pod: bool = False) -> Repository:
    """That of `engine.registry`. Raises Fail: `platform.bad-settings`."""
    found, cause = repository(named), ""
    if found is None:
        cause = "must name a repository with engine.kind = kubernetes: registry.example.org/perijove"
    elif from_a_pod and is_loopback(re.sub(r":\d+$", "", found.registry)):
        cause = "must not be on loopback, where a pod and its node each reach themselves alone"
    if found is None or cause:
        raise Fail(BAD_SETTINGS(f"engine.registry {cause}", Evidence("engine.registry", named[:200])))
    return found


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
