"""What does a page show and offer of a failure? In: the failure, and where it happened. Out: texts and links. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from perijove.domain.failures import Failure, Owner, Retry
from perijove.domain.nouns import RepoAddress

LEAST = 8
"""Characters of a line from which on it says something when it stands in the cause."""
SHOWN = 12
"""Lines from the one that says why on; the whole is a click away."""
ISSUE = 3000
"""Characters of a report that go into an issue's address; browsers and hosts refuse long ones."""
_TELLS = re.compile(
    r"(?:^|[\s:])(?:fatal error|fatal|error|ERROR|E): |^(?:[A-Za-z_][\w.]{0,100})?(?:Error|Exception)(?:: |$)"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A piece of evidence as a page shows it."""

    where: str
    begins: str
    """From the line that says why on."""
    whole: str
    """All of it; `` where `begins` is."""


def says_why(line: str) -> bool:
    """Whether a line of a log looks as if it told of an error."""
    return _TELLS.search(line[:500]) is not None


def shown(failure: Failure) -> list[Shown]:
    """The evidence, each piece begun with the line that says why, where it is known by the cause or by its words."""
    found = []
    for seen in failure.evidence:
        lines = seen.saw.splitlines()
        first = _telling(lines, failure.cause)
        begins = "\n".join(lines[first : first + SHOWN])
        found.append(Shown(seen.where, begins, seen.saw if begins != "\n".join(lines) else ""))
    return found


def _telling(lines: list[str], cause: str) -> int:
    named = [n for n, line in enumerate(lines) if len(said := line.strip()) >= LEAST and said[:200] in cause]
    errors = named or [n for n, line in enumerate(lines) if says_why(line)]
    return errors[-1] if errors else 0


def report(failure: Failure, repository: str, commit: str, page: str) -> str:
    """All there is to know of it, as a text to hand to whoever can put it right."""
    lines = [f"{failure.kind.title}: {failure.sentence}", failure.remedy, ""]
    if repository:
        lines += [f"Repository: {repository}{f' at {commit}' if commit else ''}"]
    lines += [f"Code: {failure.kind.code}", f"Seen at: {page}"]
    for seen in failure.evidence:
        lines += ["", f"{seen.where}:", *(f"    {line}" for line in seen.saw.splitlines())]
    return "\n".join(lines)


def issue_link(address: RepoAddress, failure: Failure, text: str) -> str:
    """Where an issue with this report is opened at the repository's host; `` where that is not its author's to mend."""
    if failure.kind.owner is not Owner.AUTHOR:
        return ""
    url, body = address.url.removesuffix(".git"), text[:ISSUE]
    match address.provider:
        case "gh":
            return f"{url}/issues/new?{urlencode({'title': failure.kind.title, 'body': body}, quote_via=quote)}"
        case "gl":
            fields = {"issue[title]": failure.kind.title, "issue[description]": body}
            return f"{url}/-/issues/new?{urlencode(fields, quote_via=quote)}"
        case _:
            return ""


def retry_helps(failure: Failure) -> bool:
    """Whether the same may work when it is asked for once more, without anybody mending anything."""
    return failure.kind.retry is not Retry.NEVER
