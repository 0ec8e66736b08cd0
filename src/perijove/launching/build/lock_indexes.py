"""The indexes that lock files took packages from → options as a requirements file has them. Pure.

PyPI is left out: the operator's own index stands for it. Raises Fail: `build.bad-file`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from perijove.launching.build.tables import read, unusable

_PYPI = frozenset(("pypi.org", "pypi.python.org"))
_ADDRESS = re.compile(r"https?://[^\s'\"\\]{1,1000}")
_FOLDER = re.compile(r"[\w./+-]{1,300}")
MOST = 50
"""Indexes of one file."""


def options(path: str, indexes: Iterable[object]) -> list[str]:
    """A line for each index that is not PyPI; uv's may also be folders of the repository."""
    found: dict[str, None] = {}
    for index in indexes:
        if not isinstance(index, str):
            raise unusable(path, "it names an index by no address", repr(index))
        if _ADDRESS.fullmatch(index):
            if urlsplit(index).hostname not in _PYPI:
                found[f"--extra-index-url {index}"] = None
        elif _FOLDER.fullmatch(index):
            found[f"--find-links ./{index}"] = None
        else:
            raise unusable(path, "it names an index by no address", index)
    if len(found) > MOST:
        raise unusable(path, f"it takes packages from more than {MOST} indexes", f"{len(found)}")
    return list(found)


def of_uv_lock(path: str, text: str) -> list[str]:
    """The same of a whole uv.lock."""
    packages = read(path, text).get("package", [])
    sources = [one.get("source") for one in packages if isinstance(one, dict)] if isinstance(packages, list) else []
    return options(
        path, [source["registry"] for source in sources if isinstance(source, dict) and "registry" in source]
    )
