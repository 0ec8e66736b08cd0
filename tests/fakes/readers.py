"""Everything that reads a text which a stranger wrote, by name; and the texts that made such readers slow, or fail.

Run in a confined process: what takes more than a line's or a file's length is seen by its processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from perijove.backends.environments import complaints
from perijove.backends.git import words
from perijove.backends.git.program import plain
from perijove.backends.pad import asking, egress
from perijove.domain import failures
from perijove.domain.failures import BUG, Fail
from perijove.launching.build.detect import detect
from perijove.launching.resolve import giturl, refs
from perijove.launching.resolve.address import from_launch_path
from perijove.launching.resolve.pasted import pasted
from perijove.launching.resolve.urlpath import relative_urlpath

LONG = 1_000_000
NESTED = 100_000
LINES = 5_000
ALPHABET = "aA1 \t\r\n\0\x1b[](){}<>\"'`\\#-._/@:;=,~!|&*?%$^+é\u0663\u2028\u202e\ud800😀"
"""A character of every class that a reader tells apart."""


def _file(name: str) -> Callable[[str], object]:
    return lambda text: detect(frozenset({name}), {name: text})


def _advertised(text: str) -> object:
    advertised = refs.listed(text)
    return refs.choose(advertised, "main"), refs.choose(advertised, "abcd"), refs.choose(advertised, "x" * 200)


READERS: dict[str, Callable[[str], object]] = {
    "requirements.txt": _file("requirements.txt"),
    "runtime.txt": _file("runtime.txt"),
    ".python-version": _file(".python-version"),
    "pyproject.toml": _file("pyproject.toml"),
    "requires-python": lambda text: _file("pyproject.toml")(f"[project]\nrequires-python = {text!r}"),
    "git ls-remote": _advertised,
    "git's words": lambda text: (words.meant([text]), words.commit_refused([text]), words.other_hash([text])),
    "a line of git's": lambda text: plain(text.encode("utf-8", "surrogatepass")),
    "uv's words": lambda text: (complaints.failure(text.split("\n")), complaints.without_wheels([text])),
    "pip's words": lambda text: complaints.pip_failure(1, tuple(text.split("\n"))),
    "a pasted link": pasted,
    "a launch link": from_launch_path,
    "an address for git": giturl.checked_url,
    "evidence": giturl.shown,
    "a urlpath": lambda text: relative_urlpath({"urlpath": text}),
    "a labpath": lambda text: relative_urlpath({"labpath": text}),
    "a proxy's request": lambda text: egress._understood(text.encode("utf-8", "surrogatepass") + b"\r\n\r\n"),
    "a server's status": lambda text: asking._read(b"HTTP/1.1 200 OK", text.encode("utf-8", "surrogatepass")),
}
EXPECTED: tuple[type[Exception], ...] = (Fail, egress.Refused, ConnectionError)
"""What a reader may raise: all else is a mistake of ours."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A text that a reader does not cope with."""

    text: str
    seconds: float
    error: str


def texts() -> Iterator[tuple[str, str]]:
    """Each by a name for people."""
    for c in ALPHABET:
        yield f"{c!r} × {LONG}", c * LONG
        yield f"a, {c!r} × {NESTED}, b", "a" + c * NESTED + "b"
        yield f"a[x], {c!r} × {NESTED}, @", "a[x]" + c * NESTED + "@"
        yield f"'{c}a' × {NESTED}", f"{c}a" * NESTED
        yield f"lines of {c!r}", f"{c}\n" * LINES
    for before, after in ("[]", "{}", "()"):
        yield f"x = nested {before}", "x = " + before * NESTED + after * NESTED
    yield "tables without end", "".join(f"[{'.'.join(['a'] * n)}]\n" for n in range(1, 900))
    yield "a number of many digits", "x = " + "9" * NESTED
    yield "a version of many digits", "python-" + "9" * NESTED
    yield "a package of many digits", "six==" + "9" * NESTED
    yield "a package with many extras", "six[" + ",".join(["a"] * NESTED) + "]"
    yield "many packages", "six\n" * (2 * LINES)
    yield "many clauses", ",".join([">=3.1"] * NESTED)
    yield "many markers", "six; " + " and ".join(["python_version > '3'"] * 5000)
    yield "nested markers", "six; " + "(" * 5000 + "python_version > '3'" + ")" * 5000
    yield "many refs", "".join(f"{number:040x}\trefs/heads/branch-{number}\n" for number in range(4 * LINES))
    yield "a URL with many @", "https://" + "a@" * NESTED
    yield "a URL with many colons", "https://" + "a:" * NESTED
    yield "an address that is open", "http://[" + ":" * NESTED
    yield "words about wheels", "Because a has no usable wheels and " * LINES
    yield "words about a conflict", "× No solution found:\n╰─▶ Because " + "a depends on b and " * LINES
    yield "continued lines", "a\\\n" * NESTED
    yield "a request", "CONNECT " + "a" * NESTED + ":443 HTTP/1.1"
    yield "an answer", '{"last_activity":"' + "9" * NESTED + '"}'


def tried(name: str, limit: float) -> tuple[Bad, ...]:
    """The texts for which a reader takes more than `limit` seconds of processor time, or makes a mistake."""
    found = []
    for described, text in texts():
        began, error = time.process_time(), ""
        try:
            READERS[name](text)
        except EXPECTED as expected:
            if failures.of(expected).kind is BUG and isinstance(expected, Fail):
                error = str(expected)
        except Exception as mistake:  # noqa: BLE001 - the kind that is looked for
            error = f"{type(mistake).__name__}: {str(mistake)[:200]}"
        took = time.process_time() - began
        if took > limit or error:
            found.append(Bad(described, took, error))
    return tuple(found)
