"""What an operator can set about conda packages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_PLATFORMS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}


def conda_platform(machine: str) -> str:
    """`linux-64` for `x86_64`: conda's names (conda 25, `conda/base/constants.py`)."""
    return _PLATFORMS.get(machine, f"linux-{machine}")


class AnacondaChannels(StrEnum):
    """What `defaults` and its parts mean: Anaconda's terms ask larger organizations for money."""

    REFUSE = "refuse"
    CONDA_FORGE = "conda-forge"
    """conda-forge stands in for them."""
    ANACONDA = "anaconda"
    """Themselves: the operator has accepted their terms."""


@dataclass(frozen=True, slots=True)
class CondaSettings:
    defaults: AnacondaChannels = AnacondaChannels.CONDA_FORGE
    """What the channel `defaults` means, and `main`, `r` and `anaconda`: `conda-forge` in its place; `anaconda` itself,
    if you accept Anaconda's terms; or `refuse`."""
    hosts: tuple[str, ...] = ("conda.anaconda.org", "repo.anaconda.com", "repo.prefix.dev", "prefix.dev")
    """Hosts that channels may lie on. Whoever runs one of them decides where Perijove fetches from."""
    mirrors: Mapping[str, str] = field(default_factory=dict)
    """Where channels are fetched from instead, by name or address: `"conda-forge" = "https://mirror.example.org/cf"`.
    `${NAME}` in it is that variable of the service's environment, for a token."""
    virtual_packages: tuple[str, ...] = ()
    """What sessions have beside this machine's glibc and processor, for packages that ask: `__cuda=12.4`."""
