"""Which repository does a launch link mean, and how is it written back? Links ⇄ RepoAddress. Pure.

Providers are rows of a table: how the spec is cut into place and ref, which URL git fetches from, and how the form
presents it. `local` is no row: only the operator's command line may name folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from perijove.domain.failures import UNKNOWN_PROVIDER, Evidence, Fail
from perijove.domain.nouns import RepoAddress, ResolvedRepo, quoted_ref
from perijove.launching.resolve.giturl import bad, checked_ref, checked_text, checked_url, shown

_OWNER = re.compile(r"\w[\w.-]*", re.ASCII)
_REPO = re.compile(r"(?!\.{1,2}$)[\w.-]+", re.ASCII)
_GIST = re.compile(r"[0-9a-fA-F]{5,64}|[0-9]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A spec cut in two: the repository's part, still percent-encoded, and the decoded ref; `` where none was given."""

    spec: str
    url: str
    name: str
    ref: str


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of link."""

    id: str
    cut: Callable[[str], Place]
    display: Mapping[str, Any]
    """What `/api/repoproviders` says of it; its regular expressions are JavaScript's."""


def from_launch_path(path: str) -> RepoAddress:
    """The address that `<provider>/<spec>` means, as it stands in a launch link: raw, percent-encoded.

    Raises Fail: `resolve.bad-link`, `resolve.unknown-provider`, `resolve.forbidden-address`.
    """
    provider_id, _, spec = checked_text(path).strip("/").partition("/")
    provider = PROVIDERS.get(provider_id)
    if provider is None:
        raise Fail(
            UNKNOWN_PROVIDER(f"nothing is known about {shown(provider_id, 40)!r}", Evidence("link", shown(path)))
        )
    place = provider.cut(spec.removesuffix(".git") if provider_id == "gh" else spec)
    if not place.ref:
        raise bad(
            "it does not say which branch, tag or commit", path, f'Did you mean "{provider_id}/{place.spec}/HEAD"?'
        )
    return _address(provider_id, place)


def from_place(provider: str, place: str, ref: str) -> RepoAddress:
    """The address of a place (a spec without its ref, percent-encoded) at a decoded ref. Raises as from_launch_path."""
    return from_launch_path(f"{provider}/{place}/{quoted_ref(checked_ref(ref))}")


def local_folder(folder: Path) -> RepoAddress:
    """The address of a folder on this machine; only the operator's own commands may make one."""
    path = str(folder.absolute())
    return RepoAddress("local", quote(path.lstrip("/")), path, "", _name(path))


def _address(provider: str, place: Place) -> RepoAddress:
    ref = checked_ref(place.ref)
    return RepoAddress(provider, f"{place.spec}/{quoted_ref(ref)}", place.url, ref, place.name)


def _name(path: str) -> str:
    return unquote(path.rstrip("/").rsplit("/", 1)[-1]).removesuffix(".git")[:64] or "repository"


def _decoded(text: str) -> str:
    try:
        return checked_text(unquote(text, errors="strict"))
    except UnicodeDecodeError as error:
        raise bad("its percent-encoding is not UTF-8", text) from error


def _cut_github(spec: str) -> Place:
    owner, _, rest = spec.partition("/")
    repo, _, ref = rest.partition("/")
    owner, repo = unquote(owner), unquote(repo).removesuffix(".git")
    if not _OWNER.fullmatch(owner) or not _REPO.fullmatch(repo):
        raise bad("a GitHub link is gh/owner/repo/ref", f"gh/{spec}")
    return Place(f"{owner}/{repo}", f"https://github.com/{owner}/{repo}", repo, _decoded(ref))


def _cut_gist(spec: str) -> Place:
    owner, _, rest = spec.partition("/")
    gist, _, ref = rest.partition("/")
    gist = gist.removesuffix(".git")
    if not _OWNER.fullmatch(unquote(owner)) or not _GIST.fullmatch(gist):
        raise bad("a gist's link is gist/user/id or gist/user/id/version", f"gist/{spec}")
    return Place(f"{owner}/{gist}", f"https://gist.github.com/{owner}/{gist}.git", gist, _decoded(ref) or "HEAD")


def _cut_gitlab(spec: str) -> Place:
    first, _, ref = spec.partition("/")
    namespace = unquote(first).strip("/").removesuffix(".git")
    if "/" not in namespace and ref:
        # A namespace that somebody decoded on the way: two parts of it can be told from the ref, more cannot.
        second, _, ref = ref.partition("/")
        namespace = f"{namespace}/{second.removesuffix('.git')}"
    parts = namespace.split("/")
    if len(parts) < 2 or not all(_REPO.fullmatch(part) and _OWNER.fullmatch(part) for part in parts):
        raise bad("a GitLab link is gl/group%2Fproject/ref", f"gl/{spec}")
    return Place(quote(namespace, safe=""), f"https://gitlab.com/{namespace}.git", parts[-1], _decoded(ref))


def _cut_git(spec: str) -> Place:
    first, _, ref = spec.partition("/")
    if first.lower() in ("https:", "http:", "ssh:", "git:"):
        # Decoded on the way: the URL ends at `.git`, or else the ref is its last part.
        before, dot_git, after = spec.partition(".git/")
        first, ref = (f"{before}.git", after) if dot_git else (spec.rpartition("/")[0], spec.rpartition("/")[2])
    url = checked_url(_decoded(first))
    return Place(quote(url, safe=""), url, _name(urlsplit(url).path), _decoded(ref))


def persistent_path(repo: ResolvedRepo) -> str:
    """The launch link's path that always means this commit: `v2/gh/owner/repo/<commit>`."""
    return f"v2/{repo.address.provider}/{repo.persistent_spec}"


def launch_link(base_url: str, path: str, urlpath: str = "") -> str:
    """The whole link of a launch path, opening `urlpath`. `base_url` ends in `/`."""
    return f"{base_url}{path}" + (f"?urlpath={quote(urlpath, safe='')}" if urlpath else "")


def badge_markdown(base_url: str, path: str, urlpath: str = "") -> str:
    """A badge for a README, in Markdown."""
    return f"[![Binder]({base_url}badge_logo.svg)]({launch_link(base_url, path, urlpath)})"


def badge_rst(base_url: str, path: str, urlpath: str = "") -> str:
    """A badge for a README, in reStructuredText."""
    return f".. image:: {base_url}badge_logo.svg\n :target: {launch_link(base_url, path, urlpath)}"


def _display(
    id_: str, name: str, pattern: str, label: str, placeholder: str, host: str, *, encode: bool
) -> dict[str, Any]:
    detect = {"detect": {"regex": f"^(https?://{host}/)?(?<repo>.*[^/])/?"}} if host else {}
    return {
        "displayName": name,
        "id": id_,
        "spec": {"validateRegex": pattern},
        **detect,
        "repo": {"label": label, "placeholder": placeholder, "urlEncode": encode},
        "ref": {"enabled": True, "default": "HEAD"},
    }


_ROWS = (
    Provider(
        "gh",
        _cut_github,
        _display(
            "gh",
            "GitHub",
            "[^/]+/[^/]+/.+",
            "GitHub repository name or URL",
            "example: binder-examples/requirements or https://github.com/binder-examples/requirements",
            "github.com",
            encode=False,
        ),
    ),
    Provider(
        "gist",
        _cut_gist,
        _display(
            "gist",
            "GitHub Gist",
            "[^/]+/[^/]+(/[^/]+)?",
            "Gist ID (username/gistId) or URL",
            "",
            "gist.github.com",
            encode=False,
        ),
    ),
    Provider(
        "git",
        _cut_git,
        _display(
            "git",
            "Git repository",
            "[^/]+/.+",
            "Arbitrary git repository URL",
            "example: http://git.example.com/repo",
            "",
            encode=True,
        ),
    ),
    Provider(
        "gl",
        _cut_gitlab,
        _display(
            "gl",
            "GitLab",
            "[^/]+/.+",
            "GitLab repository name or URL",
            "example: https://gitlab.com/mosaik/examples/mosaik-tutorials-on-binder"
            " or mosaik/examples/mosaik-tutorials-on-binder",
            "gitlab.com",
            encode=True,
        ),
    ),
)
PROVIDERS: Mapping[str, Provider] = MappingProxyType({row.id: row for row in _ROWS})
"""The kinds of links, by their first part, in the order in which the form shows them."""
