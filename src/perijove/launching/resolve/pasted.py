"""What did somebody paste? A text in; a repository's address and what to open there out. Pure.

Takes launch links (`gh/owner/repo/ref`, `/v2/…`, another Binder's whole link, a badge that holds one), `owner/repo`,
addresses of pages of Git hosts (`repository_pages`), and Git URLs (`URL@ref`, `git@host:owner/repo`). Folders are the
caller's to tell.
"""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

from perijove.domain.failures import UNKNOWN_PROVIDER, Evidence, Fail
from perijove.domain.nouns import RepoAddress, quoted_ref
from perijove.launching.resolve import repository_pages
from perijove.launching.resolve.address import PROVIDERS, from_launch_path, from_place
from perijove.launching.resolve.giturl import LONGEST, bad, can_be_ref, checked_text, checked_url, shown, split
from perijove.launching.resolve.refs import is_full_commit
from perijove.launching.resolve.repository_pages import View
from perijove.launching.resolve.urlpath import opened_file, relative_urlpath, view_and_file

MOST_REFS = 8
"""Folders of an address that may belong to a branch's name."""
_LAUNCH_PATH = re.compile(r"(?:^|/)(?:v2/(?=[^/]+/.)|build/(?=(?:gh|gl|git|gist)/))(?P<path>.+)")
_ELSEWHERE = re.compile(
    # Another Binder's providers, by their links; DOIs, bare or at a resolver; and the archives' own pages.
    r"(?:(?:/?v2/)?(?P<provider>zenodo|figshare|dataverse|hydroshare|ckan|swhid)/|(?P<archived>swh):\d"
    r"|(?:https?://(?:dx\.|www\.)?doi\.org/|doi:)?(?P<doi>10\.\d{4,9}/)"
    r"|https?://(?P<host>(?:[\w-]+\.)*(?:zenodo\.org|figshare\.com|hydroshare\.org"
    r"|osf\.io|softwareheritage\.org))(?:[:/]|$)"
    r"|https?://[^/?]+/[^?]*\?(?:.*&)?persistentId=).*",
    re.IGNORECASE | re.ASCII,
)
_COPIED = re.compile(r"[\s\[\]<>\"'|]|git\+http")
"""What no link has, but what is copied together with one: badges, sentences, commands."""
_WEB_ADDRESS = re.compile(r"https?://[^\s\[\]<>\"'|`]+", re.IGNORECASE)
_PICTURE = re.compile(r"\.(?:svg|png)$|^https?://img\.shields\.io/", re.IGNORECASE)
_BARE_HOST = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}/[^\s@]+", re.IGNORECASE | re.ASCII)
_OWNER_AND_REPO = re.compile(r"(?P<place>[A-Za-z0-9][A-Za-z0-9-]*/[\w.-]+)(?:@(?P<ref>\S+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """A repository and the path, relative to the session, that it should open; `` for the session's start."""

    address: RepoAddress
    urlpath: str
    longer: tuple[Link, ...] = ()
    """What it means where its ref is longer by a folder, or by two …: pages do not say where a branch's name ends."""


def pasted(text: str) -> Link:
    """What a text means. Raises Fail: `resolve.bad-link`, `resolve.unknown-provider`, `resolve.forbidden-address`."""
    text = _bared(text)
    text = checked_text(_encoded(text))
    if not text:
        raise bad("it is empty", text)
    if elsewhere := _ELSEWHERE.fullmatch(text):
        raise _of_an_archive(elsewhere, text)
    if launch := _as_launch_link(text):
        return launch
    if named := _OWNER_AND_REPO.fullmatch(text):
        return Link(from_place("gh", named["place"].removesuffix(".git"), unquote(named["ref"] or "HEAD")), "")
    if _BARE_HOST.fullmatch(text) and "://" not in text:
        text = f"https://{text}"
    if re.match(r"https?://", text, re.IGNORECASE):
        return _from_web_address(text)
    return _from_git_url(text)


def _bared(text: str) -> str:
    """A link without what was copied around it."""
    bare = text[: 2 * LONGEST].strip().removeprefix("gh repo clone ")
    if bare.startswith("git clone "):
        return _cloned(bare.split())
    bare = bare.strip(" \t\r\n\"'`<>,;")
    if _COPIED.search(bare) and not re.match(r"https?://", bare, re.IGNORECASE):
        found = [_ended(html.unescape(address)) for address in _WEB_ADDRESS.findall(bare)]
        links = [address for address in found if not _PICTURE.search(address)]
        return next((link for link in links if "/v2/" in link), links[-1] if links else bare)
    return _ended(bare)


def _ended(address: str) -> str:
    """Without what a sentence or a pair of brackets ends in."""
    address = address.rstrip(".,;")
    while address.endswith(")") and address.count(")") > address.count("("):
        address = address[:-1].rstrip(".,;")
    return address


def _cloned(words: list[str]) -> str:
    """What a `git clone` takes."""
    url = next((word for word in words if "://" in word or re.match(r"[\w.-]+@", word)), "")
    options = " ".join(words).replace("--branch=", "--branch ").split()
    branches = [after for word, after in itertools.pairwise(options) if word in ("-b", "--branch")]
    return f"{url}@{branches[0]}" if url and branches else url


def _encoded(text: str) -> str:
    """A web address as browsers send it; they show its path with spaces."""
    scheme, found, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    if not found or scheme.lower() not in ("http", "https") or " " in host:
        return text
    return f"{scheme}://{host}{slash}{path.replace(' ', '%20')}"


def _of_an_archive(elsewhere: re.Match[str], text: str) -> Fail:
    what = (
        elsewhere["provider"]
        or elsewhere["archived"]
        or elsewhere["host"]
        or ("a DOI" if elsewhere["doi"] else "the page of an archive")
    )
    remedy = "Use the Git repository that the archive was made from: its page names it."
    return Fail(
        UNKNOWN_PROVIDER(f"{shown(what, 60)} leads to no Git repository", Evidence("link", shown(text)), remedy=remedy)
    )


def _as_launch_link(text: str) -> Link | None:
    """`gh/owner/repo/ref`, `/v2/gh/…` or `https://binder/v2/gh/…?labpath=…`; without a ref, the default branch."""
    place, _, query = text.partition("#")[0].partition("?")
    path = split(place)[0].path if "://" in place else place
    if "://" in place and not place.lower().startswith(("http://", "https://")):
        return None
    if match := _LAUNCH_PATH.search(path):
        path = match["path"]
    elif "://" in place or path.split("/", 1)[0] not in PROVIDERS:
        return None
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    provider, _, rest = path.strip("/").partition("/")
    decoded = provider == "gl" and "%2f" not in rest.lower()
    if rest and rest.count("/") == {"gh": 1, "gl": int(decoded), "git": 0}.get(provider, -1):
        path = f"{provider}/{rest}/HEAD"
    return Link(from_launch_path(path), relative_urlpath(fields))


def _from_web_address(text: str) -> Link:
    parts, _ = split(text)
    if parts.path.endswith("/git-pull") and "repo=" in parts.query:
        return _pulled(parse_qs(parts.query))
    page = repository_pages.read(parts, text)
    if page is None:
        return _from_git_url(text)
    if page.refs_from is None:
        view = View.FILE if "." in page.path.rpartition("/")[2] else View.FOLDER
        return Link(from_place(page.provider, page.place, page.ref), opened_file(view.value, page.path))
    return _viewed(page.provider, page.place, page.view, page.refs_from)


def _pulled(query: dict[str, list[str]]) -> Link:
    """What a link of nbgitpuller's has pulled into a person's files, and what it opens of it."""
    link = pasted(query["repo"][0])
    opens = query.get("urlpath", query.get("subPath", [""]))[0]
    view, path = view_and_file(opens)
    path = path.partition("/")[2]  # it begins with the folder that is pulled into
    opened = Link(link.address, opened_file(view, path) if path else "")
    return with_ref(opened, query["branch"][0]) if "branch" in query else opened


def _viewed(provider: str, place: str, view: View | None, rest: tuple[str, ...]) -> Link:
    """A file or folder at a ref, which the first of these folders are the name of, or the first two …"""

    def at(folders: int) -> Link:
        ref, path = "/".join(rest[:folders]), "/".join(rest[folders:])
        shown = view or (View.FILE if "." in rest[-1] else View.FOLDER)
        return Link(from_place(provider, place, ref), opened_file(shown.value, path) if path else "")

    most = min(len(rest) - (view is View.FILE), MOST_REFS)
    fixed = is_full_commit(rest[0]) or rest[0] == "HEAD"
    folders = () if fixed else range(2, most + 1)
    longer = tuple(at(n) for n in folders if can_be_ref("/".join(rest[:n])))
    return Link(at(1).address, at(1).urlpath, longer)


def with_ref(link: Link, ref: str) -> Link:
    """The same at another ref. Raises Fail: `resolve.bad-link`."""
    place = link.address.spec.removesuffix(f"/{quoted_ref(link.address.ref)}")
    return Link(from_place(link.address.provider, place, ref), link.urlpath)


def _from_git_url(text: str) -> Link:
    """`URL` or `URL@ref`; the @ of `git@host:` and of `ssh://git@host` is none of a ref."""
    text = text.partition("#")[0] if text.startswith("http") else text
    if not re.search(r"[:/]", text):
        raise bad("it is neither a link nor the name of a repository", text)
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
