from __future__ import annotations

import stat
from pathlib import Path

import pytest

from perijove.backends import hooks
from perijove.domain.certificate_failures import HOOK_FAILED
from perijove.domain.certificates import Secret
from perijove.domain.failures import Fail


def secret(folder: Path) -> Secret:
    names = ("a.example",)
    chain, key = folder / "tls.crt", folder / "tls.key"
    return Secret("a.example", "r1", names, 0, 1, "0a", "ff", "ca", "issuer", "", "", chain, key)


def command(folder: Path, text: str) -> str:
    path = folder / "a command"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"'{path}' 'two words'"


async def test_a_command_is_told_where_the_files_are(tmp_path: Path) -> None:
    told = command(tmp_path, f'echo "$PERIJOVE_HOST $PERIJOVE_CHAIN $PERIJOVE_KEY $1" > {tmp_path}/told')
    await hooks.run(told, secret(tmp_path))
    assert (tmp_path / "told").read_text() == f"a.example {tmp_path}/tls.crt {tmp_path}/tls.key two words\n"


@pytest.mark.parametrize(
    ("text", "cause", "saw"),
    [
        pytest.param("echo no such server; exit 3", "status 3", "no such server", id="it fails"),
        pytest.param("echo wait; sleep 60 & wait", "within", "wait", id="it does not end"),
        pytest.param("yes | tr -d '\\n' | head -c 100000; exit 1", "status 1", "yyyy", id="it says much"),
    ],
)
async def test_a_command_that_fails_says_why(tmp_path: Path, text: str, cause: str, saw: str) -> None:
    with pytest.raises(Fail) as caught:
        await hooks.run(command(tmp_path, text), secret(tmp_path), limit=2)
    failure = caught.value.failure
    assert failure.kind is HOOK_FAILED
    assert cause in failure.cause
    assert saw in failure.evidence[1].saw
    assert len(failure.evidence[1].saw) < 10_000
    assert "PERIJOVE_HOST=a.example" in failure.evidence[0].saw


@pytest.mark.parametrize("words", ["/no/such/command", "'unbalanced", ""])
async def test_a_command_that_is_none_says_so(tmp_path: Path, words: str) -> None:
    with pytest.raises(Fail) as caught:
        await hooks.run(words, secret(tmp_path))
    assert caught.value.failure.kind is HOOK_FAILED
