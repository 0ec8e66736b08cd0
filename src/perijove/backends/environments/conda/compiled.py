"""Bytecode of conda environments, kept by the content of its source and by the python package that made it.

In: an environment's packages. Out: links to what is kept, and what is still to compile. Runs confined. Whoever links
kept bytecode runs the very python that made it; a file that stands where another package's should is another content.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from perijove.backends.environments.bytecode import UNCOMPILED

STAMP = "info/perijove.hash"
"""Beside an unpacked package: of which archive it is, and how many files it links."""
LARGEST = 16 * 1024**2
"""Bytes of a source; larger ones are compiled by whoever imports them."""
NONE = ".none"
"""Ends the name of what says that a source does not compile."""
MOST = 200_000
"""Sources of one environment that are looked at."""


@dataclass(frozen=True, slots=True)
class Compiling:
    """One environment's packages, and who compiles them."""

    cache: Path
    python: str
    """The package's folder in the cache."""
    minor: str
    site_packages: Path
    listed: Path
    """Names of sources that are to be compiled, one a line."""
    compiler: Path
    """Where the python package alone is laid: of what strangers bring, nothing else compiles for others."""

    @property
    def package(self) -> Path:
        return self.cache / "packages" / self.python

    @property
    def program(self) -> Path:
        return Path("bin") / f"python{self.minor}"

    @property
    def kept(self) -> Path:
        made_by = hashlib.sha256((self.package / STAMP).read_bytes()).hexdigest()[:32]
        return self.cache / "bytecode" / made_by


def link_known(compiling: Compiling) -> int:
    """Link what is kept, write down the rest and lay its compiler; how many these are."""
    if not (compiling.package / compiling.program).is_file():
        return 0  # another implementation's
    rest = [source.name for source in _sources(compiling) if not _linked(source)]
    if rest:
        compiling.listed.write_text("".join(f"{name}\n" for name in rest[:MOST]), "utf-8", "surrogateescape")
        shutil.copytree(
            compiling.package,
            compiling.compiler,
            symlinks=True,
            copy_function=lambda source, target: os.link(source, target, follow_symlinks=False),
            ignore=lambda folder, _: {"info"} if folder == str(compiling.package) else set(),
        )
    return len(rest)


def keep(compiling: Compiling, handed: Path) -> None:
    """Keep what was compiled, and that the rest of what was listed does not compile."""
    told = frozenset(compiling.listed.read_text("utf-8", "surrogateescape").splitlines())
    for source in _sources(compiling, told):
        os.makedirs(os.path.dirname(source.held), exist_ok=True)
        content = _handed(os.path.join(handed, f"{source.name}c"))
        aside = f"{source.held}.{os.getpid()}"
        with open(aside, "wb") as file:
            file.write(content)
        os.replace(aside, source.held if content else source.held + NONE)
        _linked(source)


class _Source(NamedTuple):
    name: str
    """Its path below site-packages."""
    held: str
    """Where its bytecode is kept."""
    cached: str
    """Where that belongs."""


def _sources(compiling: Compiling, told: Collection[str] | None = None) -> Iterator[_Source]:
    """What may be compiled, or of that what is told: nothing behind a link, since a package's may lead elsewhere."""
    root, kept = os.path.join(compiling.site_packages, ""), str(compiling.kept)
    ending = f".cpython-{compiling.minor.replace('.', '')}.pyc"
    for folder, _, names in os.walk(root):
        cache = os.path.join(folder, "__pycache__")
        if os.path.islink(cache):
            continue
        for name in names:
            path = os.path.join(folder, name)
            source = path[len(root) :]
            if not name.endswith(".py") or "\n" in source or UNCOMPILED.search(f"/{source}"):
                continue
            if (told is None or source in told) and (held := _content(path, source)):
                yield _Source(source, f"{kept}/{held[:2]}/{held[2:]}", f"{cache}/{name[:-3]}{ending}")


def _content(path: str, name: str) -> str:
    """A hash of a source and of what else stands in its bytecode; `` where it is compiled for nobody else."""
    facts = os.lstat(path)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
        return ""
    told = hashlib.sha256(f"{name}\0{int(facts.st_mtime)}\0".encode("utf-8", "surrogateescape"))
    with open(path, "rb", buffering=0) as file:
        told.update(file.read())
    return told.hexdigest()


def _linked(source: _Source) -> bool:
    """Whether its bytecode is where it belongs, or it has none."""
    for _ in range(2):
        try:
            os.link(source.held, source.cached)
        except FileExistsError:
            return True
        except NotADirectoryError:
            return True  # a package's file stands there
        except FileNotFoundError:
            if not os.path.exists(source.held):
                return os.path.exists(source.held + NONE)
            os.mkdir(os.path.dirname(source.cached))
        else:
            return True
    return True


def _handed(path: str) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read()
    except (OSError, ValueError):
        return b""
