"""What a package's own scripts try where they run as root by name, and what a base may be made from tries."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments.system.bases import Base, Bases
from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.nouns import Mount
from perijove.domain.ran import Ran
from perijove.domain.state import State
from tests.fakes.bases import environments_of, shared_base
from tests.fakes.confined import do, spec, with_less
from tests.fakes.pads import furnished_pad

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
MIB = 1024**2
POSTINST = """
import errno, json, os, socket, stat, sys
port, secret, shown = int(sys.argv[1]), sys.argv[2], sys.argv[3]
told = {}

def tried(name, act):
    try:
        told[name] = str(act())
    except OSError as error:
        told[name] = errno.errorcode[error.errno]

libc = __import__("ctypes").CDLL(None, use_errno=True)
def call(function, *given):
    if function(*given) < 0:
        raise OSError(__import__("ctypes").get_errno(), "")

tried("chroot", lambda: os.chroot("/tmp"))
tried("mount", lambda: call(libc.mount, b"none", b"/mnt", b"tmpfs", 0, None))
tried("umount", lambda: call(libc.umount2, b"/etc/shown", 2))
tried("unshare", lambda: call(libc.unshare, 0x10000000))
tried("secret", lambda: open(secret).read())
tried("shown", lambda: open(shown + "/file", "w"))
tried("host", lambda: socket.create_connection(("127.0.0.1", port), 5))
tried("proxy", lambda: socket.create_connection(("127.0.0.1", 3128), 5))
tried("proc", lambda: open("/proc/sys/kernel/core_pattern", "w"))
tried("setuid", lambda: os.setuid(1234))
told["uid"] = os.getuid()
told["capabilities"] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Cap")]
# As root by name it may do as it likes with its own system.
tried("chown", lambda: os.chown("/etc/passwd", 1234, 1234))
tried("device", lambda: os.mknod("/usr/bin/sda", stat.S_IFBLK | 0o666, os.makedev(8, 0)))
with open("/usr/bin/evil", "w") as file:
    file.write("#!/bin/sh\\nid -u\\n")
os.chmod("/usr/bin/evil", 0o6755)
with open("/usr/bin/dpkg", "r+b") as file:
    file.write(b"overwritten")
os.remove("/etc/debian_version")
os.symlink(secret, "/etc/leads-out")
os.mkdir("/root/told")
json.dump(told, open("/root/told/told", "w"))
"""


@pytest.fixture
async def pad(module_state: State) -> AsyncIterator[Pad]:
    async with furnished_pad(module_state) as pad:
        yield pad


@pytest.fixture
def confined() -> Iterator[ConfinedCalls]:
    with closing(ConfinedCalls()) as confined:
        yield confined


@pytest.fixture
async def bases(module_state: State, pad: Pad, confined: ConfinedCalls) -> Bases:
    return environments_of(module_state, pad, confined).systems.bases


@pytest.fixture
async def base(bases: Bases) -> Base:
    shared_base()
    return await bases.ready(print)


def fingerprint(base: Base) -> str:
    """Of every file's place, size, mode and times."""
    told = hashlib.sha256()
    for layer in base.root:
        for here, folders, names in os.walk(layer):
            for name in sorted((*folders, *names)):
                facts = os.lstat(os.path.join(here, name))
                told.update(
                    f"{here}/{name} {facts.st_size} {facts.st_mode} {facts.st_mtime_ns} {facts.st_uid}\n".encode()
                )
    return told.hexdigest()


@pytest.fixture
async def ran(pad: Pad, bases: Bases, base: Base, module_state: State, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """What its tries came to, and the layer that it left."""
    shown, into = module_state.root / "shown", module_state.root / "into"
    shown.mkdir(exist_ok=True)
    (shown / "file").write_text("shown")
    secret = module_state.root / "secret-of-the-host"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = ("/usr/bin/python3", "-c", POSTINST, f"{listener.getsockname()[1]}", str(secret), "/etc/shown")
        mounts = (Mount(shown, Path("/etc/shown")),)
        run = bases.run("postinst", command, base.root, layers=True, network=False, mounts=mounts)
        assert await pad.run(run, into, print) == Ran(0)
    told = json.loads((into / "home/told/told").read_text())
    return told, into / "root"


async def test_a_packages_script_gets_nowhere_and_changes_its_own_layer_alone(
    pad: Pad, base: Base, ran: tuple[dict[str, Any], Path], module_state: State, tmp_path: Path
) -> None:
    told, layer = ran
    assert {name: told[name] for name in ("chroot", "mount", "umount", "unshare")} == dict.fromkeys(
        ("chroot", "mount", "umount", "unshare"), "EPERM"
    )
    assert (told["secret"], told["shown"]) == ("ENOENT", "EROFS")
    assert (told["host"], told["proxy"]) == ("ECONNREFUSED", "ECONNREFUSED")
    assert told["proc"] in {"EROFS", "EACCES", "EPERM"}
    assert told["uid"] == 0
    assert set(told["capabilities"]) == {"0" * 16}
    assert (told["setuid"], told["chown"], told["device"]) == ("None", "None", "None"), "said to be done"

    # What it left: no set-id bit, no device; what it removed is marked, and the base has it still.
    kinds = {path: path.lstat().st_mode for path in layer.rglob("*")}
    assert stat.S_IMODE(kinds[layer / "usr/bin/evil"]) == 0o755
    assert layer / "usr/bin/sda" not in kinds
    devices = {path for path, mode in kinds.items() if stat.S_ISCHR(mode) or stat.S_ISBLK(mode)}
    assert devices == {layer / "etc/debian_version"}
    assert os.lstat(layer / "etc/debian_version").st_rdev == 0
    original = next(lay / "usr/bin/dpkg" for lay in reversed(base.root) if (lay / "usr/bin/dpkg").exists())
    assert original.read_bytes()[:4] == b"\x7fELF"

    # A session on it is nobody special, and its link out leads to nothing.
    await pad.start(replace(spec("on-evil", tmp_path), root=(*base.root, layer)))
    code = """
import os, subprocess
said = subprocess.run(["/usr/bin/evil"], capture_output=True, text=True).stdout.strip()
answer = [said, os.path.exists("/etc/leads-out"), os.path.lexists("/etc/debian_version")]
"""
    assert await do(module_state, "on-evil", code) == ["1000", False, False]


async def test_a_packages_script_leaves_the_base_as_it_was(
    pad: Pad, bases: Bases, base: Base, module_state: State
) -> None:
    before = fingerprint(base)
    code = "rm -rf /usr /etc /var 2>/dev/null; echo gone"
    run = bases.run("wipes", ("/bin/sh", "-c", code), base.root, layers=True, network=False)
    assert await pad.run(run, module_state.root / "wiped", print) == Ran(0)
    assert fingerprint(base) == before


async def test_a_packages_script_that_writes_without_end_is_ended(
    pad: Pad, bases: Bases, base: Base, module_state: State
) -> None:
    fills = "for n in 1 2 3 4 5 6 7 8 9; do head -c 20000000 /dev/zero > /usr/share/fill$n || exit; done; sleep 100"
    run = bases.run("fills", ("/bin/sh", "-c", fills), base.root, layers=True, network=False)
    with pytest.raises(Fail) as caught:
        await pad.run(replace(run, limits=with_less(disk=64 * MIB)), module_state.root / "filled", print)
    assert caught.value.failure.kind.code == "build.too-large"
