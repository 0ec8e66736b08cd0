"""Which repository does a page of a Git host show, and what of it? An address in, a Page or a Fail out. Pure.

GitHub, GitLab, Bitbucket, Gitea, Forgejo and others by the form of their addresses, on whatever host; and sites that
show notebooks of GitHub's. A page that shows no repository is refused by what it is, never taken for one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import SplitResult, parse_qs, quote, unquote

from perijove.domain.failures import Fail
from perijove.launching.resolve.giturl import bad, split
from perijove.launching.resolve.refs import is_full_commit


class View(Enum):
    """What a page shows, by where a session shows the same."""

    FILE = "doc/tree"
    FOLDER = "lab/tree"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a repository: of `path` at `ref`, or at a ref that `refs_from` begins with, and a path that follows."""

    provider: str
    place: str
    """A spec without its ref, percent-encoded."""
    ref: str = "HEAD"
    path: str = ""
    refs_from: tuple[str, ...] | None = None
    """Decoded parts of the address: where the ref's name ends it does not say."""
    view: View | None = View.FOLDER
    """None where the address does not say it: a name with a dot is a file's then."""


Reader = Callable[[SplitResult, list[str], str], "Page | None"]
_PUBLISHED = re.compile(
    r"(?:[\w-]+\.)+(?:github\.io|gitlab\.io|codeberg\.page|bitbucket\.io|readthedocs\.io|netlify\.app|vercel\.app"
    r"|pages\.dev)",
    re.ASCII,
)
_NO_REPOSITORIES = {
    "kaggle.com": "a page of Kaggle's",
    "pypi.org": "a package",
    "anaconda.org": "a package",
    "api.github.com": "for programs",
    "codeload.github.com": "for programs",
    "arxiv.org": "a paper",
    "nbgitpuller.link": "a form that makes links",
}
"""Hosts whose pages people take for a repository's, and what they are."""
_FILE = re.compile(r"\.(?:ipynb|html?|pdf|zip|tgz|tar\.\w+)$", re.IGNORECASE)
"""What no repository is named like."""
_ARCHIVED = re.compile(r"\.(?:zip|tar\.gz|tar\.bz2|tgz|tar)$")
_LISTS = ("branches", "tags", "releases", "commits", "tree", "src", "activity", "stargazers", "forks")
"""Pages of a repository that show it as a whole."""
_OLD_GITLAB = ("tree", "blob", "raw", "blame", "commits", "commit", "merge_requests")
"""What follows a project where GitLab's addresses have no `-` yet; most of them are names that no project may have."""
_GITHUBS_OWN = (
    "topics",
    "marketplace",
    "codespaces",
    "orgs",
    "sponsors",
    "features",
    "settings",
    "collections",
    "apps",
)
"""Beginnings of GitHub's own pages, which are no owners."""
_PROPOSED = {"pull": "pull", "pulls": "pull", "merge_requests": "merge-requests"}
"""Where a host keeps the commits of what somebody proposes, by its page's name."""
_OTHER = {
    "issues": "issues",
    "labels": "issues",
    "milestones": "issues",
    "pulls": "pull requests",
    "pull-requests": "pull requests",
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
    "downloads": "downloads",
    "network": "forks",
    "graphs": "statistics",
    "pulse": "statistics",
    "find": "a search",
    "search": "a search",
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
    at_colab = host == "colab.research.google.com" and segments[:1] not in (["github"], ["gist"])
    if host == "drive.google.com" or at_colab:
        remedy = "Save a copy of the notebook in a Git repository, and paste its address."
        raise bad("it is a notebook in somebody's Google Drive", text, remedy)
    if what := _NO_REPOSITORIES.get(host):
        raise bad(f"it is {what}, not a repository", text, _PASTE)
    page = _SITES.get(host, _on_any_host)(parts, segments, text)
    if page is None and _FILE.search(parts.path):
        raise bad("it is a file on a web server, not a repository", text, _PASTE)
    return page


def _github(parts: SplitResult, segments: list[str], text: str) -> Page:
    """`/owner/repo`, and below it `/tree/ref/folder`, `/blob/ref/file`, `/commit/sha`, `/pull/5`."""
    if len(segments) < 2:
        raise bad("it names no repository", text, "A repository's address is https://github.com/owner/repository.")
    if segments[0] in _GITHUBS_OWN:
        raise bad("it is a page of GitHub's own, not a repository", text, _PASTE)
    repo, at, ref = "/".join(segments[1:]).partition("@") if "@" in segments[1] else (segments[1], "", "")
    place = f"{segments[0]}/{repo.removesuffix('.git')}"
    if at:
        return Page("gh", place, unquote(ref))
    return _below("gh", place, segments[2:], text)


def _gitlab(parts: SplitResult, segments: list[str], text: str) -> Page:
    return _gitlab_page("gl", segments, text)


def _gitlab_page(provider: str, segments: list[str], text: str) -> Page:
    """`/group/project`, and below it `/-/tree/ref/folder`, `/-/blob/ref/file`, `/-/merge_requests/7`."""
    marks = (n for n, part in enumerate(segments) if part == "-" or (n > 1 and part in _OLD_GITLAB))
    cut = next(marks, len(segments))
    namespace, _, ref = "/".join(segments[:cut]).partition("@")
    if "/" not in namespace:
        raise bad("it names no project", text, "A project's address is https://gitlab.com/group/project.")
    kind, _, base = provider.partition(":")
    place = f"{base}/{namespace}.git" if base else unquote(namespace).removesuffix(".git")
    if ref:
        return Page(kind, quote(place, safe=""), unquote(ref))
    below = segments[cut:]
    return _below(kind, quote(place, safe=""), below[1:] if below[:1] == ["-"] else below, text)


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
        case [owner, repo, "src" | "raw", *rest] if rest:
            return _shows("git", _git_place(parts, owner, repo), rest, None)
        case [owner, repo, "branch", *ref] | [owner, repo, "commits", "branch" | "tag", *ref] if ref:
            return Page("git", _git_place(parts, owner, repo), unquote("/".join(ref)))
        case [owner, repo, *rest] if "@" not in repo:
            return _below("git", _git_place(parts, owner, repo), rest, text)
        case _:
            return None


def _raw(parts: SplitResult, segments: list[str], text: str) -> Page:
    """`/owner/repo/ref/path`, the ref's full name too."""
    if len(segments) < 4:
        raise bad("it names no file of a repository", text, _PASTE)
    owner, repo, *rest = segments
    return _shows("gh", f"{owner}/{repo}", rest, View.FILE)


def _raw_gist(parts: SplitResult, segments: list[str], text: str) -> Page:
    """`/owner/id/raw/…/file`; what stands between them is the file's own hash, and no version of the gist."""
    match segments:
        case [owner, gist, "raw", *_, file]:
            return Page("gist", f"{owner}/{gist}", path=unquote(file))
        case _:
            raise bad("it names no file of a gist", text, _PASTE)


def _azure(parts: SplitResult, segments: list[str], text: str) -> Page | None:
    """`/organization/project/_git/repo?path=/file&version=GBmain`."""
    query = _query(parts)
    if "_git" not in segments[:-1]:
        return None
    place = quote(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", safe="")
    ref = query.get("version", "")[2:] or "HEAD"  # after GB, GT or GC: a branch, a tag, a commit
    return Page("git", place, ref, query.get("path", ""))


def _jsdelivr(parts: SplitResult, segments: list[str], text: str) -> Page:
    """`/gh/owner/repo@ref/path`."""
    match segments:
        case ["gh", owner, repo, *path]:
            name, _, ref = repo.partition("@")
            return Page("gh", f"{owner}/{name}", unquote(ref) or "HEAD", unquote("/".join(path)))
        case _:
            raise bad("it shows no repository", text, _PASTE)


def _showing(parts: SplitResult, segments: list[str], text: str) -> Page | None:
    """Sites that show what lies at GitHub: nbviewer, Colab, editors in the browser."""
    match segments:
        case ["github" | "gh", *rest]:
            return _github(parts, rest, text)
        case ["gist", owner, gist, *_, file] if "." in file:
            return Page("gist", f"{owner}/{gist}", path=unquote(file))
        case ["gist", *rest]:
            return _gist(parts, rest, text)
        case ["format", _, *rest]:
            return _showing(parts, rest, text)
        case ["url" | "urls", *rest] if rest:
            return read(split(f"https://{'/'.join(rest)}")[0], text)
        case _:
            raise bad("it shows no repository", text, _PASTE)


def _on_any_host(parts: SplitResult, segments: list[str], text: str) -> Page | None:
    """Pages whose form tells GitLab, Gitea, Forgejo and GitHub Enterprise, wherever they are."""
    if "-" in segments[2:]:
        return _gitlab_page(f"git:{parts.scheme}://{parts.netloc}", segments, text)
    named = itertools.takewhile(lambda cut: "@" not in segments[cut - 1], range(1, len(segments)))
    if page := next(filter(None, (_at_place(parts, segments, cut, text) for cut in named)), None):
        return page
    match segments:
        case ["projects" | "users" as whose, owner, "repos", repo, *rest]:  # Bitbucket Data Center
            owner = f"~{owner}" if whose == "users" else owner
            place = _git_place(parts, f"scm/{owner}", f"{repo}.git")
            ref = _query(parts).get("at", "HEAD").removeprefix("refs/heads/").removeprefix("refs/tags/")
            return Page("git", place, ref, unquote("/".join(rest[1:])))
        case ["user", _, "lab" | "doc" | "notebooks", *_]:
            raise bad("it is a session of somebody's, not a repository", text, _PASTE)
        case _:
            return None


def _at_place(parts: SplitResult, segments: list[str], cut: int, text: str) -> Page | None:
    """What an address says of a repository that its first `cut` parts name; None where they name none for sure."""
    place = quote(f"{parts.scheme}://{parts.netloc}/{'/'.join(segments[:cut])}", safe="")
    match segments[cut:]:
        case ["tree" | "plain" | "log" | "commit" | "about" as kind, *path] if segments[cut - 1].endswith(
            ".git"
        ):  # cgit
            query = _query(parts)
            shown = unquote("/".join(path)) if kind in ("tree", "plain") else ""
            return Page("git", place, query.get("h") or query.get("id") or "HEAD", shown)
        case _ if cut == 1:
            return None
        case ["src" | "raw" | "media", "branch" | "tag" | "commit", *ref] if ref:
            return _shows("git", place, ref, None)
        case ["commits", "branch" | "tag" | "commit", *ref] if ref:
            return Page("git", place, unquote("/".join(ref)))
        case ["tree" | "blob", ref, "item", *path] if segments[0].startswith("~"):  # SourceHut
            return Page("git", place, unquote(ref), unquote("/".join(path)))
        case ["tree" | "blob" | "pull" | "pulls" | "commit" | "commits" | "compare" | "archive", _, *_]:
            return _below("git", place, segments[cut:], text)
        case ["releases", "tag", *ref] if ref:
            return _below("git", place, segments[cut:], text)
        case ["branches" | "tags" | "releases" | "pulls" | "activity" | "commits" | "settings"] if cut == 2:
            return _below("git", place, segments[cut:], text)
        case ["issues" | "wiki" | "actions" as other, *_] if cut == 2:
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
        case ["blob" | "raw" | "blame" | "edit" | "resolve", ref, *path]:
            return _shows(provider, place, [ref, *path], View.FILE if path else View.FOLDER)
        case ["pull" | "pulls", _, "commits" | "files", sha] if is_full_commit(sha):
            return Page(provider, place, sha)
        case ["pull" | "pulls" | "merge_requests" as kind, number, *_] if number.isdecimal():
            return Page(provider, place, f"refs/{_PROPOSED[kind]}/{number}/head")
        case ["commit", commit, *_]:
            return Page(provider, place, unquote(commit))
        case ["tags", *ref] | ["pull", "new", *ref] if ref:
            return Page(provider, place, unquote("/".join(ref)))
        case ["releases" | "archive", _, *_]:
            return Page(provider, place, unquote("/".join(_released(rest))))
        case ["commits", *ref] if ref:
            return _shows(provider, place, ref, View.FOLDER)
        case [] | [""]:
            return Page(provider, place)
        case [first, *_] if first in _LISTS:
            return Page(provider, place)
        case [other, *_]:
            raise _beside(other, text)
    raise AssertionError(rest)


def _released(rest: list[str]) -> list[str]:
    """The parts of a release's ref."""
    match rest:
        case ["releases", "latest", *_]:
            return ["HEAD"]
        case ["releases", "tag", *ref] | ["releases", "download", *ref, _] | ["releases", *ref] if ref:
            return ref
        case ["archive", "refs", _, *folders, file] | ["archive", *folders, file] if rest[1] == "refs" or not folders:
            return [*folders, _ARCHIVED.sub("", file)]
        case _:  # GitLab: /archive/main/project-main.zip
            return rest[1:-1]


def _plain_ref(rest: list[str]) -> list[str]:
    """Without what git writes before a branch's or a tag's name."""
    return rest[2:] if rest[:2] in (["refs", "heads"], ["refs", "tags"]) and len(rest) > 2 else rest


def _shows(provider: str, place: str, rest: list[str], view: View | None) -> Page:
    """A ref and a path."""
    return Page(provider, place, refs_from=tuple(unquote(part) for part in _plain_ref(rest)), view=view)


def _query(parts: SplitResult) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def _beside(other: str, text: str) -> Fail:
    return bad(f"it is a page of {_OTHER.get(other, 'something else')}, not of a repository's files", text, _PASTE)


_SITES: dict[str, Reader] = {
    "github.com": _github,
    "github.dev": _github,
    "github1s.com": _github,
    "codespaces.new": _github,
    "githubtocolab.com": _github,
    "gitlab.com": _gitlab,
    "gist.github.com": _gist,
    "bitbucket.org": _bitbucket,
    "raw.githubusercontent.com": _raw,
    "raw.githack.com": _raw,
    "gist.githubusercontent.com": _raw_gist,
    "dev.azure.com": _azure,
    "cdn.jsdelivr.net": _jsdelivr,
    "colab.research.google.com": _showing,
    "nbviewer.org": _showing,
    "nbviewer.jupyter.org": _showing,
    "vscode.dev": _showing,
}
