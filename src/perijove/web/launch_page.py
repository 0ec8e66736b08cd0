"""What stands on a launch's page? In: a launch, its log, the settings. Out: values for its template. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote

from perijove.certifying.formatting import span
from perijove.domain.bounded_log import Colours
from perijove.domain.nouns import RepoAddress, ResolvedRepo, ref_url
from perijove.domain.settings import SessionSettings
from perijove.domain.sizes import size
from perijove.launching.resolve.address import PROVIDERS
from perijove.launching.resolve.urlpath import view_and_file
from perijove.web.explained import says_why
from perijove.web.progress import Stage

SHOWN_LINES = 5000
"""Log lines on a page; the rest stands in the plain log."""
SESSION = "session"
WEB_PAGES = ("gh", "gl", "gist")
"""Providers whose repositories, refs and commits have pages of their own."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Which repository it is, and where its host shows it; an address is `` where nothing is known to show it."""

    host: str
    name: str
    url: str
    ref: str
    ref_url: str
    commit: str = ""
    commit_url: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log, of this stage."""

    stage: str
    text: str
    colours: Colours = ()

    @property
    def pieces(self) -> list[tuple[str, str]]:
        """Its text in pieces, each with the classes by which it gets its colours."""
        bounds = [(0, ""), *self.colours, (len(self.text), "")]
        return [
            (" ".join(f"sgr-{code}" for code in look.split(";") if code), self.text[at:end])
            for (at, look), (end, _) in pairwise(bounds)
            if at < end
        ]

    @property
    def error(self) -> bool:
        """Whether it looks as if it told of an error."""
        return says_why(self.text)


@dataclass(frozen=True, slots=True)
class Fold:
    """A stage's part of the log."""

    phase: str
    name: str
    lines: tuple[Line, ...]
    open: bool


def heading(address: RepoAddress, repo: ResolvedRepo | None) -> Heading:
    """A repository as its page is headed."""
    name = unquote(address.spec).removesuffix(f"/{address.ref}") if address.ref else address.name
    row = PROVIDERS.get(address.provider)
    host = str(row.display["displayName"]) if row else "A folder of this machine"
    url = address.url.removesuffix(".git") if address.url.startswith(("https://", "http://")) else ""
    taken = repo.ref_name.removeprefix("refs/heads/").removeprefix("refs/tags/") if repo else ""
    ref = taken or (address.ref if address.ref != "HEAD" else "default branch")
    known = repo if repo and address.provider in WEB_PAGES else None
    branch = {"gh": f"{url}/tree/{ref}", "gl": f"{url}/-/tree/{ref}"}.get(address.provider, "")
    return Heading(
        host, name.removeprefix("https://").removeprefix("http://"), url, ref, branch if taken else "",
        repo.commit if repo else "", ref_url(known) if known else "",
    )  # fmt: skip


def opened_path(urlpath: str) -> str:
    """The file or folder of the repository that a link opens, for people; else the address within the session."""
    return view_and_file(urlpath)[1] or unquote(urlpath)


def folds(lines: Sequence[Line], stages: Sequence[Stage]) -> list[Fold]:
    """The log by its stages; what went well is folded."""
    named = [(stage.phase, stage.name, stage.mark in ("now", "broken")) for stage in stages]
    return [
        Fold(phase, name, tuple(line for line in lines if line.stage == phase), is_open)
        for phase, name, is_open in (*named, (SESSION, "The session", False))
    ]


def limits(session: SessionSettings) -> str:
    """What a session may use and when it ends, in words for whoever gets one."""
    said = f"The session has {size(session.memory)} of memory and {size(session.disk)} of disk."
    if session.idle_timeout:
        said += f" It ends when its page is closed and it was not used for {span(session.idle_timeout)}"
        said += f", or after {span(session.max_age)} in any case." if session.max_age else "."
    elif session.max_age:
        said += f" It ends after {span(session.max_age)}."
    if session.keep:
        return f"{said} What you changed in it is kept for {span(session.keep)} afterwards, for you alone."
    return f"{said} Its files go with it: download what you want to keep."
