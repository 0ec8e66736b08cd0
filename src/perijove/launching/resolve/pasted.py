"""What did somebody paste? A text in; a repository's address and what to open there out. Pure.

Takes launch links (`gh/owner/repo/ref`, `/v2/…`, another Binder's whole link), addresses of pages of GitHub and
GitLab, and Git URLs (`URL@ref`, `git@host:owner/repo`). Folders are the caller's to tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

from perijove.domain.failures import UNKNOWN_PROVIDER, Evidence, Fail
from perijove.domain.nouns import RepoAddress
from perijove.launching.resolve.address import PROVIDERS, from_launch_path, from_place
from perijove.launching.resolve.giturl import bad, checked_text, checked_url, shown, split
from perijove.launching.resolve.urlpath import opened_file, relative_urlpath

_LAUNCH_PATH = re.compile(r"(?:^|/)v2/(?P<path>[^/]+/.+)")
_ELSEWHERE = re.compile(
    # Another Binder's providers, by their links; DOIs, bare or at a resolver; and the archives' own pages.
    r"(?:(?:/?v2/)?(?P<provider>zenodo|figshare|dataverse|hydroshare|ckan)/"
    r"|(?:https?://(?:dx\.|www\.)?doi\.org/|doi:)?(?P<doi>10\.\d{4,9}/)"
    r"|https?://(?P<host>(?:[\w-]+\.)*(?:zenodo\.org|figshare\.com|hydroshare\.org))(?:[:/]|$)"
    r"|https?://[^/?]+/[^?]*\?(?:.*&)?persistentId=).*",
    re.IGNORECASE | re.ASCII,
)
_PAGE_HOSTS = ("github.com", "gitlab.com", "gist.github.com")


@dataclass(frozen=True, slots=True)
class Link:
    """A repository and the path, relative to the session, that it should open; `` for the session's start."""

    address: RepoAddress
    urlpath: str


def pasted(text: str) -> Link:
    """What a text means. Raises Fail: `resolve.bad-link`, `resolve.unknown-provider`, `resolve.forbidden-address`."""
    text = checked_text(text.strip())
    if not text:
        raise bad("it is empty", text)
    if elsewhere := _ELSEWHERE.fullmatch(text):
        raise _of_an_archive(elsewhere, text)
    if launch := _as_launch_link(text):
        return launch
    if re.match(r"https?://", text, re.IGNORECASE):
        return _from_web_address(text)
    if re.match(r"(www\.)?(github|gitlab|gist\.github)\.com/", text, re.IGNORECASE):
        return _from_web_address(f"https://{text}")
    return _from_git_url(text)


def _of_an_archive(elsewhere: re.Match[str], text: str) -> Fail:
    what = elsewhere["provider"] or elsewhere["host"] or ("a DOI" if elsewhere["doi"] else "the page of an archive")
    remedy = "Use the Git repository that the archive was made from: its page names it."
    return Fail(
        UNKNOWN_PROVIDER(f"{shown(what, 60)} leads to no Git repository", Evidence("link", shown(text)), remedy=remedy)
    )


def _as_launch_link(text: str) -> Link | None:
    """`gh/owner/repo/ref`, `/v2/gh/…` or `https://binder/v2/gh/…?labpath=…`."""
    place, _, query = text.partition("#")[0].partition("?")
    path = split(place)[0].path if "://" in place else place
    if "://" in place and not place.lower().startswith(("http://", "https://")):
        return None
    if match := _LAUNCH_PATH.search(path):
        path = match["path"]
    elif "://" in place or path.split("/", 1)[0] not in PROVIDERS:
        return None
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    return Link(from_launch_path(path), relative_urlpath(fields))


def _from_web_address(text: str) -> Link:
    parts, _ = split(text)
    host = (parts.hostname or "").removeprefix("www.")
    if host in _PAGE_HOSTS and "@" not in parts.netloc:
        segments = [segment for segment in parts.path.split("/") if segment]
        if host == "github.com":
            return _github_page(text, segments)
        if host == "gist.github.com":
            return _gist_page(text, segments)
        return _gitlab_page("gl", text, segments)
    if "/-/" in parts.path:
        return _gitlab_page(f"git:{parts.scheme}://{parts.netloc}", text, [s for s in parts.path.split("/") if s])
    return _from_git_url(text)


def _github_page(text: str, segments: list[str]) -> Link:
    """`/owner/repo`, and below it `/tree/ref/folder`, `/blob/ref/file`, `/commit/sha`, `/releases/tag/name`."""
    if len(segments) < 2:
        raise bad("it names no repository", text)
    repo, at, ref = segments[1].partition("@")
    place = f"{segments[0]}/{repo.removesuffix('.git')}"
    if at:
        return Link(from_place("gh", place, unquote(ref)), "")
    return _page("gh", place, segments[2:])


def _gitlab_page(provider: str, text: str, segments: list[str]) -> Link:
    """`/group/project`, and below it `/-/tree/ref/folder`, `/-/blob/ref/file`, `/-/commit/sha`, `/-/tags/name`."""
    cut = segments.index("-") if "-" in segments else len(segments)
    namespace = "/".join(segments[:cut])
    namespace, _, ref = namespace.partition("@")
    if "/" not in namespace:
        raise bad("it names no project", text)
    kind, _, base = provider.partition(":")
    place = f"{base}/{namespace}.git" if base else unquote(namespace).removesuffix(".git")
    if ref:
        return Link(from_place(kind, quote(place, safe=""), unquote(ref)), "")
    return _page(kind, quote(place, safe=""), segments[cut + 1 :])


def _gist_page(text: str, segments: list[str]) -> Link:
    if len(segments) < 2:
        raise bad("it names no gist", text)
    place = f"{segments[0]}/{segments[1].removesuffix('.git')}"
    return Link(from_place("gist", place, segments[2] if len(segments) > 2 else "HEAD"), "")


def _page(provider: str, place: str, rest: list[str]) -> Link:
    """What a page below a repository shows; a branch with a slash must be percent-encoded to be told from a path."""
    decoded = [unquote(part) for part in rest]
    match decoded:
        case ["tree", ref, *path]:
            return Link(from_place(provider, place, ref), opened_file("lab/tree", "/".join(path)) if path else "")
        case ["blob" | "raw" | "blame" | "edit", ref, *path] if path:
            return Link(from_place(provider, place, ref), opened_file("doc/tree", "/".join(path)))
        case ["commit" | "commits" | "tags", ref, *_] | ["releases", "tag", ref]:
            return Link(from_place(provider, place, ref), "")
        case _:
            return Link(from_place(provider, place, "HEAD"), "")


def _from_git_url(text: str) -> Link:
    """`URL` or `URL@ref`; the @ of `git@host:` and of `ssh://git@host` is none of a ref."""
    text = text.partition("#")[0] if text.startswith("http") else text
    scheme, found, rest = text.partition("://")
    if found:
        netloc, slash, path = rest.partition("/")
        path, _, ref = path.partition("@")
        url = f"{scheme}://{netloc}{slash}{path}"
    else:
        before, colon, path = text.partition(":")
        path, _, ref = path.partition("@")
        url = f"{before}{colon}{path}"
    return Link(from_place("git", quote(checked_url(url), safe=""), unquote(ref) or "HEAD"), "")
