"""A person's token for a Git host: what its host's refusals mean for them. In: failures. Out: failures. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from perijove.domain.failures import REPO_FORBIDDEN, REPO_NOT_FOUND, Fail, Failure
from perijove.domain.people_failures import TOKEN_LACKS_ACCESS, TOKEN_REFUSED

OPENED_BY_TOKENS = (REPO_NOT_FOUND, REPO_FORBIDDEN)
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
        if failure.kind is REPO_NOT_FOUND or _LACKS.search(text):
            why = f"{host} knows your token and shows it no such repository"
            raise Fail(TOKEN_LACKS_ACCESS(why, *failure.evidence)) from fail
        raise Fail(TOKEN_REFUSED(f"{host} does not accept it", *failure.evidence)) from fail
