"""Perijove itself as an image: pushed to a real registry, fetched from there, and started."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
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
PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
Engine = Callable[[str, Path], Awaitable[list[str]]]
PROGRAMS = """
import pyseccomp, rattler, subprocess, uv
from pathlib import Path
from perijove.backends.caddy.program import binary
from perijove.backends.pad.tools import bubblewrap
for program in (uv.find_uv_bin(), binary(), bubblewrap(Path("/tmp"), copied=False)):
    subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL)
    assert str(program).startswith("/opt/perijove/"), program
"""


RUNS = ((("perijove", "--version"), f"perijove {version('perijove')}\n"), (("python", "-c", PROGRAMS), ""))
UNDER_PODMAN = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("podman") or not shutil.which("runc"),
    reason="podman and runc are not installed, or root does not ask: apt install podman runc",
)


async def in_sandbox(image: str, folder: Path) -> list[str]:
    """What starts a command in it, by bubblewrap."""
    host, _, rest = image.partition("/")
    path, _, digest = rest.partition("@")
    (folder / "fetched").mkdir()
    room = Room(1 << 32, 1_000_000)
    layers = await pulling.fetched(Image(host, path, digest), folder / "fetched", room, tell=print)
    unpacking.unpacked(layers, root := folder / "root", room)
    assert os.readlink(root / f"{PREFIX}/bin/python".lstrip("/")) == str(PYTHON)
    argv = [str(bubblewrap(folder, copied=False)), "--bind", str(root), "/", "--ro-bind", "/usr", "/usr"]
    argv += ["--ro-bind", sys.base_prefix, sys.base_prefix, "--proc", "/proc"]
    argv += ["--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all", "--clearenv", "--die-with-parent"]
    return [*argv, "--setenv", "PATH", PATH]


async def by_podman(image: str, folder: Path) -> list[str]:
    """The same by an engine, confined as in a cluster. By runc: crun knows no machine with both kinds of cgroups."""
    podman = ["podman", "--root", f"{folder}/podman", "--runroot", f"{folder}/run", "--cgroup-manager", "cgroupfs"]
    pulling = [*podman, "pull", "--quiet", "--tls-verify=false", image]
    assert await (await asyncio.create_subprocess_exec(*pulling)).wait() == 0
    argv = [*podman, "--runtime", "runc", "run", "--rm", "--network", "none", "--user", "1000:1000"]
    argv += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    argv += ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]
    return [*argv, *(f"--volume={one}:{one}:ro" for one in {"/usr", sys.base_prefix}), image]


@pytest.mark.parametrize("engine", [in_sandbox, pytest.param(by_podman, marks=UNDER_PODMAN)])
async def test_perijove_runs_from_its_image_alone(engine: Engine, state: State, tmp_path: Path) -> None:
    """On this machine's /usr in place of a base, which other tests make."""
    system = tmp_path / "system"
    (system / "etc").mkdir(parents=True)
    shutil.copy("/etc/ld.so.cache", system / "etc")
    for name in ("bin", "lib", "lib64", "sbin"):
        (system / name).symlink_to(f"usr/{name}")
    with running_registry(tmp_path / "registry") as registry:
        to = repository(f"127.0.0.1:{registry.port}/perijove/perijove")
        assert to is not None
        release = ".".join(f"{part}" for part in sys.version_info[:3])
        done = await published(state, [system], PYTHON, release, to, None, print)
        argv = await engine(done.image, state.root)
        for words, told in RUNS:
            ran = subprocess.run([*argv, *words], capture_output=True, text=True, check=False, timeout=120)
            assert ran.returncode == 0, ran.stderr
            assert ran.stdout == told
    subprocess.run(["umount", "--quiet", state.root / "podman/overlay"], check=False)
