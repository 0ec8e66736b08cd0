"""What git's words of error mean: those that no server of ours says are here, the others are provoked end to end."""

from __future__ import annotations

import pytest

from perijove.backends.git.program import plain
from perijove.backends.git.words import commit_refused, meant


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("fatal: write error: No space left on device", "platform.disk-full"),
        ("error: unable to write file a: Disk quota exceeded", "platform.disk-full"),
        ("remote: fatal: write error: No space left on device", "resolve.fetch-failed"),
        ("error: invalid path '.git/config'", "resolve.bad-tree"),
        ("fatal: Out of memory, malloc failed (tried to allocate 4294967296 bytes)", "resolve.too-large"),
        ("remote: fatal: Out of memory, malloc failed (tried to allocate 4294967296 bytes)", "resolve.fetch-failed"),
        ("fatal: write error: File too large", "resolve.too-large"),
        ("error: index-pack died of signal 25", "resolve.too-large"),
        ("error: index-pack died of signal 24", "resolve.too-large"),
        ("error: rev-list died of signal 11", "resolve.bad-tree"),
        ("error: index-pack died of signal 9", "platform.killed"),
        ("remote: fatal: too-short tree object", "resolve.bad-tree"),
        ("error: unable to create file n: File name too long", "resolve.bad-tree"),
        (
            "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            "resolve.repo-not-found",
        ),
        ("remote: Repository not found.", "resolve.repo-not-found"),
        (
            "remote: The project you were looking for could not be found or you don't have permission.",
            "resolve.repo-not-found",
        ),
        ("fatal: repository 'https://x.org/r/' not found", "resolve.repo-not-found"),
        ("ERROR: Repository not found.", "resolve.repo-not-found"),
        ("fatal: remote error: access denied or repository not exported: /r", "resolve.access-denied"),
        ("fatal: Authentication failed for 'https://x.org/r/'", "resolve.access-denied"),
        ("fatal: unable to access 'https://x.org/r/': The requested URL returned error: 403", "resolve.access-denied"),
        (
            "fatal: unable to access 'https://x.org/r/': server certificate verification failed. CAfile: none",
            "resolve.host-unreachable",
        ),
        (
            "fatal: unable to access 'https://x.org/r/': SSL certificate problem: certificate has expired",
            "resolve.host-unreachable",
        ),
        ("fatal: unable to access 'https://x.org/r/': Could not resolve host: x.org", "resolve.host-unreachable"),
        ("ssh: Could not resolve hostname x.org: Name or service not known", "resolve.host-unreachable"),
        ("ssh: connect to host x.org port 22: Connection timed out", "resolve.host-unreachable"),
        (
            "fatal: unable to access 'https://x.org/r/': The requested URL returned error: 429",
            "resolve.host-unreachable",
        ),
        (
            "fatal: unable to access 'https://x.org/r/': The requested URL returned error: 504",
            "resolve.host-unreachable",
        ),
        ("fatal: transport 'ext' not allowed", "resolve.forbidden-address"),
        ("fatal: unable to access 'https://x.org/r/': The requested URL returned error: 301", "resolve.fetch-failed"),
        ("fatal: early EOF", "resolve.fetch-failed"),
        ("", "resolve.fetch-failed"),
    ],
)
def test_gits_words_mean(line: str, code: str) -> None:
    failure = meant([line] if line else [])
    assert failure.kind.code == code
    assert failure.evidence[0].saw == line or not line


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("fatal: remote error: upload-pack: not our ref 1111", True),
        ("error: Server does not allow request for unadvertised object 1111", True),
        ("fatal: couldn't find remote ref refs/heads/x", True),
        ("fatal: early EOF", False),
    ],
)
def test_a_refused_commit_is_told_from_a_broken_host(line: str, refused: bool) -> None:
    assert commit_refused([line]) is refused


def test_a_line_from_outside_is_printable_bounded_and_without_secrets() -> None:
    assert plain(b"\x1b[31mred\x1b[0m\tx\x07 https://me:pw@x.org/r \xff") == "red x  https://x.org/r �"
    assert len(plain(b"a" * 10_000)) == 500


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("git@github.com: Permission denied (publickey).", "shown none that it takes"),
        ("Host key verification failed.", "does not know the host's key here"),
        ("No user exists for uid 231072", "ssh was not tried"),
    ],
)
def test_where_ssh_does_not_let_us_in_it_is_told_how_far_it_came_and_that_https_needs_no_key(
    line: str, cause: str
) -> None:
    failure = meant([line, "fatal: Could not read from remote repository."])
    assert (failure.kind.code, cause in failure.cause) == ("resolve.access-denied", True)
    assert "our credentials" not in failure.cause
    assert failure.remedy.startswith("Use its https address")
