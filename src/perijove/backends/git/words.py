"""What do git's words of error mean, and what for a person whose token they refuse? Lines in, a failure out. Pure.

Written for git's untranslated messages (`LC_ALL=C`), those of curl and ssh that it passes on, and of large hosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from perijove.domain import failures as rows
from perijove.domain.failures import Evidence, Fail, Failure, Kind
from perijove.domain.people_failures import TOKEN_LACKS_ACCESS, TOKEN_REFUSED

_PRIVATE = (
    "Check the spelling, and that the repository is public; a private one needs the operator, who names it in "
    "repositories.private and gives git credentials for it."
)
_BY_HTTPS = "Use its https address, by which what is public can be read; for ssh, the operator would have to"
_TLS = "The operator should look at this machine's clock and CA certificates; the host's certificate may also be wrong."

_ROWS: tuple[tuple[str, Kind, str, str], ...] = (
    (
        r"(?m)^(?!remote: ).*(No space left on device|Disk quota exceeded)",
        rows.DISK_FULL,
        "the disk filled up while git was fetching",
        "",
    ),
    (
        r"invalid path '|too-short tree|malformed mode|empty filename in tree|not a tree object|[Cc]orrupt tree"
        r"|File name too long|exceeded maximum allowed tree depth",
        rows.BAD_TREE,
        "git refuses a path or a folder of it",
        "",
    ),
    (
        r"(?m)^(?!remote: ).*([Oo]ut of memory|malloc failed|Cannot allocate memory|unable to create thread"
        r"|cannot create async thread|[Rr]esource temporarily unavailable)",
        rows.TOO_LARGE,
        "git needs more memory for it than repositories.memory allows",
        "",
    ),
    (
        r"(?m)^(?!remote: ).*(File too large|died of signal 25)",
        rows.TOO_LARGE,
        "a file of it is larger than repositories.max_size allows",
        "",
    ),
    (
        r"(?m)^(?!remote: ).*died of signal 24",
        rows.TOO_LARGE,
        "git needs more processor time for it than repositories.fetch_timeout allows",
        "",
    ),
    (r"(?m)^(?!remote: ).*died of signal (4|6|7|8|11)\b", rows.BAD_TREE, "git itself crashes on it", ""),
    (r"(?m)^(?!remote: ).*died of signal (9|15)\b", rows.KILLED, "git was ended while it fetched", ""),
    (
        r"could not read (Username|Password)|terminal prompts disabled",
        rows.REPO_NOT_FOUND,
        "the host asks for a password, as it does for repositories that are private or do not exist",
        _PRIVATE,
    ),
    (
        r"No user exists for uid",
        rows.REPO_FORBIDDEN,
        "ssh was not tried: it does not run for the user without a name that git is here",
        f"{_BY_HTTPS} run the service as a user of its own.",
    ),
    (
        r"Host key verification failed",
        rows.REPO_FORBIDDEN,
        "ssh does not know the host's key here, and so asked it for nothing",
        f"{_BY_HTTPS} enter it in ~/.ssh/known_hosts of the service's user.",
    ),
    (
        r"Permission denied \(",
        rows.REPO_FORBIDDEN,
        "the host lets nobody read by ssh without a key of an account, and was shown none that it takes",
        f"{_BY_HTTPS} name it in repositories.private, and give the service's user a key.",
    ),
    (
        r"Authentication failed|HTTP Basic: Access denied|returned error: 401",
        rows.REPO_FORBIDDEN,
        "the host did not accept our credentials, or was given none",
        "",
    ),
    (
        r"returned error: 403|access denied|insufficient permission|not authorized",
        rows.REPO_FORBIDDEN,
        "the host denied access",
        "",
    ),
    (
        r"repository '[^']*' not found|returned error: (404|410)|[Rr]epository not found|not export"
        r"|does not appear to be a git repository|[Rr]epository .*does not exist|info/refs not valid"
        r"|project you were looking for could not be found",
        rows.REPO_NOT_FOUND,
        "the host has no repository there",
        _PRIVATE,
    ),
    (
        r"SSL|TLS|certificate|gnutls",
        rows.HOST_UNREACHABLE,
        "no trusted connection could be made with the host",
        _TLS,
    ),
    (
        r"Could not resolve|Name or service not known|Temporary failure in name resolution",
        rows.HOST_UNREACHABLE,
        "the host's name has no address",
        "Check the spelling of the host; the operator should look at this machine's name resolution.",
    ),
    (
        r"Connection (refused|timed out|reset)|Failed to connect|Couldn't connect|unable to connect|No route to host"
        r"|Network is unreachable|timed out|returned error: (429|5\d\d)|SOCKS",
        rows.HOST_UNREACHABLE,
        "no connection with the host could be made, or it was too busy to answer",
        "",
    ),
    (
        r"transport '[^']*' not allowed|protocol '[^']*' not supported",
        rows.FORBIDDEN_ADDRESS,
        "git may not use this protocol",
        "",
    ),
    (
        r"returned error: 30\d|unable to update url base from redirection",
        rows.FETCH_FAILED,
        "the host sends us on to another address, which is not followed through the operator's proxy",
        "Use the repository's present address.",
    ),
)
_COMPILED = tuple((re.compile(pattern), kind, cause, remedy) for pattern, kind, cause, remedy in _ROWS)
_REFUSED_COMMIT = re.compile(
    r"not our ref|Server does not allow request for unadvertised|couldn't find remote ref|unadvertised object"
    r"|did not send all necessary objects|remote error: upload-pack: not our ref"
)


def meant(said: Sequence[str], otherwise: str = "git could not fetch it", kind: Kind = rows.FETCH_FAILED) -> Failure:
    """The failure that git's last words tell of; where they tell nothing known, `kind` with the cause `otherwise`."""
    text = "\n".join(said)
    seen = tuple(Evidence("git", line) for line in said[-5:]) or (Evidence("git", "(it said nothing)"),)
    for pattern, known, cause, remedy in _COMPILED:
        if pattern.search(text):
            return known(cause, *seen, remedy=remedy)
    return kind(otherwise, *seen)


def commit_refused(said: Sequence[str]) -> bool:
    """Whether the host has no such commit, or does not give out commits by name."""
    return _REFUSED_COMMIT.search("\n".join(said)) is not None


def other_hash(said: Sequence[str]) -> bool:
    """Whether the repository names its commits by the other hash function, so that no commit has the name asked for."""
    return "mismatched algorithms" in "\n".join(said)


OPENED_BY_TOKENS = (rows.REPO_NOT_FOUND, rows.REPO_FORBIDDEN)
"""Hosts tell nobody whether a private repository exists."""
_LACKS = re.compile(r"error: 403|scope|read_repository|SAML|SSO")
"""Of a token that hosts know (GitHub, GitLab, Gitea of 2024): 403, the scope's name, an organisation's sign-on."""


def lacking(failure: Failure, host: str) -> Failure:
    """The same, told to a person who has no token for the host."""
    remedy = f"Check the spelling; if it is private, give your own token for {host} on your page, /you, and try again."
    return replace(failure, remedy=remedy)


@contextmanager
def found_by(person: str, host: str) -> Iterator[None]:
    """What a host refuses to somebody's token is told as that. Raises Fail."""
    try:
        yield
    except Fail as fail:
        failure = fail.failure
        text = "\n".join(seen.saw for seen in failure.evidence if seen.where == "git")
        if not person or failure.kind not in OPENED_BY_TOKENS or not text:  # an LFS server is perhaps another's
            raise
        if failure.kind is rows.REPO_NOT_FOUND or _LACKS.search(text):
            why = f"{host} knows your token and shows it no such repository"
            raise Fail(TOKEN_LACKS_ACCESS(why, *failure.evidence)) from fail
        raise Fail(TOKEN_REFUSED(f"{host} does not accept it", *failure.evidence)) from fail
