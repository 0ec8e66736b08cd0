"""Where the kernel forbids namespaces, the service names the switch. Tried in a user namespace of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys

import pytest

from perijove.domain.state import State

pytestmark = pytest.mark.e2e

CODE = """
import asyncio, json, sys
from pathlib import Path
from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.state import State
async def main():
    pad = Pad(State(Path(sys.argv[1])))
    try:
        await pad.isolation()
    except Fail as fail:
        told = fail.failure
        print(json.dumps([told.kind.code, told.remedy, {item.where: item.saw for item in told.evidence}]))
    await pad.close(stop=True)
asyncio.run(main())
"""


async def test_a_forbidding_switch_is_found_and_named(state: State) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    argv = ["unshare", "--user", "--map-user=4000", "--map-group=4000", "--keep-caps", "sh", "-c", forbid, "sh"]
    argv += [sys.executable, "-c", CODE, str(state.root)]
    told = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    words, _ = await told.communicate()
    code, remedy, evidence = json.loads(words)
    assert code == "platform.namespaces-forbidden"
    assert evidence["user.max_user_namespaces"] == "0"
    assert evidence["bwrap"].startswith("bwrap: ")
    assert "sysctl -w user.max_user_namespaces=65536" in remedy
