"""Which repository is it, however its link is spelled? In: a URL that git may be given. Out: its names. Pure.

A ban, a permission and a quota are about a repository. The same one is reached by `gh/`, by `git/` and its URL, by ssh,
with `.git`, by another case, port, slash or percent-encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from perijove.domain.nouns import RepoAddress, quoted_ref
from perijove.domain.parsing import bracketed

SCHEMES = ("https", "http", "ssh", "git")
PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
PROVEN = ("https", "ssh")
"""The host shows by these that it is the one that was named; anybody between can answer in place of the others."""
ALIASES = {
    "www.github.com": "github.com",
    "ssh.github.com:443": "github.com",  # docs.github.com, "Using SSH over the HTTPS port"
    "www.gitlab.com": "gitlab.com",
    "altssh.gitlab.com:443": "gitlab.com",  # docs.gitlab.com, "Use SSH over port 443"
}
GISTS = "gist.github.com"


@dataclass(frozen=True, slots=True)
class Names:
    """A repository's host and its path there, each written in one way only."""

    scheme: str
    host: str
    """With its port where that is not the scheme's."""
    parts: tuple[str, ...]

    @property
    def canonical(self) -> str:
        """`github.com/owner/repo`. Gists are known by their ids alone, as their host knows them."""
        parts = self.parts[-1:] if self.host == GISTS else self.parts
        return "/".join((self.host, *parts))

    @property
    def ownerless(self) -> bool:
        """Whether somebody owns it whom its address does not name."""
        return self.host == GISTS and len(self.parts) < 2


def named(url: str) -> Names:
    """The names of what git fetches from a checked URL, or of a folder by its absolute path."""
    if url.startswith("/"):
        return Names("", "", tuple(url.strip("/").split("/")))
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    host = bracketed(host)
    if parts.port not in (None, PORTS.get(parts.scheme)):
        host = f"{host}:{parts.port}"
    host = ALIASES.get(host, host)
    path = list[str]()
    # Hosts decode a path once. Most of them do not tell case apart; of the others, a ban may so meet one more.
    for part in unquote(parts.path).lower().split("/"):
        if part == "..":
            path = path[:-1]
        elif part not in ("", "."):
            path.append(part)
    if path:
        path[-1] = path[-1].removesuffix(".git") or path[-1]
    return Names(parts.scheme, host, tuple(path[:2] if host in ("github.com", GISTS) else path))


def canonical(url: str) -> str:
    """The one name that decides whether two addresses are of the same repository."""
    return named(url).canonical


def banned_as(address: RepoAddress) -> Sequence[str]:
    """All launches `provider/spec` that a ban of this repository, or of its owner, may have been written for."""
    names, ref = named(address.url), quoted_ref(address.ref)
    owners = [f"gh/{'/'.join(names.parts)}/{ref}"] if names.host == GISTS and not names.ownerless else []
    return [f"{address.provider}/{address.spec}", *_links(names, SCHEMES, ref), *owners]


def allowed_as(address: RepoAddress) -> Sequence[str]:
    """The launches `provider/spec` that are surely of this repository: what allows one of them allows it."""
    names, ref = named(address.url), quoted_ref(address.ref)
    proven_anyway = names.scheme in PROVEN and names.host in ("github.com", "gitlab.com", GISTS)
    links = _links(names, PROVEN if proven_anyway else (names.scheme,), ref)
    return [f"{address.provider}/{address.spec}", *links]


def _links(names: Names, schemes: Sequence[str], ref: str) -> Iterator[str]:
    path = "/".join(names.parts)
    if "https" in schemes:
        match names.host:
            case "github.com":
                yield f"gh/{path}/{ref}"
            case "gitlab.com":
                yield f"gl/{quote(path, safe='')}/{ref}"
            case "gist.github.com" if not names.ownerless:
                yield f"gist/{path}/{ref}"
    for scheme in schemes:
        for user in ("", "git@") if scheme == "ssh" else ("",):
            for end in ("", ".git"):
                url = f"{scheme}://{user}{names.host}/{path}{end}"
                yield f"git/{quote(url, safe='')}/{ref}"
                yield f"git/{url}/{ref}"
