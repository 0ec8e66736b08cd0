"""All that an environment is made from. Its build is given this and nothing else, and its name is a hash of it. Pure.

In: what a plan asks for, on which interpreter, from which checkout; out: the environment's key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from perijove.domain.nouns import Checkout, EnvironmentKey


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython of this machine."""

    version: str
    """`3.12.1`"""
    executable: Path
    """Not a virtual environment's."""
    prefix: Path
    """The folder that holds it with its standard library."""

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that a plan asks for."""

    packages: tuple[str, ...] = ()
    """Requirements, from the operator's index."""
    constraints: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """Requirements files with options that only pip, in a sandbox, is given: other indexes, other ways to build."""
    prereleases: bool = False
    conda: CondaPackages | None = None
    """What all others are installed into; None for a virtual environment of the interpreter's."""
    moves: bool = False
    """Whether it names what may change without its name: a branch, an address without a hash, another index."""

    @property
    def reads_repository(self) -> bool:
        """Whether a build must be given the repository's files."""
        return bool(self.elsewhere) or any(source.local for source in self.sources)


@dataclass(frozen=True, slots=True)
class Scripts:
    """What a repository has run at one commit: after its environment is installed, and for its server."""

    checkout: Checkout
    post_build: str
    start: str
    """Paths below the checkout, or ``."""


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """What a build is given. Whatever it can read stands here, so it cannot be left out of the key."""

    wanted: Wanted
    interpreter: Interpreter
    home: Checkout | None
    """The repository's files, for builds that read them; every other build has an empty home."""
    maker: str
    """What makes it: changes where the same inputs give another environment."""
    period: int
    """Counts the times after which what may change is looked at again; 0 for what cannot."""
    others: tuple[Interpreter, ...] = ()
    """Interpreters to take where what is pinned has no build for that one, the best first."""
    scripts: Scripts | None = None
    """Make it a layer of the commit's own, over the environment without them."""

    @property
    def base(self) -> BuildInputs:
        """The environment that others share."""
        return replace(self, scripts=None)

    @property
    def key(self) -> EnvironmentKey:
        """The environment's name: a hash of everything here, a checkout by its repository and commit."""
        if self.scripts is not None:
            ran = [self.scripts.post_build, self.scripts.start]
            return _hash([self.base.key, *ran, *_named(self.scripts.checkout)])
        parts = [asdict(replace(self, home=None)), _named(self.home) if self.home else []]
        return _hash(parts)


def _named(checkout: Checkout) -> list[str]:
    return [checkout.repo.address.url, checkout.repo.commit]


def _hash(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]
