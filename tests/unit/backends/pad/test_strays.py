"""Whose ends the pad takes note of, though nobody asks for them."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import subprocess, time
from perijove.backends.pad import forked_server, processes
from perijove.backends.pad.spawning import adopt_orphans

def ended(pid):
    until = time.monotonic() + 10
    while processes.look(pid).state != "Z":
        assert time.monotonic() < until
        time.sleep(0.01)

adopt_orphans()
words = ["/bin/sh", "-c", "sleep 0.1 & echo $!; exec sleep 60"]
server = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
left = int(server.stdout.readline())
server.kill()
ours = [subprocess.Popen(["/bin/sh", "-c", "exit 3"], start_new_session=new) for new in (True, False)]
for pid in (left, server.pid, *(one.pid for one in ours)):
    ended(pid)
forked_server.reap_strays()
assert processes.look(left) is None, "nobody asks for it"
assert (server.wait(), *(one.wait() for one in ours)) == (-9, 3, 3), "we ask for these"
"""


def test_what_a_dead_fork_server_leaves_is_taken_and_what_we_have_started_is_left_to_whoever_waits() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
