"""Bytecode of conda environments, kept by the content of its source and by the python package that made it.

In: an environment's packages. Out: links to what is kept, and what is still to compile. Runs confined. Whoever links
kept bytecode runs the very python that made it; a file that stands where another package's should is another content.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from perijove.backends.environments.bytecode import UNCOMPILED, timed

STAMP = "info/perijove.package"
"""Beside an unpacked package: of which archive it is, and how many files it links."""
SOURCES = "info/perijove.sources"
"""Beside an unpacked package, written before it may be linked: inode, hash and name of each of its sources."""
LARGEST = 16 * 1024**2
"""Bytes of a source; larger ones are compiled by whoever imports them."""
NONE = ".none"
"""Ends the name of what says that a source does not compile."""
_UNTOLD = re.compile(r"[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
"""Ends a line for `str.splitlines`: no name of a source that is written down has it."""
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


def remember(package: Path) -> None:
    """Write down what the sources of an unpacked package hash to, so that they are not read in each environment."""
    lines = []
    for root in (package / "site-packages", *package.glob("lib/python3*/site-packages")):
        if root.resolve().is_relative_to(package.resolve()):
            for path, name in _python(root):
                if held := _content(path, name):
                    lines.append(f"{os.lstat(path).st_ino} {held} {name}\n")
    (package / SOURCES).unlink(missing_ok=True)  # never written through
    (package / SOURCES).write_text("".join(lines), "utf-8", "surrogateescape")


def _remembered(compiling: Compiling) -> Mapping[str, str]:
    """Hashes by inode and name of what this environment's packages have, where it is linked from them."""
    packages, known = compiling.cache / "packages", dict[str, str]()
    if packages.stat().st_dev != compiling.site_packages.stat().st_dev:
        return known
    for told in compiling.site_packages.parents[2].glob("conda-meta/*.json"):
        with suppress(OSError):  # from before they were written down
            for line in (packages / told.stem / SOURCES).read_text("utf-8", "surrogateescape").splitlines():
                inode, held, name = line.split(" ", 2)
                known[f"{inode} {name}"] = held
    return known


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
        content = timed(_handed(os.path.join(handed, f"{source.name}c")), compiling.site_packages / source.name)
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
    kept, known = str(compiling.kept), _remembered(compiling)
    ending = f".cpython-{compiling.minor.replace('.', '')}.pyc"
    for path, name in _python(compiling.site_packages):
        if told is None or name in told:
            held = known.get(f"{os.lstat(path).st_ino} {name}") or _content(path, name)
            if held:
                folder, file = os.path.split(path)
                yield _Source(name, f"{kept}/{held[:2]}/{held[2:]}", f"{folder}/__pycache__/{file[:-3]}{ending}")


def _python(site_packages: Path) -> Iterator[tuple[str, str]]:
    """Files that may be compiled, each with its name below site-packages."""
    root = os.path.join(site_packages, "")
    for folder, _, names in os.walk(root):
        if os.path.islink(os.path.join(folder, "__pycache__")):
            continue
        for file in names:
            path = os.path.join(folder, file)
            name = path[len(root) :]
            if file.endswith(".py") and not _UNTOLD.search(name) and not UNCOMPILED.search(f"/{name}"):
                yield path, name


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
