"""Perijove itself as an image: pushed to a real registry, fetched from there, and started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from perijove.backends.environments.installer import Room
from perijove.backends.environments.system import registry as pulling
from perijove.backends.environments.system import unpacking
from perijove.backends.installation.programs import PREFIX
from perijove.backends.pad.tools import bubblewrap
from perijove.backends.registry.addresses import repository
from perijove.domain.state import State
from perijove.domain.system_settings import Image
from perijove.wiring.own_image import PATH, published
from tests.fakes.docker_registry import needs_registry, running_registry

pytestmark = [needs_registry, pytest.mark.same_for_any_user]
PROGRAMS = """
import pyseccomp, rattler, subprocess, uv
from pathlib import Path
from perijove.backends.caddy.program import binary
from perijove.backends.pad.tools import bubblewrap
for program in (uv.find_uv_bin(), binary(), bubblewrap(Path("/tmp"), copied=False)):
    subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL)
    assert str(program).startswith("/opt/perijove/"), program
"""


async def test_perijove_runs_from_its_image_alone(state: State, tmp_path: Path) -> None:
    """On this machine's /usr in place of a base, which other tests make."""
    system, python = tmp_path / "system", Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
    (system / "etc").mkdir(parents=True)
    shutil.copy("/etc/ld.so.cache", system / "etc")
    with running_registry(tmp_path / "registry") as registry:
        to = repository(f"127.0.0.1:{registry.port}/perijove/perijove")
        assert to is not None
        release = ".".join(f"{part}" for part in sys.version_info[:3])
        done = await published(state, [system], python, release, to, None, print)
        host, path, digest = f"127.0.0.1:{registry.port}", to.name, done.image.partition("@")[2]
        (tmp_path / "fetched").mkdir()
        room = Room(1 << 32, 1_000_000)
        layers = await pulling.fetched(Image(host, path, digest), tmp_path / "fetched", room, tell=print)
        root = tmp_path / "root"
        unpacking.unpacked(layers, root, room)
    assert os.readlink(root / f"{PREFIX}/bin/python".lstrip("/")) == str(python)
    for words, told in (
        (("perijove", "--version"), f"perijove {version('perijove')}\n"),
        (("python", "-c", PROGRAMS), ""),
    ):
        argv = [str(bubblewrap(tmp_path, copied=False)), "--bind", str(root), "/", "--ro-bind", "/usr", "/usr"]
        argv += ["--ro-bind", sys.base_prefix, sys.base_prefix, "--symlink", "usr/lib", "/lib"]
        argv += ["--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin"]
        argv += ["--symlink", "usr/sbin", "/sbin", "--proc", "/proc"]
        argv += ["--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all", "--clearenv", "--die-with-parent"]
        argv += ["--setenv", "PATH", PATH, *words]
        ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == told
