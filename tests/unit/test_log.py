"""What the service says of itself, where nobody hears it any more."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

SAYS = """
from perijove.cli import printing
from perijove.log import log
for _ in range(3):
    log.warning("a trouble")
    printing.say("a line")
open(os.sep.join(sys.argv[1:]), "w").write("went on")
"""


def test_a_terminal_that_hung_up_ends_nothing(tmp_path: os.PathLike[str]) -> None:
    ours, theirs = pty.openpty()
    told = os.path.join(tmp_path, "told")
    code = f"import os, sys\nsys.stdin.readline()\n{SAYS}"
    with subprocess.Popen(
        [sys.executable, "-c", code, told], stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, start_new_session=True
    ) as running:
        os.close(theirs)
        os.close(ours)
        running.communicate(b"now\n", timeout=60)
    with open(told) as file:
        assert file.read() == "went on"
