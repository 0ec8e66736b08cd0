"""What the service says of itself, where nobody hears it any more."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from perijove.log import LAST_WORDS, last_words

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


TELLS = """
import logging
from perijove.log import log, take_libraries
take_libraries()
log.info("up", address="http://b\\u00fccher", of=b"bytes")
try:
    raise ValueError("no\\n\\x1b[31mnumber")
except ValueError:
    log.exception("a bug")
    logging.getLogger("some.library").error("it says %s", "so", exc_info=True)
logging.getLogger("some.library").info("nobody hears of it")
"""


def told() -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", TELLS], capture_output=True, text=True, check=True, timeout=60)


def test_elsewhere_than_in_a_terminal_each_line_is_an_object() -> None:
    up, bug, library = (json.loads(line) for line in told().stderr.splitlines())
    assert up.pop("timestamp").endswith("Z")
    assert up == {"event": "up", "level": "info", "address": "http://bücher", "of": "b'bytes'"}
    assert (bug["event"], bug["level"]) == ("a bug", "error")
    assert bug["exception"].startswith("Traceback")
    assert bug["exception"].endswith("ValueError: no\n\x1b[31mnumber")
    assert (library["event"], library["level"], library["logger"]) == ("it says so", "error", "some.library")
    assert library["exception"] == bug["exception"]


def test_in_a_terminal_people_read_it() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", TELLS], stderr=theirs) as running, os.fdopen(ours, "rb") as terminal:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # its end
            while part := terminal.read1():
                said += part
        assert running.wait(60) == 0
    lines = said.decode().splitlines()
    assert lines[0].partition(" ")[2] == "[info] up address='http://bücher' of=b'bytes'"
    assert lines[1].partition(" ")[2] == "[error] a bug"
    assert "ValueError: no" in lines
    assert sum(line.partition(" ")[2].startswith("[") for line in lines) == 3


def test_of_a_log_that_is_very_long_the_end_alone_is_read(tmp_path: Path) -> None:
    """Whoever waited for the pad had all of it read, while nobody else was answered."""
    (log := tmp_path / "pad.log").write_bytes(b"first\n")
    assert last_words(log) == "first\n"
    os.truncate(log, 1 << 40)
    with log.open("ab") as file:
        file.write("last ☃".encode())
    assert last_words(log).endswith("\0last ☃")
    assert len(last_words(log)) <= LAST_WORDS
