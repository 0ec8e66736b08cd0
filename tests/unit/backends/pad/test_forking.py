"""What a fork server's children share with it: they refer to all of it, and write to none of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from perijove.backends.environments.interpreters import candidates
from perijove.backends.pad import forking

COUNTING = """
import gc, importlib.util, json, os, re, sys
spec = importlib.util.spec_from_file_location("forking", sys.argv[1])
forking = importlib.util.module_from_spec(spec)
spec.loader.exec_module(forking)
def private():
    return int(re.search("Private_Dirty: *([0-9]+)", open("/proc/self/smaps_rollup").read())[1])
def function(one=("argument",)):
    return one, "constant", lambda: "inner"
names = [f"name {number}" for number in range(200_000)]
forking.uncount()
never = sys.getrefcount(None)
code = function.__code__
parts = [names, names[7], function, function.__defaults__, code, code.co_consts[1], code.co_consts[2].co_consts]
counted = [sys.getrefcount(part) != never for part in parts]
gc.collect()
gc.freeze()
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
before = private()
for name in names:
    pass
grown = private() - before
del names, function
gc.collect()
print(json.dumps([any(counted), all(counted), grown]))
"""


def pythons() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Those of this machine on which sessions' servers may run, one a version."""
    seen = set()
    for path in (sys.executable, *(str(path) for path in candidates(()) if path.exists())):
        asked = [path, "-Ic", "import sys; print(*sys.version_info[:2])"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False).stdout
        version = tuple(map(int, told.split()))
        if version >= (3, 9) and version not in seen:
            seen.add(version)
            yield path, version


@pytest.mark.parametrize("counts", [pytest.param(True, id="before 3.12"), pytest.param(False, id="since 3.12")])
def test_who_refers_to_what_was_there_before_a_fork_is_counted_no_more(counts: bool) -> None:
    found = [path for path, version in pythons() if (version < (3, 12)) is counts]
    if not found:
        pytest.skip("no such Python here")
    for path in found:
        command = [path, "-Ic", COUNTING, str(forking.__file__)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert not done.returncode, done.stderr
        some, every, grown = json.loads(done.stdout)
        assert (some, every) == (counts, counts)
        if not counts:
            assert grown < 1000, f"{grown} kB"
