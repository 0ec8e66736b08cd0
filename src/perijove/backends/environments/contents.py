"""Which packages uv has installed, each with a hash of its content: what an environment is named by. Synchronous.

What the operator's index holds is named by its files' hashes, as its wheel tells them. A wheel that foreign code made
may tell what it likes: it is named by its own bytes.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from packaging.utils import canonicalize_name

from perijove.domain.build_inputs import Package

VARIES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
"""Files that tell how a package came here."""
BUILT_AT = "318211200"
"""Unix seconds, of 1980, when zip's time begins: of all files in wheels that are built here, so that the same files are
the same wheel."""


def contents(site_packages: Path, wheels: Path) -> tuple[Package, ...]:
    """All that uv has installed, by their names; `wheels` holds those that foreign code made."""
    made: dict[str, list[str]] = {}
    for wheel in sorted(wheels.rglob("*.whl")):
        with wheel.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        made.setdefault(canonicalize_name(wheel.name.partition("-")[0]), []).append(content)
    found = []
    for path in site_packages.glob("*.dist-info"):
        if _text(path / "INSTALLER").strip() == "uv":
            name, _, version = path.name.removesuffix(".dist-info").partition("-")
            name, addressed = canonicalize_name(name), (path / "direct_url.json").exists()
            content = " ".join(sorted(made[name])) if name in made else _recorded(path)
            found.append(Package(name, version, content, addressed))
    return tuple(sorted(found, key=lambda one: one.name))


def _recorded(path: Path) -> str:
    """Of its files' hashes; not of its scripts, which name their environment."""
    rows = csv.reader(_text(path / "RECORD").splitlines())
    own = {f"{path.name}/{name}" for name in VARIES}
    kept = sorted(row[:2] for row in rows if row and row[0] not in own and not row[0].startswith("../../../bin/"))
    return hashlib.sha256(repr(kept).encode()).hexdigest()[:32]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
