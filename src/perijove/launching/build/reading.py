"""Reads the few files of a checkout that describe its environment. Bounded, and never through a link out of it."""

from __future__ import annotations

from pathlib import Path

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.launching.build.detect import FOLDERS, READ, Detected, detect

LARGEST = 1024**2
"""Bytes of a file that describes an environment."""


def read(root: Path, path: str) -> str:
    """A text file of the checkout, by its path below it. Raises Fail: `build.bad-file`."""
    try:
        real = (root / path).resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            raise _bad(path, "it lies outside of the repository")
        if not real.is_file():
            raise _bad(path, "it is not a file")
        if real.stat().st_size > LARGEST:
            raise _bad(path, f"it is larger than {LARGEST} bytes")
        return real.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _bad(path, "there is no such file") from error
    except UnicodeDecodeError as error:
        raise _bad(path, f"it is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (OSError, RuntimeError, ValueError) as error:  # loops of links, names too long or with a NUL
        raise _bad(path, str(error)) from error


def detected(root: Path) -> Detected:
    """The plan for a checkout. Raises Fail: `build.bad-file`, `build.unsupported-file`."""
    names = {path.name for path in root.iterdir() if not path.is_dir()}
    for folder in FOLDERS:
        if (root / folder).is_dir() and (root / folder).resolve().is_relative_to(root.resolve()):
            names |= {f"{folder}/{path.name}" for path in (root / folder).iterdir() if not path.is_dir()}
    wanted = {prefix + name for prefix in ("", *(f"{f}/" for f in FOLDERS)) for name in READ}
    return detect(frozenset(names), {name: read(root, name) for name in sorted(wanted & names)})


def _bad(path: str, why: str) -> Fail:
    return Fail(failures.BAD_FILE(f"{path} cannot be read: {why}", Evidence(path, why)))
