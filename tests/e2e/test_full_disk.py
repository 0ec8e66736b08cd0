"""A disk without room is told as such, at once: the state directory on a small file system in a mount namespace."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from perijove.domain.state import State
from tests.fakes.small_disk import on_small_disk

pytestmark = pytest.mark.e2e

CODE = """
import asyncio, json, sys
from pathlib import Path
from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.fakes.confined import MIB, Follower, do, spec, with_less

async def main():
    root, large, small = map(Path, sys.argv[1:])
    state = State(root)
    pad = Pad(state)
    await pad.ensure()
    follower = Follower(pad)
    told = []
    try:
        await pad.start(spec("large", large))
    except Fail as fail:
        told.append([fail.failure.kind.code, fail.failure.evidence[0].saw])
    await pad.start(spec("small", small, limits=with_less(disk=1000 * MIB)))
    await do(state, "small", "open('big', 'wb').write(bytes(60 << 20))")
    troubled = await follower.troubled("small", 3, "session.disk-full")
    told.append([troubled.failure.kind.code, troubled.failure.cause])
    print(json.dumps(told))
    await follower.close()
    await pad.close(stop=True)

asyncio.run(main())
"""


async def test_a_full_disk_is_told_when_a_session_starts_and_while_it_runs(state: State, tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    for folder in (large, small):
        folder.mkdir()
    (large / "file").write_bytes(os.urandom(40 << 20))
    argv = [*on_small_disk(state.root, 30 << 20), sys.executable, "-c", CODE, str(state.root), str(large), str(small)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[2]), *sys.path))}
    told = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, env=environ)
    words, _ = await told.communicate()
    (start, saw), (running, cause) = json.loads(words)
    assert start == "start.disk-full"
    assert "No space left on device" in saw
    assert running == "session.disk-full"
    assert "left on the disk" in cause
