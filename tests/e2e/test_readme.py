"""The README's commands as they stand, in a clone on a machine that has nothing of Perijove; by whoever runs this."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.e2e.service import until
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.long]
CLONE = Path(__file__).parents[2]
README = (CLONE / "README.md").read_text()
TOUR, _, SERVER = README.partition("## A quick tour\n")[2].partition("\n## ")
INSTALL, LAUNCH, SEE = re.findall(r"^```\n(.*?)^```", TOUR, re.MULTILINE | re.DOTALL)[:3]
FAILURE = README.partition("## When it fails\n\n```\n")[2].partition("```")[0]
PLACEHOLDERS = re.compile(r" 12\b|x1y2z3a4|3f2a|gh/owner|binder-examples|base prepare")
"""What a reader puts something of their own in the place of, or what goes to the web."""


@dataclass(frozen=True)
class Reader:
    """Somebody with a clone, a home and a shell."""

    home: Path
    port: int

    @property
    def clone(self) -> Path:
        return self.home / "perijove"

    def types(self, lines: str, folder: str = ".", limit: float = 600) -> subprocess.CompletedProcess[str]:
        """What a shell makes of it."""
        return subprocess.run(
            ["bash", "-ec", lines], cwd=self.clone / folder, env=self.environ, timeout=limit, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of this process's but how packages and certificates are had, and who is asked for Python first."""
        kept = ("PIP_", "UV_", "SSL_CERT_", "LANG")
        given = {name: value for name, value in os.environ.items() if name.startswith(kept) or "CA_BUNDLE" in name}
        ours = str(Path(sys.executable).parent)
        path = os.pathsep.join(one for one in os.environ["PATH"].split(os.pathsep) if one != ours)
        listen = {"PERIJOVE_SERVICE_HTTP": f"127.0.0.1:{self.port}", "PERIJOVE_STATE": str(self.home / "state")}
        return {
            **given,
            "HOME": str(self.home),
            "PATH": path,
            "PERIJOVE_CONFIG": str(self.home / "none.toml"),
            **listen,
        }


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    home = Path(tempfile.mkdtemp(prefix="perijove-reader-"))
    home.chmod(0o755)
    (home / "none.toml").touch()
    reader = Reader(home, free_port())
    names = subprocess.run(
        ["git", "-c", f"safe.directory={CLONE}", "-C", CLONE, "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, names.stdout.split("\0")):
        if (CLONE / name).exists():
            (reader.clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CLONE / name, reader.clone / name, follow_symlinks=False)
    yield reader
    shutil.rmtree(home, ignore_errors=True)


def lines(block: str) -> list[str]:
    return [one for one in block.splitlines() if one and not PLACEHOLDERS.search(one)]


def test_the_tour_works_as_it_is_written(reader: Reader) -> None:
    *install, up = lines(INSTALL)
    assert up.startswith("perijove up ")
    done = reader.types("\n".join([*install, "perijove --version"]))
    assert done.returncode == 0, done.stdout
    activate = next(one for one in install if "activate" in one).partition("&& ")[2].partition("  #")[0]
    log = reader.home / "up.log"
    with log.open("wb") as told:
        service = subprocess.Popen(
            ["bash", "-ec", f"{activate}\nexec {up}"], cwd=reader.clone, env=reader.environ,
            stdout=told, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        until(lambda: "Perijove is up at" in log.read_text() or service.poll() is not None, 300)
        assert "Perijove is up at" in log.read_text(), log.read_text()
        launched = reader.types(f". {reader.clone}/perijove-env/bin/activate\n{lines(LAUNCH)[-1]}", "examples/hello")
        assert (launched.returncode, "ready: " in launched.stdout) == (0, True), launched.stdout
        contradiction = reader.home / "contradiction"
        contradiction.mkdir()
        (contradiction / "requirements.txt").write_text("numpy==2.0\nnumpy<2\n")
        failed = reader.types(f"{activate}\nperijove launch {contradiction}")
        assert (failed.returncode, FAILURE in failed.stdout) == (1, True), failed.stdout
        assert len(lines(SEE)) >= 6
        for line in lines(SEE):
            done = reader.types(f"{activate}\n{line}")
            assert done.returncode == 0, f"{line}\n{done.stdout}"
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0


def test_the_other_way_to_install_works_too(reader: Reader) -> None:
    assert "uv tool install ." in INSTALL
    places = f"export UV_TOOL_DIR={reader.home}/tools UV_TOOL_BIN_DIR={reader.home}/tools/bin"
    done = reader.types(
        f'{places}\nuv() {{ {find_uv_bin()} "$@"; }}\nuv tool install .\n{reader.home}/tools/bin/perijove -h'
    )
    assert done.returncode == 0, done.stdout


def test_where_a_plain_pip_install_is_refused_the_readme_does_not_say_it() -> None:
    before = INSTALL.partition("pip install .\n")[0]
    assert "-m venv" in before
    assert "activate" in before
