"""A hook of the operator's: what it is given, what becomes of its words, and how long it may take."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from perijove.backends.dns01.hook import KEPT, Hook
from perijove.backends.dns01.solver import dns_solver
from perijove.backends.dns01.zones import challenge_name
from perijove.domain.certificate_failures import DNS_HOOK_FAILED
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.failures import BAD_SETTINGS, Fail, Failure

NAME = challenge_name("binder.example.org")


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


async def failed(hook: Hook) -> Failure:
    with pytest.raises(Fail) as caught:
        await hook.add(NAME, "value")
    assert caught.value.failure.kind is DNS_HOOK_FAILED
    return caught.value.failure


async def test_it_is_given_words_and_variables_and_no_shell(
    script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERIJOVE_CERTIFICATES_DNS_OPTIONS", "auth_token=secret")
    monkeypatch.setenv("CLOUD_REGION", "here")
    out = tmp_path / "out"
    command = script(f'for one in "$@"; do echo "<$one>"; done >> {out}; env >> {out}')
    hook = Hook(f"{command} --zone 'a $(touch {tmp_path}/no)'")
    await hook.add(NAME, "value")
    words = out.read_text().splitlines()
    assert words[:3] == ["<--zone>", f"<a $(touch {tmp_path}/no)>", "<present>"]
    assert not (tmp_path / "no").exists()
    assert "PERIJOVE_DNS_NAME=_acme-challenge.binder.example.org" in words
    assert "PERIJOVE_DNS_VALUE=value" in words
    assert "CLOUD_REGION=here" in words
    assert not [word for word in words if "secret" in word]
    out.unlink()
    await hook.remove(NAME, "value")
    assert out.read_text().splitlines()[2] == "<withdraw>"


async def test_how_it_ended_and_what_it_said_last_is_told(script: Callable[[str], str]) -> None:
    told = await failed(Hook(script("seq 1 5000; echo no such zone >&2; exit 3")))
    assert "status 3" in told.cause
    assert told.evidence[0].saw.endswith("present")
    assert "PERIJOVE_DNS_NAME=_acme-challenge.binder.example.org" in told.evidence[0].saw
    assert told.evidence[1].saw.endswith("no such zone")
    assert len(told.evidence[1].saw) <= KEPT
    assert "SIGTERM" in (await failed(Hook(script("kill -TERM $$")))).cause


async def test_one_that_hangs_is_ended_with_all_it_started(script: Callable[[str], str], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    told = await failed(Hook(script(f"echo $$ >> {pids}; sleep 600 & echo $! >> {pids}; echo begun; wait"), limit=2))
    assert "did not end within 2 s" in told.cause
    assert told.evidence[1].saw == "begun"
    async with asyncio.timeout(20):
        while any(alive(int(pid)) for pid in pids.read_text().split()):
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether it runs; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_one_that_cannot_be_started_any_more_is_told(script: Callable[[str], str]) -> None:
    command = script("true")
    hook = Hook(command)
    Path(command).unlink()
    assert "cannot be started" in (await failed(hook)).cause


@pytest.mark.parametrize("command", ["", "/nonexistent/hook", "'unclosed", f"{os.sep}etc{os.sep}passwd"])
def test_nonsense_is_told_before_it_is_run(command: str) -> None:
    with pytest.raises(Fail) as caught:
        dns_solver(CertificatesSettings(dns=f"hook:{command}"))
    assert caught.value.failure.kind is BAD_SETTINGS
