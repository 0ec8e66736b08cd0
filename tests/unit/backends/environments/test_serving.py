"""Which server an environment has, where a layer lies over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.environments.serving import over
from perijove.backends.environments.store import Note
from perijove.domain.nouns import Environment, Mount, Overlay

SHOWN = (Mount(Path("/tools"), Path("/tools")),)
BASE = Environment(
    "k" * 32,
    Path("/e"),
    "3.12.1",
    ("python", "-I", "/tools/serve.py", "lab"),
    (),
    SHOWN,
    SHOWN,
    (Overlay((), Path("/e")),),
)
NOTE = Note("3.12.1", "/python", "/", "", "somebody", 0.0)


@pytest.mark.parametrize("start", ["", "start"])
def test_a_server_that_the_repository_s_start_runs_is_never_forked(start: str) -> None:
    layered = over(Path("/layer"), replace(NOTE, start=start), BASE)
    assert layered.server == (() if start else SHOWN)
    assert (layered.command == BASE.command) == (not start)
