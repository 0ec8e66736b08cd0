"""`perijove doctor kubernetes` before a recording as large as clusters get: soon, and in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from perijove.domain.cluster import day
from tests.doctor.cluster.world import GI, NOW, Json, claim, event, healthy, pod, unplaced

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
OBJECTS = 5000
QUICK, SLOW_MACHINE = 2.0, 3
"""Seconds of processor time, and how many times as much it may be on a slow machine, or a busy one."""
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


def crowded() -> list[Json]:
    """A healthy cluster with sessions, their events and old claims, each as wordy as real ones; one waits for room."""
    words = [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(60)]
    notes = {f"example.org/note-{number}": "y" * 80 for number in range(20)}
    sessions = [
        pod(f"jupyter-{number}", "singleuser-server", age=3600, memory=str(GI), spec={"env": words})
        for number in range(OBJECTS // 3)
    ]
    stuck = unplaced("jupyter-b", "0/2 nodes are available: 2 Insufficient memory.")
    whole = [*healthy(), stuck, *sessions]
    whole += [event(one, "Started", "Started container notebook", "Normal", age=3000) for one in sessions]
    managed = [{"manager": "kubelet", "operation": "Update", "time": day(NOW), "fieldsType": "FieldsV1",
                "fieldsV1": {"f:status": {f"f:field-{number}": {} for number in range(12)}}}] * 2  # fmt: skip
    for one in sessions:
        one["metadata"]["managedFields"] = managed
    return whole + [claim(f"claim-{number}", annotations=notes) for number in range(OBJECTS - len(whole))]


def test_five_thousand_objects_take_two_seconds_and_two_hundred_megabytes(tmp_path: Path) -> None:
    objects = crowded()
    assert len(objects) == OBJECTS
    for kind in {one["kind"] for one in objects}:
        items = {"apiVersion": "v1", "kind": "List", "items": [one for one in objects if one["kind"] == kind]}
        written = yaml.dump(items, Dumper=yaml.CSafeDumper, sort_keys=False)
        (tmp_path / f"{kind.lower()}.yaml").write_text(written)
    command = [sys.executable, "-c", TELLS_WHAT_IT_TOOK, "doctor", "kubernetes", "--json", "--from", str(tmp_path)]
    ran = subprocess.run([*command, "--now", day(NOW)], capture_output=True, text=True, check=False, timeout=60)
    took, most = (ran.stderr.rpartition(f"{word}:")[2].split()[0] for word in ("CPU", "VmHWM"))
    print(f"{OBJECTS} objects in {took} s and {most} kB")
    assert [one["code"] for one in json.loads(ran.stdout)["told"]] == ["cluster.pod-unschedulable-full"]
    assert float(took) < QUICK * SLOW_MACHINE
    assert int(most) < MEMORY
