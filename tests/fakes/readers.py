"""Everything that reads a text which a stranger wrote, by name; and the texts that made such readers slow, or fail.

Run in a confined process: what takes more than a line's or a file's length is seen by its processor time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from perijove import asking
from perijove.backends.environments import complaints
from perijove.backends.git import words
from perijove.backends.git.program import plain
from perijove.backends.pad import egress
from perijove.domain import failures
from perijove.domain.failures import BUG, Fail
from perijove.launching.build.detect import detect
from perijove.launching.build.requirements import lines
from perijove.launching.resolve import giturl, refs
from perijove.launching.resolve.address import from_launch_path
from perijove.launching.resolve.pasted import pasted
from perijove.launching.resolve.urlpath import relative_urlpath

LONG = 1_000_000
NESTED = 100_000
LINES = 5_000
KEPT = 200_000
"""Characters of uv's and pip's words that are read."""
ALPHABET = "aA1 \t\r\n\0\x1b[](){}<>\"'`\\#-._/@:;=,~!|&*?%$^+é\u0663\u2028\u202e\ud800😀"
"""A character of every class that a reader tells apart."""


def _file(name: str) -> Callable[[str], object]:
    return lambda text: detect(frozenset({name}), {name: text})


def _advertised(text: str) -> object:
    advertised = refs.listed(text)
    return refs.choose(advertised, "main"), refs.choose(advertised, "abcd"), refs.choose(advertised, "x" * 200)


def _git_said(text: str) -> object:
    """What is made of its words: lines that were cut before."""
    said = [plain(text.encode("utf-8", "surrogatepass"))] * 40
    return words.meant(said), words.commit_refused(said), words.other_hash(said)


READERS: dict[str, Callable[[str], object]] = {
    "requirements.txt": lambda text: list(lines("requirements.txt", text)),
    "runtime.txt": _file("runtime.txt"),
    ".python-version": _file(".python-version"),
    "pyproject.toml": _file("pyproject.toml"),
    "requires-python": lambda text: _file("pyproject.toml")(f"[project]\nrequires-python = {text!r}"),
    "git ls-remote": _advertised,
    "git's words": _git_said,
    "uv's words": lambda text: (complaints.failure(text[:KEPT].split("\n")), complaints.without_wheels([text[:KEPT]])),
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


SAMPLES = (
    "six==1.16.0 \\\n    --hash=sha256:" + "0" * 64 + "\n-e git+https://example.org/r.git@main#egg=r\n-r more.txt\n",
    "requests[socks,security] >= 2.8.1, == 2.8.* ; python_version < '3.8'\n./local[dev]\nname @ file:///x.whl\n",
    "[project]\nname = 'x'\nrequires-python = '>=3.10,<4'\ndependencies = ['a', 'b>1']\ndynamic = ['version']\n",
    "python-3.12.1-2024-01-01",
    "cpython@3.12\n# comment\n",
    f"{'a' * 40}\tHEAD\nref: refs/heads/main\tHEAD\n{'b' * 40}\trefs/tags/v1\n{'c' * 40}\trefs/tags/v1^{{}}\n",
    "fatal: repository 'https://example.org/r.git/' not found\nerror: RPC failed; HTTP 503 curl 22\n",
    "  × No solution found when resolving dependencies:\n  ╰─▶ Because a==1 depends on b<2 and you require b==3, we can"
    " conclude that your requirements are unsatisfiable.\n",
    "ERROR: No matching distribution found for nope==9\n",
    "https://github.com/octo/hello/blob/main/a%20b.ipynb?x=1#y",
    "gh/octo/hello/HEAD",
    "gl/group%2Fsub%2Fproject/v1.0",
    "git/https%3A%2F%2Fexample.org%2Fr.git/main",
    "git@example.org:octo/hello.git@main",
    "lab/tree/../x?y=1",
    "GET http://user@example.org:80/x?y HTTP/1.1\r\nHost: example.org",
    "CONNECT [2001:db8::1]:443 HTTP/1.1",
    '{"last_activity":"2026-01-01T00:00:00Z","connections":1,"kernels":2}',
)
"""What each of them reads when all is well."""


def drawn(chance: random.Random) -> str:
    """A sample with parts of it, or of another, left out, doubled or replaced."""
    text = chance.choice(SAMPLES)
    for _ in range(chance.randint(1, 8)):
        at, to = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
        match chance.randrange(4):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:to] + text[at:to] * chance.randint(1, 30) + text[to:]
            case 2:
                text = text[:at] + chance.choice(ALPHABET) * chance.choice((1, 1, 3, 300)) + text[at:]
            case _:
                text = text[:at] + chance.choice(SAMPLES) + text[to:]
    return text[:20_000]


def fuzzed(seed: int, seconds: float) -> tuple[int, tuple[Bad, ...]]:
    """How many drawn texts each reader was given in so much processor time, and those that it did not cope with."""
    chance, count, found = random.Random(seed), 0, list[Bad]()
    began = time.process_time()
    while time.process_time() - began < seconds and not found:
        text, count = drawn(chance), count + 1
        found += [bad for name in READERS if (bad := _tried(name, f"{name}: {text!r}", text, 1.0))]
    return count, tuple(found)


def tried(name: str, limit: float) -> tuple[Bad, ...]:
    """The texts for which a reader takes more than `limit` seconds of processor time, or makes a mistake."""
    return tuple(bad for described, text in texts() if (bad := _tried(name, described, text, limit)))


def _tried(name: str, described: str, text: str, limit: float) -> Bad | None:
    began, error = time.process_time(), ""
    try:
        READERS[name](text)
    except EXPECTED as expected:
        if isinstance(expected, Fail) and failures.of(expected).kind is BUG:
            error = str(expected)
    except Exception as mistake:  # noqa: BLE001 - the kind that is looked for
        error = f"{type(mistake).__name__}: {str(mistake)[:200]}"
    took = time.process_time() - began
    return Bad(described, took, error) if took > limit or error else None
