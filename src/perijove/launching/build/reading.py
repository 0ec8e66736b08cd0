"""Reads the few files of a checkout that describe its environment. Bounded, and never through a link out of it."""

from __future__ import annotations

import codecs
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from perijove.domain import failures
from perijove.domain.conda_settings import conda_platform
from perijove.domain.failures import Evidence, Fail
from perijove.domain.sizes import size
from perijove.launching.build.conda_locks import READERS
from perijove.launching.build.detect import FOLDERS, Detected, detect, to_read
from perijove.launching.build.near_misses import MISPLACED

LARGEST = 1024**2
"""Bytes of a file that describes an environment."""
LARGEST_LOCK = 16 * LARGEST
"""Of one that names every package for every platform."""


SAVE = "Save it as UTF-8 in your editor, and push."
TOLD = 80
"""Letters of a line that is no text."""
MOST = 2000
"""Folders that are looked into for files which lie where they do not count."""
DEEPEST = 2
"""Levels below the root of such folders."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""What a text may begin with, and its encoding then; UTF-16's mark begins UTF-32's."""
_CODING = re.compile(rb"^#.{0,200}coding[:=]\s*([-\w.]{1,40})", re.MULTILINE)


def read(root: Path, path: str, largest: int = LARGEST) -> str:
    """A text file of the checkout, by its path below it. Raises Fail: `build.bad-file`."""
    return _read(root, path, largest)[0]


def detected(root: Path) -> Detected:
    """The plan for a checkout. Raises Fail: `build.bad-file`, `build.unsupported-file`."""
    names = {path.name for path in root.iterdir() if not path.is_dir()}
    for folder in FOLDERS:
        if (root / folder).is_dir() and (root / folder).resolve().is_relative_to(root.resolve()):
            names |= {f"{folder}/{path.name}" for path in (root / folder).iterdir() if not path.is_dir()}
    largest = dict.fromkeys(READERS, LARGEST_LOCK)
    found = {
        name: _read(root, name, largest.get(name.rpartition("/")[2], LARGEST))
        for name in sorted(to_read(frozenset(names)))
    }
    texts = {name: text for name, (text, _) in found.items()}
    plan = detect(frozenset(names), texts, _elsewhere(root), conda_platform(platform.machine()))
    odd = [
        f"{name} is written in {encoding.upper()}: save it as UTF-8, which every program reads"
        for name, (_, encoding) in found.items()
        if encoding != "utf-8"
    ]
    return Detected(plan.plan, (*plan.notes, *odd))


def _read(root: Path, path: str, largest: int = LARGEST) -> tuple[str, str]:
    """A file's text and its encoding, told as pip tells it: by its first bytes, by a comment, else UTF-8."""
    try:
        real = (root / path).resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            raise _bad(path, "it lies outside of the repository")
        if not real.is_file():
            raise _bad(path, "it is not a file")
        if real.stat().st_size > largest:
            raise _bad(path, f"it is larger than {size(largest)}")
        return _decoded(path, real.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _bad(path, "there is no such file") from error
    except UnicodeDecodeError as error:
        raise _undecodable(path, error) from error
    # Loops of links, names too long or with a NUL; an encoding that is none, or none of texts.
    except (OSError, RuntimeError, ValueError, LookupError) as error:
        raise _bad(path, str(error)) from error


def _decoded(path: str, content: bytes) -> tuple[str, str]:
    mark, encoding = next((found for found in _MARKS if content.startswith(found[0])), (b"", ""))
    if not mark and 3 * content.count(0) > len(content):
        raise _bad(path, "it holds zero bytes, as UTF-16 does; without its mark nothing tells", SAVE)
    if not encoding:
        said = _CODING.search(b"\n".join(content.split(b"\n", 2)[:2]))
        encoding = codecs.lookup(said[1].decode()).name if said else "utf-8"
    text = str(content.removeprefix(mark), encoding)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _bad(path, f"line {line} holds a zero byte", "Write that line anew, save the file as UTF-8, and push.")
    return text, encoding


def _undecodable(path: str, error: UnicodeDecodeError) -> Fail:
    """Where the encoding breaks, and what stands there for Windows, where most such files come from."""
    content, at, end = error.object, error.start, b"\n"
    line, before = content.count(end, 0, at) + 1, content.rfind(end, 0, at) + 1
    why = f"it is not {error.encoding.upper()} text ({error.reason} at byte {at}, in line {line})"
    try:
        text = content.decode("cp1252")  # a letter a byte
    except UnicodeDecodeError:
        return _bad(path, why, SAVE)
    if error.encoding != "utf-8" or not (letter := text[at]).isprintable():
        return _bad(path, why, SAVE)
    said = "".join(one for one in text[before:].split("\n", 1)[0][:TOLD] if one.isprintable())
    why = f"{why}: in Windows-1252 that is “{letter}”, of “{said}”"
    does = f"iconv -f windows-1252 -t utf-8 {quote(path)} > utf-8.txt && mv utf-8.txt {quote(path)}"
    return _bad(path, why, f"{SAVE} Where that letter is right, this saves it so: `{does}`.")


def _elsewhere(root: Path) -> Iterator[str]:
    """Files in folders below the root whose names would mean an environment; no link is followed."""
    for count, (folder, folders, names) in enumerate(os.walk(root)):
        inner = Path(folder).relative_to(root)
        depth = len(inner.parts)
        folders[:] = [name for name in sorted(folders) if not name.startswith(".")] if depth < DEEPEST else []
        if depth and inner.parts[0] not in FOLDERS:
            yield from (str(inner / name) for name in names if name in MISPLACED)
        if count >= MOST:
            return


def _bad(path: str, why: str, remedy: str = "") -> Fail:
    return Fail(failures.BAD_FILE(f"{path} cannot be read: {why}", Evidence(path, why), remedy=remedy))
