"""A service whose disk is full as soon as it has started goes on: its state lies on a small file system of its own."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from perijove.backends.environments.interpreters import passable
from perijove.domain.state import State
from tests.e2e.service import Service, first, first_server, until
from tests.fakes.small_disk import on_small_disk

pytestmark = pytest.mark.e2e
SIZE = 64 << 20
"""Bytes: enough to start, and too little for a copy of an interpreter that sessions cannot reach."""


@pytest.fixture
def service(state: State) -> Iterator[Service]:
    shown = f"ln -s {first().uv_cache} {first().tools} {state.store}"
    begun = on_small_disk(state.root, SIZE, f"mkdir -m 711 {state.store}", shown)
    wrapper = state.root.with_name(f"{state.root.name}-python")
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join((*begun, sys.executable))} "$@"\n')
    wrapper.chmod(0o755)
    service = Service(state, python=str(wrapper), shares_store=False)
    try:
        yield service
    finally:
        service.stop()
        wrapper.unlink()


def hidden() -> bool:
    """Whether sessions cannot reach our server's interpreter where it lies, so that it is copied."""
    config = first_server() / "pyvenv.cfg"
    home = next(line.partition("=")[2].strip() for line in config.read_text().splitlines() if line.startswith("home"))
    return os.geteuid() == 0 and not passable(Path(home))


def test_it_says_why_no_server_is_forked_and_goes_on(service: Service) -> None:
    log = service.log
    service.up()
    assert service.process is not None
    if hidden():
        until(lambda: "no server is kept to fork from" in log.read_text(), 30)
        assert "No space is left" in log.read_text()
    health = httpx.get(f"{service.url}health", trust_env=False)
    assert health.json()["ok"] is True
    assert service.process.poll() is None
