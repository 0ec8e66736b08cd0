"""What a wheel would unpack to and ask for, known from its index before anything of it is written.

In: wheels that came out of a sandbox; out: what they want from addresses of their own. Called confined.
"""

from __future__ import annotations

import email.message
import encodings.cp437
import zipfile
import zlib
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement

from perijove.backends.environments.installer import Room
from perijove.domain import sizes
from perijove.domain.failures import BUILD_BROKE, BUILD_TOO_LARGE, Evidence, Fail, Failure

assert email.message, "imported while its file may be read"
assert encodings.cp437, "likewise"
METADATA = 4 * 1024**2
"""Bytes of a package's metadata."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """A package that a wheel wants from an address."""

    name: str
    words: str
    """pip's words for it, with its extras."""
    optional: bool
    """Whether an extra asks for it."""


def looked_into(wheels: tuple[Path, ...], room: Room) -> tuple[Addressed, ...]:
    """Raises Fail: `build.too-large`, `build.disk-full`, `build.package-broke`."""
    found: list[Addressed] = []
    size = files = 0
    for path in wheels:
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    size, files = size + entry.file_size, files + 1
                    _judge(path, entry)
                if size > room.size:
                    raise room.outgrown(Evidence(path.name, f"{sizes.size(size)} unpacked"))
                if files > room.files:
                    raise Fail(_too_many(path, files, room))
                found += _addressed(path, archive)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError) as error:
            raise _broken(path, f"it cannot be read: {error}") from error
    return tuple(found)


def _judge(path: Path, entry: zipfile.ZipInfo) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise _broken(path, f"{entry.filename[:200]!r} leads out of it")


def _addressed(path: Path, archive: zipfile.ZipFile) -> list[Addressed]:
    found = []
    for entry in archive.infolist():
        folder, _, name = entry.filename.partition("/")
        if not (folder.endswith(".dist-info") and name == "METADATA"):
            continue
        with archive.open(entry) as file:
            text = file.read(METADATA + 1)
        if len(text) > METADATA:
            raise _broken(path, f"its metadata is larger than {sizes.size(METADATA)}")
        asked = HeaderParser().parsestr(text.decode("utf-8", "replace")).get_all("Requires-Dist", [])
        found += [_understood(path, str(one)) for one in asked if "@" in one]
    return found


def _understood(path: Path, asked: str) -> Addressed:
    try:
        requirement = Requirement(" ".join(asked.split()))
    except InvalidRequirement as error:
        raise _broken(path, f"it asks for {asked[:200]!r}") from error
    if requirement.url is None or not requirement.url.lower().startswith(("https://", "http://", "git+https://")):
        raise _broken(path, f"it asks for {asked[:200]!r}, which is no address on the web")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    optional = requirement.marker is not None and "extra" in str(requirement.marker)
    return Addressed(requirement.name, f"{requirement.name}{extras} @ {requirement.url}", optional)


def _broken(path: Path, why: str) -> Fail:
    return Fail(BUILD_BROKE(f"Its build made a wheel that is not used: {why}", Evidence(path.name, why)))


def _too_many(path: Path, files: int, room: Room) -> Failure:
    return BUILD_TOO_LARGE(f"the environment needs more than {room.files} files", Evidence(path.name, f"{files} files"))
