"""Which repository does a page of a Git host show, and what of it? An address in, a Page or a Fail out. Pure.

GitHub, GitLab, Bitbucket, Gitea and Forgejo by the form of their addresses, on whatever host; and sites that show
notebooks of GitHub's. A page that shows no repository is refused by what it is, never taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import SplitResult, quote, unquote

from perijove.domain.failures import Fail
from perijove.launching.resolve.giturl import bad, split


class View(Enum):
    """What a page shows, by where a session shows the same."""

    FILE = "doc/tree"
    FOLDER = "lab/tree"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a repository: at `ref`, or at a ref that `refs_from` begins with, and a path that follows."""

    provider: str
    place: str
    """A spec without its ref, percent-encoded."""
    ref: str = "HEAD"
    refs_from: tuple[str, ...] | None = None
    """Decoded parts of the address: where the ref's name ends it does not say."""
    view: View | None = View.FOLDER
    """None where the address does not say it: a name with a dot is a file's then."""


Reader = Callable[[SplitResult, list[str], str], "Page | None"]
_PUBLISHED = re.compile(r"(?:[\w-]+\.)+(?:github\.io|gitlab\.io|codeberg\.page|bitbucket\.io)", re.ASCII)
_LISTS = ("branches", "tags", "releases", "commits", "tree", "src", "activity", "network", "stargazers", "forks")
"""Pages of a repository that show it as a whole."""
_BELOW = ("tree", "blob", "pull", "pulls", "commit", "commits", "compare", "releases")
"""What else tells a page of a repository on any host."""
_OTHER = {
    "issues": "issues",
    "pulls": "pull requests",
    "merge_requests": "merge requests",
    "wiki": "the wiki",
    "wikis": "the wiki",
    "actions": "workflows",
    "pipelines": "pipelines",
    "jobs": "pipelines",
    "compare": "a comparison",
    "discussions": "discussions",
    "projects": "project boards",
    "settings": "the settings",
    "security": "security notes",
    "packages": "packages",
}
"""Pages beside a repository's files, by their first part."""
_PASTE = "Paste the address of the repository, of a branch, or of a file in it."


def read(parts: SplitResult, text: str) -> Page | None:
    """What an address shows; None for one that may be a repository's own. Raises Fail: `resolve.bad-link`."""
    host = (parts.hostname or "").removeprefix("www.")
    segments = [segment for segment in parts.path.split("/") if segment]
    if "@" in parts.netloc:
        return None
    if _PUBLISHED.fullmatch(host):
        raise bad("it is a published page, not the repository that it was made from", text, _PASTE)
    if host == "drive.google.com" or (host == "colab.research.google.com" and segments[:1] != ["github"]):
        remedy = "Save a copy of the notebook in a Git repository, and paste its address."
        raise bad("it is a notebook in somebody's Google Drive", text, remedy)
    if reader := _SITES.get(host):
        return reader(parts, segments, text)
    return _on_any_host(parts, segments, text)


def _github(parts: SplitResult, segments: list[str], text: str) -> Page:
    """`/owner/repo`, and below it `/tree/ref/folder`, `/blob/ref/file`, `/commit/sha`, `/pull/5`."""
    if len(segments) < 2:
        raise bad("it names no repository", text, "A repository's address is https://github.com/owner/repository.")
    repo, at, ref = "/".join(segments[1:]).partition("@") if "@" in segments[1] else (segments[1], "", "")
    place = f"{segments[0]}/{repo.removesuffix('.git')}"
    if at:
        return Page("gh", place, unquote(ref))
    return _below("gh", place, segments[2:], text)


def _gitlab(parts: SplitResult, segments: list[str], text: str) -> Page:
    return _gitlab_page("gl", segments, text)


def _gitlab_page(provider: str, segments: list[str], text: str) -> Page:
    """`/group/project`, and below it `/-/tree/ref/folder`, `/-/blob/ref/file`, `/-/merge_requests/7`."""
    cut = segments.index("-") if "-" in segments else len(segments)
    namespace, _, ref = "/".join(segments[:cut]).partition("@")
    if "/" not in namespace:
        raise bad("it names no project", text, "A project's address is https://gitlab.com/group/project.")
    kind, _, base = provider.partition(":")
    place = f"{base}/{namespace}.git" if base else unquote(namespace).removesuffix(".git")
    if ref:
        return Page(kind, quote(place, safe=""), unquote(ref))
    return _below(kind, quote(place, safe=""), segments[cut + 1 :], text)


def _gist(parts: SplitResult, segments: list[str], text: str) -> Page:
    """`/owner/id`, and below it a version. Without its owner it is a Git URL like any other."""
    if len(segments) == 1 and re.fullmatch(r"[0-9a-f]{20,64}(?:\.git)?", segments[0]):
        url = f"https://gist.github.com/{segments[0].removesuffix('.git')}.git"
        return Page("git", quote(url, safe=""))
    if len(segments) < 2:
        raise bad("it names no gist", text, "A gist's address is https://gist.github.com/owner/id.")
    version = segments[2] if len(segments) > 2 and re.fullmatch("[0-9a-f]{40}", segments[2]) else "HEAD"
    return Page("gist", f"{segments[0]}/{segments[1].removesuffix('.git')}", version)


def _bitbucket(parts: SplitResult, segments: list[str], text: str) -> Page | None:
    """`/owner/repo/src/ref/path`."""
    match segments:
        case [owner, repo, "src", *rest] if rest:
            return _shows("git", _git_place(parts, owner, repo), rest, None)
        case [owner, repo, "branch", *ref] | [owner, repo, "commits", "branch" | "tag", *ref] if ref:
            return Page("git", _git_place(parts, owner, repo), unquote("/".join(ref)))
        case [owner, repo, "commits", commit]:
            return Page("git", _git_place(parts, owner, repo), unquote(commit))
        case [_, _, other, *_] if other in (*_OTHER, "pull-requests"):
            raise _beside(other, text)
        case _:
            return None


def _raw(parts: SplitResult, segments: list[str], text: str) -> Page:
    """`/owner/repo/ref/path`, the ref's full name too."""
    if len(segments) < 4:
        raise bad("it names no file of a repository", text, _PASTE)
    owner, repo, *rest = segments
    return _shows("gh", f"{owner}/{repo}", rest, View.FILE)


def _showing(parts: SplitResult, segments: list[str], text: str) -> Page | None:
    """Sites that show what lies at GitHub: nbviewer, Colab, editors in the browser."""
    match segments:
        case ["github" | "gh", *rest]:
            return _github(parts, rest, text)
        case ["gist", *rest]:
            return _gist(parts, rest, text)
        case ["url" | "urls", *rest] if rest:
            return read(split(f"https://{'/'.join(rest)}")[0], text)
        case _:
            raise bad("it shows no repository", text, _PASTE)


def _on_any_host(parts: SplitResult, segments: list[str], text: str) -> Page | None:
    """Pages whose form tells GitLab, Gitea, Forgejo and GitHub Enterprise, wherever they are."""
    if "-" in segments[2:]:
        return _gitlab_page(f"git:{parts.scheme}://{parts.netloc}", segments, text)
    match segments:
        case [owner, repo, "src" | "raw" | "media", "branch" | "tag" | "commit", *rest] if rest:
            return _shows("git", _git_place(parts, owner, repo), rest, None)
        case [owner, repo, "commits", "branch" | "tag" | "commit", *ref] if ref:
            return Page("git", _git_place(parts, owner, repo), unquote("/".join(ref)))
        case [owner, repo, kind, *rest] if rest and kind in _BELOW:
            return _below("git", _git_place(parts, owner, repo), [kind, *rest], text)
        case [_, _, "issues" | "wiki" | "actions" as other, *_]:
            raise _beside(other, text)
        case _:
            return None


def _git_place(parts: SplitResult, owner: str, repo: str) -> str:
    return quote(f"{parts.scheme}://{parts.netloc}/{owner}/{repo}", safe="")


def _below(provider: str, place: str, rest: list[str], text: str) -> Page:
    """What a page below a repository shows."""
    match rest:
        case ["tree", *ref] if ref:
            return _shows(provider, place, ref, View.FOLDER)
        case ["blob" | "raw" | "blame" | "edit", ref, *path] if path:
            return _shows(provider, place, [ref, *path], View.FILE)
        case ["pull" | "pulls", number, *_] if number.isdecimal():
            return Page(provider, place, f"refs/pull/{number}/head")
        case ["merge_requests", number, *_] if number.isdecimal():
            return Page(provider, place, f"refs/merge-requests/{number}/head")
        case ["commit", commit, *_]:
            return Page(provider, place, unquote(commit))
        case ["tags", *ref] | ["releases", "tag", *ref] | ["pull", "new", *ref] if ref:
            return Page(provider, place, unquote("/".join(ref)))
        case ["commits", *ref] if ref:
            return _shows(provider, place, ref, View.FOLDER)
        case [] | [""]:
            return Page(provider, place)
        case [first, *_] if first in _LISTS:
            return Page(provider, place)
        case [other, *_]:
            raise _beside(other, text)
    raise AssertionError(rest)


def _shows(provider: str, place: str, rest: list[str], view: View | None) -> Page:
    """A ref, its full name too, and a path."""
    if rest[:2] in (["refs", "heads"], ["refs", "tags"]) and len(rest) > 2:
        rest = rest[2:]
    return Page(provider, place, refs_from=tuple(unquote(part) for part in rest), view=view)


def _beside(other: str, text: str) -> Fail:
    return bad(f"it is a page of {_OTHER.get(other, 'something else')}, not of a repository's files", text, _PASTE)


_SITES: dict[str, Reader] = {
    "github.com": _github,
    "github.dev": _github,
    "github1s.com": _github,
    "gitlab.com": _gitlab,
    "gist.github.com": _gist,
    "bitbucket.org": _bitbucket,
    "raw.githubusercontent.com": _raw,
    "colab.research.google.com": _showing,
    "nbviewer.org": _showing,
    "nbviewer.jupyter.org": _showing,
    "vscode.dev": _showing,
}
