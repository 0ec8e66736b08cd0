"""What an operator can set about the system that environments stand on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from perijove.domain.images import DIGEST

Size = Annotated[int, "size"]
Seconds = Annotated[float, "seconds"]


class Root(StrEnum):
    """Which system a session sees."""

    AUTO = "auto"
    """The base where a repository asks for packages of the system, else this machine's."""
    BASE = "base"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    root: Root = Root.AUTO
    """What environments stand on: `host`, this machine's system; `base`, a Debian of Perijove's own; `auto`, the base
    for repositories with an apt.txt, this machine's system for all others."""
    base: str = "mmdebstrap"
    """Where the base comes from: `mmdebstrap`, which makes it from packages; an image pinned by digest
    (`docker.io/library/debian@sha256:…`); or the absolute path of a tar file or a folder."""
    suite: str = "trixie"
    """The Debian release of the base: where apt finds its packages."""
    mirror: str = "http://deb.debian.org/debian"
    """Where Debian's packages are fetched from."""
    security_mirror: str = "http://deb.debian.org/debian-security"
    """Where its security updates are fetched from; empty: nowhere."""
    packages: tuple[str, ...] = (
        *("ca-certificates", "curl", "git", "less", "procps", "unzip", "wget", "build-essential"),
        *("python3", "python3-dev", "fontconfig", "fonts-dejavu-core"),
    )
    """Debian packages that the base has beside the essential ones; python3 is what environments on it run with."""
    lists_max_age: Seconds = 86400
    """How long what the mirror lists is used before it is asked again."""


_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_IMAGE = re.compile(
    r"(?P<registry>(?:[a-z0-9-]+\.)*[a-z0-9-]+(?::[0-9]{1,5})?)/(?P<name>[a-z0-9._/-]+)(?::[\w.-]+)?"
    rf"@(?P<digest>{DIGEST.pattern})"
)


@dataclass(frozen=True, slots=True)
class Image:
    """One of a registry's, by its content."""

    registry: str
    name: str
    digest: str


def image(base: str) -> Image | None:
    """The image that `platform.base` names, where it names one."""
    found = _IMAGE.fullmatch(base)
    return Image(found["registry"], found["name"], found["digest"]) if found else None


def faults(settings: PlatformSettings) -> Iterator[tuple[str, str, str]]:
    """Settings that cannot be followed: which, why, and what stands there."""
    if settings.base != "mmdebstrap" and not settings.base.startswith("/") and image(settings.base) is None:
        why = "must be mmdebstrap, an image as registry/name@sha256:digest, or the absolute path of a tar or folder"
        yield "platform.base", why, settings.base
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", settings.suite):
        yield "platform.suite", "must be a release's name, such as trixie", settings.suite
    for name, address in (("mirror", settings.mirror), ("security_mirror", settings.security_mirror)):
        if not _ADDRESS.fullmatch(address) and (address or name == "mirror"):
            yield f"platform.{name}", "must be an address like http://deb.debian.org/debian", address
    for package in settings.packages:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*[a-z0-9+.]", package):
            yield "platform.packages", "must be names of packages", package
