"""All that an environment is made from, and what that came to: its build is given this and nothing else. Pure.

In: what a plan asks for, on which interpreter, from which checkout, and which packages that was resolved to; out: the
environment's key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from perijove.domain.nouns import Checkout, EnvironmentKey

_CONDA = re.compile(r"^- conda: \S*/(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython of this machine."""

    version: str
    """`3.12.1`"""
    executable: Path
    """Not a virtual environment's."""
    prefix: Path
    """The folder that holds it with its standard library."""
    glibc: str = ""
    """Of the system of ours that it is for, outside of which it is never run; `` for this machine's system."""

    @property
    def minor(self) -> str:
        """`3.12`"""
        return self.version.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Source:
    """Something to be built in a sandbox: pip's words for it, without extras, and the extras."""

    words: str
    extras: str
    """`[dev]`, or ``."""
    said: str
    """As the repository has it."""
    local: bool
    """Whether it is a part of the repository."""


@dataclass(frozen=True, slots=True)
class CondaPackages:
    """The conda packages of an environment, each decided."""

    lock: str
    """They all, with their hashes, as pixi.lock has them."""
    python: str
    """Version of the interpreter among them."""
    variables: tuple[tuple[str, str], ...]
    """Set where the environment is active."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of their files, which hold version and build."""
        return tuple(found.removesuffix(".conda").removesuffix(".tar.bz2") for found in _CONDA.findall(self.lock))


@dataclass(frozen=True, slots=True)
class SystemPackage:
    """A file of the distribution's mirror."""

    name: str
    sha256: str
    address: str
    size: int

    @property
    def archive(self) -> str:
        """What it is kept as: mirrors may have another content by the same name."""
        return f"{self.sha256}.deb"


@dataclass(frozen=True, slots=True)
class System:
    """What an environment stands on, where that is not this machine's own."""

    base: str
    """Its key."""
    path: str = ""
    """The file that names packages, or ``."""
    asked: tuple[str, ...] = ()
    packages: tuple[SystemPackage, ...] = ()
    """All that have to be added for them, each decided."""

    @property
    def key(self) -> str:
        """Of the layer that they make: what it holds, wherever it was fetched from."""
        return _hash([self.base, *sorted([one.name, one.sha256] for one in self.packages)])


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that a plan asks for."""

    packages: tuple[str, ...] = ()
    """Requirements, from the operator's index."""
    constraints: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """Options that name other indexes or other ways to build: pip alone, in a sandbox, is given them, with all else."""
    prereleases: bool = False
    published_before: str = ""
    """A moment (`2021-03-04T05:06:07Z`): what the index got later is not taken; `` for all."""
    conda: CondaPackages | None = None
    """What all others are installed into; None for a virtual environment of the interpreter's."""

    @property
    def reads_repository(self) -> bool:
        """Whether a build must be given the repository's files."""
        return bool(self.elsewhere) or any(source.local for source in self.sources)

    @property
    def decided(self) -> bool:
        """Whether nothing but conda packages is asked for, each of which is decided."""
        return self.conda is not None and not (self.packages or self.sources or self.elsewhere)


@dataclass(frozen=True, slots=True)
class Scripts:
    """What a repository has run at a commit: after its environment is installed, and for its server."""

    post_build: str
    start: str
    """Paths below the checkout, or ``."""


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """What a build is given. Whatever it can read stands here, so it cannot be left out of its name."""

    wanted: Wanted
    interpreter: Interpreter
    checkout: Checkout
    """The commit that asks. Its files are given to builds that read them alone."""
    maker: str
    """What makes it: changes where the same inputs give another environment."""
    turn: int = 0
    """How often this commit's environment was asked for anew."""
    others: tuple[Interpreter, ...] = ()
    """Interpreters to take where what is pinned has no build for that one, the best first."""
    scripts: Scripts | None = None
    """Make it a layer of the commit's own, over the environment without them."""
    system: System | None = None
    """What it stands on; None for this machine's."""

    @property
    def home(self) -> Checkout | None:
        """The repository's files, for builds that read them; every other build has an empty home."""
        return self.checkout if self.wanted.reads_repository else None

    @property
    def base(self) -> BuildInputs:
        """The environment that others share."""
        return replace(self, scripts=None)

    @property
    def name(self) -> str:
        """Of the build: a hash of everything here, a checkout by its repository and commit."""
        asked = asdict(self)
        del asked["checkout"], asked["system"]
        return _hash([asked, self._root, *self._commit])

    @property
    def question(self) -> str:
        """The same for what a commit asks, whoever answers it and however often."""
        return _hash([asdict(self.wanted), self.scripts and asdict(self.scripts), *self._commit])

    @property
    def conda_key(self) -> EnvironmentKey:
        """Of a conda environment, which is made for its path, and so has its key before pip's packages are known."""
        asked = [self.turn, *self._commit] if not self.wanted.decided else []
        return _hash(["conda", asdict(self.wanted), asdict(self.interpreter), self.maker, self._root, *asked])

    def key(self, packages: Sequence[Package], interpreter: Interpreter, app: str) -> EnvironmentKey:
        """Of what all this was resolved to: equal sets are one environment; conda's holds its interpreter."""
        conda = self.wanted.conda
        of = asdict(interpreter) if conda is None else asdict(conda)
        return _hash([self.maker, of, app, self._root, *(asdict(one) for one in packages)])

    def layer_key(self, base: EnvironmentKey) -> EnvironmentKey:
        """Of what its scripts make of an environment."""
        assert self.scripts is not None
        return _hash([base, asdict(self.scripts), self.turn, *self._commit])

    @property
    def _commit(self) -> list[str]:
        return [self.checkout.repo.address.url, self.checkout.repo.commit]

    @property
    def _root(self) -> str:
        """What it stands on, by what that holds."""
        return self.system.key if self.system else ""


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that an environment was resolved to."""

    name: str
    """Normalized."""
    version: str
    content: str
    """A hash of its files' hashes."""
    built: bool
    """Whether it was built here, of what the repository or an address holds: its version does not name it."""

    @property
    def line(self) -> str:
        """As a requirement."""
        return f"{self.name}=={self.version}"


def _hash(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]
