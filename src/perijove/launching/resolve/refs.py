"""Which commit does a ref mean? The lines of `git ls-remote --symref` and a ref in, a choice out. Pure.

An exact branch before an exact tag (an annotated one means its commit) before `HEAD` before a commit's full or
short name. Nothing matches by its end only: `main` never means `feature/main`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from perijove.domain.nouns import RefNames
from perijove.launching.resolve.giturl import can_be_ref

_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT = re.compile(r"[0-9a-f]{4,63}")
_DEFAULT_NAMES = ("master", "main")
_BRANCH, _TAG = "refs/heads/", "refs/tags/"
NAMED = 2000
"""Branches, and tags, of which the names are told."""


@dataclass(frozen=True, slots=True)
class Advertised:
    """What a host lists: commits by full ref name, tags peeled; `head` is the default branch's full name or ``."""

    refs: Mapping[str, str]
    head: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """This commit. `ref_name` is the full name it was found by, `` for a commit's own name."""

    commit: str
    ref_name: str


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A commit's full or short name that no listed ref stands at; only the host's history can tell."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Missing:
    """No such ref. `similar` are names that look like it, the nearest first; `ambiguous` commits that begin so."""

    similar: tuple[str, ...]
    ambiguous: tuple[str, ...] = ()


def is_full_commit(ref: str) -> bool:
    """Whether a ref is a commit's full name."""
    return _FULL.fullmatch(ref.lower()) is not None


def listed(output: str) -> Advertised:
    """Read the lines of `git ls-remote --symref`; lines of any other shape are passed over."""
    refs: dict[str, str] = {}
    peeled: dict[str, str] = {}
    head = ""
    for line in output.splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: "):
            head = value.removeprefix("ref: ")
        elif not _FULL.fullmatch(value):
            continue
        elif name.endswith("^{}"):
            peeled[name.removesuffix("^{}")] = value
        elif name:
            refs[name] = value
    return Advertised(refs | peeled, head)


def choose(advertised: Advertised, ref: str) -> Chosen | Unlisted | Missing:
    """The commit that a ref means among those advertised.

    `master` and `main` mean the default branch where they do not exist: hosts have changed that name.
    """
    refs = advertised.refs
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", *((ref,) if ref.startswith("refs/") else ())):
        if name in refs:
            return Chosen(refs[name], name)
    if "HEAD" in refs and (ref == "HEAD" or ref in _DEFAULT_NAMES):
        return Chosen(refs["HEAD"], advertised.head)
    lower = ref.lower()
    if is_full_commit(ref):
        return Chosen(lower, "") if lower in refs.values() else Unlisted(lower)
    if _SHORT.fullmatch(lower):
        matches = sorted({commit for commit in refs.values() if commit.startswith(lower)})
        if len(matches) == 1:
            return Chosen(matches[0], "")
        return Missing((), tuple(matches)) if matches else Unlisted(lower)
    return Missing(similar(advertised, ref))


def names(advertised: Advertised) -> RefNames:
    """The branches and tags that people choose from."""
    default = advertised.head.removeprefix(_BRANCH)
    branches = [name.removeprefix(_BRANCH) for name in advertised.refs if name.startswith(_BRANCH)]
    tags = [name.removeprefix(_TAG) for name in advertised.refs if name.startswith(_TAG)]
    branches.sort(key=lambda name: (name != default, name))
    return RefNames(tuple(filter(can_be_ref, branches[:NAMED])), tuple(filter(can_be_ref, sorted(tags)[-NAMED:])))


def similar(advertised: Advertised, ref: str) -> tuple[str, ...]:
    """A few branches and tags whose names look like `ref`."""
    names: dict[str, str] = {}
    for full in advertised.refs:
        for prefix in ("refs/heads/", "refs/tags/"):
            if full.startswith(prefix):
                names.setdefault(full.removeprefix(prefix).casefold(), full.removeprefix(prefix))
    wanted = ref.casefold()
    near = difflib.get_close_matches(wanted, list(names)[:5000], n=4, cutoff=0.6)
    inside = [name for name in names if wanted in name.split("/") or name in wanted.split("/")]
    return tuple(names[name] for name in dict.fromkeys([*near, *inside]))[:5]


def default_branch_taken(ref: str, ref_name: str) -> str:
    """The line that tells that the default branch was taken for a `master` or `main` that is not there; or ``."""
    if ref not in _DEFAULT_NAMES or ref_name in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
        return ""
    branch = ref_name.removeprefix("refs/heads/") or "HEAD"
    return f"There is no branch {ref} here; {branch}, the default, is taken. Tip: HEAD is always the default branch."
