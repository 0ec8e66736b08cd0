"""Programs of Node.js that tests run, each beside the lock file of what it needs: `tests/fakes/<name>`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def installed(name: str) -> Path:
    """Where the Makefile installs what a lock file names."""
    return ROOT / ".venv" / "node" / name


def required(name: str) -> pytest.MarkDecorator:
    """Tests that need it are skipped where it is not installed."""
    there = (installed(name) / "node_modules").exists() and shutil.which("node") is not None
    return pytest.mark.skipif(not there, reason=f"what tests/fakes/{name} names is not installed: no npm")


def ran(name: str, program: str, *words: str, limit: float = 120) -> str:
    """What a program prints that ends well within so many seconds."""
    command = ["node", "--input-type=module", "-", *words]
    text = (ROOT / "tests/fakes" / name / program).read_text()
    done = subprocess.run(
        command, cwd=installed(name), input=text, capture_output=True, text=True, timeout=limit, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
