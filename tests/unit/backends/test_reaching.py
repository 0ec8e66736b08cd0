"""Hosts that launches need are looked for beside all else that the service does."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perijove.backends.ground import reaching


async def test_a_look_for_a_name_shares_no_thread_with_other_work() -> None:
    held = threading.Event()
    with ThreadPoolExecutor(1) as only:
        asyncio.get_running_loop().set_default_executor(only)
        other = asyncio.create_task(asyncio.to_thread(held.wait, 60))
        try:
            async with asyncio.timeout(30):
                assert await reaching.found("127.0.0.1", 443) == "127.0.0.1"
            assert not other.done()
        finally:
            held.set()
        assert await other


async def test_of_a_host_that_has_a_mirror_the_mirror_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(
        '[url "http://127.0.0.1:9/"]\n  insteadOf = https://one.invalid/\n'
        '[url "file:///srv/mirror/"]\n  insteadOf = https://two.invalid/\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    told = await reaching.reached(0, ("https://one.invalid/", "https://two.invalid/", "https://three.invalid/"))
    assert {one.address for one in told} == {"127.0.0.1:9", "three.invalid:443"}


@pytest.mark.parametrize("moment", range(2, 7, 2))
async def test_a_process_that_was_held_up_blames_nobody(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index:
        address = f"127.0.0.1:{index.getsockname()[1]}"
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{address}/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        looking = asyncio.create_task(reaching.reached(0, (), 0.6))
        for _ in range(moment):
            await asyncio.sleep(0)
        threading.Event().wait(0.7)  # the hold-up
        assert [(one.address, one.words) for one in await looking] == [(address, "")]
