"""What should a session open? A link's query in, a path relative to the session out. Pure.

Never an absolute address: a link must not carry a visitor, with the session's token, to another site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
_LONGEST = 4000
_VIEWS = (
    *("doc/tree", "lab/tree", "notebooks", "edit", "tree"),
    *("nbclassic/notebooks", "nbclassic/edit", "nbclassic/tree", "retro/notebooks", "retro/tree"),
)
"""Beginnings of a session's addresses before a path of the repository."""
# What JavaScript's encodeURI leaves alone in a path; the incumbent's pages write paths with it.
_PLAIN = ";,/:@&=+$-_.!~*'()"


def relative_urlpath(query: Mapping[str, str]) -> str:
    """The path a session opens, relative to its base: `labpath` before `filepath` before `urlpath`.

    `` where there is none, and where it would lead out of the session.
    """
    if labpath := query.get("labpath", ""):
        return opened_file("doc/tree", labpath)
    if filepath := query.get("filepath", ""):
        return opened_file("tree", filepath)
    return _inside(query.get("urlpath", ""))


def opened_file(view: str, path: str) -> str:
    """The relative path that shows a repository's file or folder in `view` (`doc/tree`, `lab/tree`, `tree`); or ``."""
    inside = path.strip("/ ")
    return f"{view}/{quote(inside, safe=_PLAIN)}" if inside and _harmless(inside) else ""


def view_and_file(urlpath: str) -> tuple[str, str]:
    """The view that shows a file or folder of the repository, and that file's path, decoded; else twice ``."""
    place = re.split(r"[?#]", urlpath, maxsplit=1)[0]
    view = next((view for view in _VIEWS if place.startswith(f"{view}/")), "")
    return (view, path) if view and (path := unquote(place.removeprefix(view)).strip("/ ")) else ("", "")


def named_notebook(urlpath: str) -> str:
    """The path of the notebook that it opens; `` for anything else."""
    path = view_and_file(urlpath)[1]
    return path if path.endswith(".ipynb") else ""


def _inside(path: str) -> str:
    relative = path.lstrip("/ ").rstrip(" ")
    place = re.split(r"[?#]", relative, maxsplit=1)[0]
    decoded = unquote(place)
    if not _harmless(place) or not _harmless(decoded) or _CONTROL.search(relative):
        return ""
    return "" if len(relative) > _LONGEST or _SCHEME.match(decoded) else relative


def _harmless(path: str) -> bool:
    """Whether a path stays below where it starts, however it is read."""
    depth = 0
    for part in path.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return False
    return not (len(path) > _LONGEST or "\\" in path or _CONTROL.search(path) or path.startswith("/"))
