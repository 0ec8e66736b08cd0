"""`perijove doctor kubernetes` before a recording as large as clusters get: soon, and in little memory."""

from __future__ import annotations

import cProfile
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from perijove.backends.cluster.recording import recorded
from perijove.doctor.cluster.diagnosis import diagnosed
from perijove.domain.cluster import day
from tests.doctor.cluster.world import GI, NOW, Json, claim, event, healthy, pod, unplaced

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
OBJECTS = 5000
QUICK, SLOW_MACHINE = 2.0, 3
"""Seconds of processor time, and how many times as much it may be on a slow machine, or a busy one."""
BYTES = 2200
"""How many an object has, as kubectl writes it."""
MEMORY = 200 * 1024
"""Kilobytes."""


TELLS_WHAT_IT_TOOK = """
import atexit, sys, time
from pathlib import Path
from perijove.cli.main import main
atexit.register(lambda: sys.stderr.write(f"{Path('/proc/self/status').read_text()}CPU: {time.process_time()}"))
main()
"""
"""VmHWM is of what runs now; the peak that getrusage gives is of whoever started it, too."""


def crowded(objects: int = OBJECTS) -> list[Json]:
    """A healthy cluster with sessions, their events and old claims, each as wordy as real ones; one waits for room."""
    words = [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(60)]
    notes = {f"example.org/note-{number}": "y" * 80 for number in range(20)}
    sessions = [
        pod(f"jupyter-{number}", "singleuser-server", age=3600, memory=str(GI), spec={"env": words})
        for number in range(objects // 3)
    ]
    stuck = unplaced("jupyter-b", "0/2 nodes are available: 2 Insufficient memory.")
    whole = [*healthy(), stuck, *sessions]
    whole += [event(one, "Started", "Started container notebook", "Normal", age=3000) for one in sessions]
    managed = [{"manager": "kubelet", "operation": "Update", "time": day(NOW), "fieldsType": "FieldsV1",
                "fieldsV1": {"f:status": {f"f:field-{number}": {} for number in range(12)}}}] * 2  # fmt: skip
    for one in sessions:
        one["metadata"]["managedFields"] = managed
    return whole + [claim(f"claim-{number}", annotations=notes) for number in range(objects - len(whole))]


class _Spelled(yaml.CSafeDumper):
    """As kubectl writes: what two objects have in common stands in both."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def written(folder: Path, objects: list[Json]) -> int:
    """A file for each kind. Returns the bytes of all."""
    for kind in {one["kind"] for one in objects}:
        items = {"apiVersion": "v1", "kind": "List", "items": [one for one in objects if one["kind"] == kind]}
        (folder / f"{kind.lower()}.yaml").write_text(yaml.dump(items, Dumper=_Spelled, sort_keys=False))
    return sum(path.stat().st_size for path in folder.iterdir())


def test_five_thousand_objects_take_two_seconds_and_two_hundred_megabytes(tmp_path: Path) -> None:
    objects = crowded()
    assert len(objects) == OBJECTS
    assert written(tmp_path, objects) > OBJECTS * BYTES
    command = [sys.executable, "-c", TELLS_WHAT_IT_TOOK, "doctor", "kubernetes", "--json", "--from", str(tmp_path)]
    ran = subprocess.run([*command, "--now", day(NOW)], capture_output=True, text=True, check=False, timeout=60)
    took, most = (ran.stderr.rpartition(f"{word}:")[2].split()[0] for word in ("CPU", "VmHWM"))
    print(f"{OBJECTS} objects in {took} s and {most} kB")
    assert [one["code"] for one in json.loads(ran.stdout)["told"]] == ["cluster.pod-unschedulable-full"]
    assert float(took) < QUICK * SLOW_MACHINE
    assert int(most) < MEMORY


def test_twice_as_many_objects_take_twice_as_much_and_no_more(tmp_path: Path) -> None:
    """In calls, of which a busy machine makes as many."""
    calls = []
    for objects in (200, 400, 800):
        folder = tmp_path / str(objects)
        folder.mkdir()
        written(folder, crowded(objects))
        profile = cProfile.Profile()
        told = profile.runcall(lambda at: diagnosed(recorded(at, NOW)).told, folder)
        assert [one.finding.code for one in told] == ["cluster.pod-unschedulable-full"]
        calls.append(sum(one.callcount for one in profile.getstats()))
    assert calls[2] - calls[1] < 2.2 * (calls[1] - calls[0]), calls
