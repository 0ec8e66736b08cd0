"""What a service that is up has imported, and what a command has: nothing of what it is not used for.

Each module costs every start its time and the service its memory for good; seconds are measured by `bench`.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from perijove.domain.state import State
from tests.e2e.service import furnish
from tests.fakes.ports import free_port

UNUSED = {
    "certificates": (
        "acme", "josepy", "OpenSSL", "dns", "cryptography.x509", "perijove.backends.acme",
        "perijove.backends.dns01.zones", "perijove.backends.localca", "perijove.backends.probes.handshakes",
        "perijove.backends.secrets",
    ),
    "DNS providers": ("lexicon", "perijove.backends.dns01.lexicon_provider"),
    "log-in at a provider": ("authlib", "joserfc"),
    "a cluster": ("kr8s", "perijove.backends.kubernetes", "perijove.wiring.pods"),
    "images in a registry": ("perijove.backends.registry.client",),
    "conda packages": ("rattler",),
    "notebooks as pages": ("markdown_it",),
    "a terminal": ("pygments", "rich.syntax", "rich.traceback"),
    "the doctor": (
        "crossplane", "perijove.backends.nginx", "perijove.backends.site", "perijove.doctor.cluster",
        "perijove.doctor.front", "perijove.doctor.own.explaining", "perijove.wiring.examining",
    ),
    "the operator's other commands": (
        "perijove.backends.backup", "perijove.backends.installation.carrying_out", "perijove.backends.trust",
        "perijove.spawner",
    ),
}  # fmt: skip
NAMES = [name for names in UNUSED.values() for name in names]
OF_THE_SERVICE = (
    "cryptography", "jinja2", "packaging", "prometheus_client", "psutil", "sqlite3", "starlette", "uvicorn", "yaml",
    "perijove.launching", "perijove.web", "perijove.wiring",
)  # fmt: skip
COMMAND = 'import sys; from perijove.cli import main; print(*sys.modules, sep="\\n")'
UP = """
import os, signal, sys
from pathlib import Path
from perijove.cli import main, service
from perijove.domain.state import State

def told():
    print(*sys.modules, sep="\\n")
    os.kill(os.getpid(), signal.SIGTERM)
    return True

service.run(State(Path(sys.argv[1])), service.loader(None, {"service.http": [sys.argv[2]]}), told)
"""


@pytest.fixture(scope="module")
def imported(module_state: State) -> frozenset[str]:
    """All modules of a service that has just told that it is up, with no settings but its address."""
    furnish(module_state)
    command = [sys.executable, "-c", UP, str(module_state.root), f"127.0.0.1:{free_port()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert "Perijove is up at" in done.stderr, done.stderr
    return frozenset(done.stdout.splitlines())


@pytest.mark.parametrize("use", UNUSED)
def test_a_service_that_is_up_has_imported_nothing_that_it_does_not_use(use: str, imported: frozenset[str]) -> None:
    assert "perijove.web.front" in imported
    assert [name for name in UNUSED[use] if name in imported] == []


def test_a_command_has_imported_nothing_that_the_service_alone_uses() -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, timeout=60, check=True)
    imported = frozenset(done.stdout.splitlines())
    assert "perijove.cli.objects" in imported
    assert [name for name in (*OF_THE_SERVICE, *NAMES) if name in imported] == []


@pytest.mark.parametrize("name", [*OF_THE_SERVICE, *NAMES])
def test_what_is_not_imported_is_there(name: str) -> None:
    assert find_spec(name)
