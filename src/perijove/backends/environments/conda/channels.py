"""Which channels a file means, and from where each is fetched: the operator's rules. Pure.

Raises Fail: `build.channel-refused`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from urllib.parse import urlsplit

from perijove.domain.conda_failures import CHANNEL_REFUSED
from perijove.domain.conda_settings import AnacondaChannels, CondaSettings
from perijove.domain.failures import Evidence, Fail

HOME = "https://conda.anaconda.org/"
"""Where channels lie that are written as names."""
CONDA_FORGE = f"{HOME}conda-forge/"
ANACONDAS: Mapping[str, tuple[str, ...]] = {
    "defaults": ("https://repo.anaconda.com/pkgs/main/", "https://repo.anaconda.com/pkgs/r/"),
    "main": ("https://repo.anaconda.com/pkgs/main/",),
    "r": ("https://repo.anaconda.com/pkgs/r/",),
    "anaconda": (f"{HOME}anaconda/",),
    "free": ("https://repo.anaconda.com/pkgs/free/",),
}
"""Channels under Anaconda's terms, and where they lie."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/(label/)?[\w.-]+)*")


@dataclass(frozen=True, slots=True)
class Meant:
    """Addresses of channels, the first preferred; specs with channels that are among them; what to tell."""

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    notes: tuple[str, ...]


def meant(path: str, written: Sequence[str], specs: Sequence[str], settings: CondaSettings) -> Meant:
    """What a file's channels come to here; those that only a spec names come last."""
    found: dict[str, None] = {}
    replaced: dict[str, None] = {}
    for name in [one for one in written if one != "nodefaults"] or ["conda-forge"]:
        found |= dict.fromkeys(_addresses(path, name, settings, replaced))
    rewritten = []
    for spec in specs:
        channel, several, rest = spec.rpartition("::")
        if not several:
            rewritten.append(spec)
            continue
        addresses = _addresses(path, re.sub(r"/(linux-64|linux-aarch64|noarch)$", "", channel), settings, replaced)
        found |= dict.fromkeys(addresses)
        named = addresses[0].removeprefix(HOME).rstrip("/") if len(addresses) == 1 else ""
        rewritten.append(f"{named}::{rest}" if named else rest)
    notes = [f"{path}: conda-forge stands in for {', '.join(replaced)} here"] if replaced else []
    if ANACONDAS["defaults"][0] in found:
        notes.append(
            f"{path}: packages of Anaconda's own channels are used, under the terms that the operator accepted"
        )
    return Meant(tuple(found), tuple(rewritten), tuple(notes))


def _addresses(path: str, name: str, settings: CondaSettings, replaced: dict[str, None]) -> tuple[str, ...]:
    short = name.rstrip("/")
    for prefix in ("https://repo.anaconda.com/pkgs/", "pkgs/", HOME):
        if short.removeprefix(prefix) in ANACONDAS:
            short = short.removeprefix(prefix)
    if short in ANACONDAS:
        if settings.defaults is AnacondaChannels.REFUSE:
            raise _refused(path, name, "it is under Anaconda's terms, which are not accepted here")
        if settings.defaults is AnacondaChannels.ANACONDA:
            return ANACONDAS[short]
        replaced[short] = None
        return (CONDA_FORGE,)
    if "://" not in name:
        if not _NAME.fullmatch(name):
            raise _refused(path, name, "it is neither a channel's name nor an address")
        return (f"{HOME}{short}/",)
    try:
        parts = urlsplit(name)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused(path, name, "its address cannot be read") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username or "/t/" in parts.path:
        raise _refused(path, name, "its address is none of http or https without a password")
    if (host if port is None else f"{host}:{port}") not in settings.hosts:
        raise _refused(path, name, f"{host} is not one of the hosts that channels may lie on")
    return (f"{name.rstrip('/')}/",)


def mirrors(settings: CondaSettings, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Each mirrored channel's address and the mirror's, with the variables that it names."""
    return tuple(
        (
            f"{name.rstrip('/')}/" if "://" in name else f"{HOME}{name.strip('/')}/",
            f"{Template(instead).safe_substitute(environ).rstrip('/')}/",
        )
        for name, instead in settings.mirrors.items()
    )


def _refused(path: str, name: str, why: str) -> Fail:
    shown = re.sub(r"(?<=://)[^/@\s]+@|(?<=/t/)[^/\s]+", "***", name)[:200]
    return Fail(CHANNEL_REFUSED(f"{path} names the channel {shown}: {why}", Evidence(path, shown)))
