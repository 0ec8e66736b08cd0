"""A conda channel of our own: this machine's CPython and wheels of the package index as conda packages, over loopback.

`python -m tests.fakes.conda_channel channels|small|stopping ROOT` makes them, in a process of its own as all that loads
rattler; `served` answers as conda's own servers do, validators included.
"""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import HeaderParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSION = f"{MINOR}.{sys.version_info.micro}"
SITE_PACKAGES = f"lib/python{MINOR}/site-packages"
SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}[platform.machine()]
PLACEHOLDER = "/conda-placehold" + "_placehold" * 23 + "_placehol"
"""What stands for the environment's path in a package's files: 255 bytes."""
MOONS = 30
"""Packages that are all alike, of the channel `stopping`."""
UNWANTED = re.compile(
    r"/(test|tests|idlelib|turtledemo|lib2to3|__pycache__|(site|dist)-packages|config-[^/]*|ensurepip)(/|$)"
)


@dataclass(slots=True)
class Package:
    """A conda package: files by their paths, each with its content and mode, or the target of a link."""

    name: str
    version: str = "1.0"
    build: str = "0"
    depends: Sequence[str] = ()
    files: dict[str, bytes | str] = field(default_factory=dict)
    """A str is a symbolic link's target."""
    executable: set[str] = field(default_factory=set)
    subdir: str = ""
    """Another platform than this one."""
    noarch: str = ""
    """`python`, `generic`, or `` for this platform."""
    entry_points: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of its index.json."""
    paths: Sequence[Mapping[str, Any]] | None = None
    """What its paths.json says, where that is not the truth."""

    def write(self, channel: Path) -> Path:
        """Its archive, in its folder of the channel."""
        subdir = "noarch" if self.noarch else self.subdir or SUBDIR
        path = channel / subdir / f"{self.name}-{self.version}-{self.build}.tar.bz2"
        path.parent.mkdir(parents=True, exist_ok=True)
        index = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "subdir": subdir,
            "depends": list(self.depends),
            "timestamp": 1700000000000,
            **({"noarch": self.noarch} if self.noarch else {"arch": "x86_64", "platform": "linux"}),
            **self.more,
        }
        info: dict[str, Any] = {
            "info/index.json": index,
            "info/paths.json": {"paths_version": 1, "paths": self.paths or [self._path(name) for name in self.files]},
        }
        if self.noarch == "python":
            noarch = {"type": "python", "entry_points": list(self.entry_points)}
            info["info/link.json"] = {"noarch": noarch, "package_metadata_version": 1}
        with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
            for name, value in info.items():
                self._add(archive, name, json.dumps(value).encode())
            for name, content in self.files.items():
                self._add(archive, name, content)
        return path

    def _add(self, archive: tarfile.TarFile, name: str, content: bytes | str) -> None:
        entry = tarfile.TarInfo(name)
        if isinstance(content, str):
            entry.type, entry.linkname = tarfile.SYMTYPE, content
            archive.addfile(entry)
            return
        entry.size, entry.mode = len(content), 0o755 if name in self.executable else 0o644
        archive.addfile(entry, io.BytesIO(content))

    def _path(self, name: str) -> Mapping[str, Any]:
        content = self.files[name]
        if isinstance(content, str):
            return {"_path": name, "path_type": "softlink", "sha256": hashlib.sha256().hexdigest(), "size_in_bytes": 0}
        told = {"_path": name, "path_type": "hardlink", "sha256": hashlib.sha256(content).hexdigest()}
        replaced = PLACEHOLDER.encode() in content
        more = {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"} if replaced else {}
        return told | {"size_in_bytes": len(content)} | more


def cpython(version: str = VERSION) -> Package:
    """This machine's, without what no test needs; by another version's name where one is wanted that is not here."""
    package = Package("python", version, more={"python_site_packages_path": SITE_PACKAGES})
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
    for path in sorted(library.rglob("*")):
        name = f"lib/python{MINOR}/{path.relative_to(library)}"
        if path.is_file() and not path.is_symlink() and not UNWANTED.search(f"/{name}"):
            package.files[name] = path.read_bytes()
    executable = f"bin/python{MINOR}"
    # Where it looks for its own library, if anywhere: beside itself.
    library_path = f"{sys.base_prefix}/lib\0".encode()
    program = Path(os.path.realpath(sys._base_executable)).read_bytes()  # type: ignore[attr-defined]
    beside = b"$ORIGIN/../lib".ljust(len(library_path), b"\0")
    fits = len(beside) == len(library_path)
    package.files[executable] = program.replace(library_path, beside) if fits else program
    package.executable.add(executable)
    package.files |= {"bin/python": f"python{MINOR}", "bin/python3": f"python{MINOR}"}
    for shared in Path(sys.base_prefix, "lib").glob(f"libpython{MINOR}.so*"):
        package.files[f"lib/{shared.name}"] = shared.read_bytes()
    # Debian's looks into other folders unless it is told.
    where = "__import__('os').path.dirname(__file__) + '/site-packages'"
    package.files[f"lib/python{MINOR}/sitecustomize.py"] = f"import site; site.addsitedir({where})\n".encode()
    return package


def from_wheel(path: Path) -> Package:
    """A wheel's files where conda has them; its versions and its requirements' names."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    info = next(name.partition("/")[0] for name in content if name.endswith(".dist-info/METADATA"))
    told = HeaderParser().parsestr(content[f"{info}/METADATA"].decode())
    pure = b"Root-Is-Purelib: true" in content[f"{info}/WHEEL"]
    asked = [Requirement(text) for text in told.get_all("Requires-Dist", [])]
    environment = {"extra": ""}
    depends = [f"python {MINOR}.*"] if not pure else ["python"]
    depends += [_normal(one.name) for one in asked if one.marker is None or one.marker.evaluate(environment)]
    folder = "site-packages" if pure else SITE_PACKAGES
    package = Package(_normal(told["Name"]), told["Version"], noarch="python" if pure else "", depends=depends)
    for name, held in content.items():
        data = re.sub(r"^[^/]*\.data/data/", "", name)
        package.files[data if data != name else f"{folder}/{name}"] = held
    package.files[f"{folder}/{info}/INSTALLER"] = b"conda"
    scripts = configparser.ConfigParser(delimiters="=")
    scripts.optionxform = str  # type: ignore[assignment,method-assign]
    scripts.read_string(content.get(f"{info}/entry_points.txt", b"").decode())
    if pure and scripts.has_section("console_scripts"):
        package.entry_points = [f"{name} = {where}" for name, where in scripts.items("console_scripts")]
    return package


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wheels(into: Path, *requirements: str) -> Sequence[Path]:
    """Of the package index, with all that they need."""
    words = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
    ]
    subprocess.run([*words, "--dest", str(into), *requirements], check=True)
    return sorted(into.glob("*.whl"))


def make(channel: Path, packages: Sequence[Package]) -> None:
    """Write packages and the channel's index."""
    for package in packages:
        package.write(channel)
    for subdir in (SUBDIR, "noarch", *(package.subdir for package in packages if package.subdir)):
        (channel / subdir).mkdir(parents=True, exist_ok=True)
    from rattler.index import index_fs  # noqa: PLC0415 - only where it is called may rattler be loaded

    asyncio.run(index_fs(channel, write_zst=False, write_shards=False, force=True))


class _Handler(SimpleHTTPRequestHandler):
    asked: list[str]

    def send_response(self, code: int, message: str | None = None) -> None:
        """A 304 has its validators too (RFC 9110, 15.4.5), which the standard library's lacks."""
        super().send_response(code, message)
        if code == 304:
            modified = Path(self.translate_path(self.path)).stat().st_mtime
            self.send_header("Last-Modified", self.date_time_string(int(modified)))

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Says nothing."""


@contextlib.contextmanager
def served(root: Path) -> Iterator[tuple[str, list[str]]]:
    """The channels below a folder on loopback: their address, and the paths that are asked for."""
    asked: list[str] = []

    class Handler(_Handler):
        def __init__(self, *given: Any) -> None:
            self.asked = asked
            super().__init__(*given, directory=str(root))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


LINKED = b"""mkdir "$PREFIX/share/jupiter/moons" && ln -s ../linked "$PREFIX/share/jupiter/moons/link"
echo "in $PREFIX" > "$PREFIX/share/jupiter/linked"
echo 69911 > "$PREFIX/share/jupiter/radius"
rm "$PREFIX/share/jupiter/mass"
echo "$PKG_NAME $PKG_VERSION $PKG_BUILDNUM is linked" >> "$PREFIX/.messages.txt"
exit 3
"""


def channels(root: Path) -> None:
    """`conda-forge`, with what a kernel needs, and `planets`, with packages of ours that do what packages may do."""
    fetched = wheels(root / "wheels", "ipykernel", "numpy", "pip", "requests", "six")
    make(root / "conda-forge", [cpython(), *(from_wheel(path) for path in fetched)])
    tool = f"#!{PLACEHOLDER}/bin/python\nprint({PLACEHOLDER!r})\n".encode()
    script = b'export JUPITER_DATA="$CONDA_PREFIX/share/jupiter"\n'
    jupiter = Package(
        "jupiter",
        "5.2",
        depends=["python"],
        files={
            "bin/jupiter": tool,
            "share/jupiter/radius": b"71492\n",
            "share/jupiter/mass": b"318\n",
            "etc/conda/activate.d/jupiter.sh": script,
            "etc/conda/env_vars.d/jupiter.json": b'{"JUPITER_FROM": "env_vars.d"}',
            "bin/.jupiter-post-link.sh": LINKED,
        },
        executable={"bin/jupiter"},
    )
    make(root / "planets", [jupiter])


def stopping(root: Path) -> None:
    """A channel whose Python cannot run, and `stops` and `links`, which wait where they are activated or linked."""
    script = b"echo stopped; kill -STOP $$\n"
    stops = Package("stops", noarch="generic", files={"etc/conda/activate.d/stops.sh": script})
    packages = [Package(name, noarch="generic", depends=["python"]) for name in ("ipykernel", "pip")]
    packages.append(Package("links", noarch="generic", files={"bin/.links-post-link.sh": script}))
    packages += [Package(f"moon{number}", noarch="generic", depends=["python"]) for number in range(MOONS)]
    make(root / "conda-forge", [empty_python(VERSION), *packages, stops])


def empty_python(version: str) -> Package:
    """A python that cannot run, for those who only want to know which one is taken."""
    minor = ".".join(version.split(".")[:2])
    files: dict[str, bytes | str] = {
        "bin/python": f"python{minor}",
        f"bin/python{minor}": b"#!/bin/sh\n",
        f"lib/python{minor}/site-packages/README": b"",
    }
    more = {"python_site_packages_path": f"lib/python{minor}/site-packages"}
    return Package("python", version, files=files, executable={f"bin/python{minor}"}, more=more)


def small(root: Path) -> None:
    """Channels of packages without content, for decisions, and one of hostile ones."""
    names = ("ipykernel", "pip")
    make(
        root / "conda-forge",
        [
            *(empty_python(version) for version in ("3.8.20", "3.11.9", "3.12.4", "3.13.1")),
            *(Package(name, noarch="generic", depends=["python"]) for name in names),
            *(Package(name, version, noarch="generic") for name in ("moon", "requests") for version in ("1.0", "2.0")),
            Package("old-web", noarch="generic", more={"constrains": ["requests <1"]}),
            Package("needs-one", noarch="generic", depends=["moon 1.*"]),
            Package("needs-two", noarch="generic", depends=["moon 2.*"]),
            Package("needs-nothing-there", noarch="generic", depends=["nowhere 1.*"]),
            Package("needs-cuda", noarch="generic", depends=["__cuda >=12"]),
            Package("old", "1.16", "py38_0", depends=["python >=3.8,<3.9"]),
            Package("appnope", "0.1.2", "py39h6e9494a_1", subdir="osx-64"),
        ],
    )
    make(root / "other", [Package("moon", "9.0", noarch="generic"), Package("comet", noarch="generic")])
    make(root / "hostile", hostile())


def hostile() -> Sequence[Package]:
    """Each names a file that is not its own."""

    def listing(*names: str) -> Sequence[Mapping[str, Any]]:
        told = {"path_type": "hardlink", "sha256": hashlib.sha256(b"x").hexdigest(), "size_in_bytes": 1}
        return [{"_path": name, **told} for name in names]

    x: dict[str, bytes | str] = {"share/x": b"x"}
    behind: dict[str, bytes | str] = {"share/etc": "/etc", "share/x": b"x"}
    return [
        Package("absolute", noarch="generic", files=x, paths=listing("/tmp/perijove-was-here")),
        Package("above", noarch="generic", files=x, paths=listing("../../../was-here")),
        Package("beside", noarch="generic", files=x, paths=listing("../moon-1.0-0/share/x")),
        Package("behind-a-link", noarch="generic", files=behind, paths=listing("share/etc/passwd")),
        Package("is-a-link", noarch="generic", files={"share/x": "/etc/passwd"}, paths=listing("share/x")),
        Package("info-behind-a-link", noarch="generic", files={"info/link.json": "/etc/passwd"}, paths=listing()),
        Package("odd-build", noarch="generic", more={"build": "../../x"}),
        Package("odd-program", noarch="python", entry_points=["../../x = a:b"]),
        Package("python", "3.99.0", more={"python_site_packages_path": "../../../x"}),
        Package("many-files", noarch="generic", files={f"share/many/{number}": b"" for number in range(3000)}),
        Package("large", noarch="generic", files={"share/large": bytes(80 * 1024**2)}),
        Package("links-out", noarch="generic", files={"share": "/tmp/perijove-links-out"}),
    ]


if __name__ == "__main__":
    {"channels": channels, "small": small, "stopping": stopping}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # rattler dies now and then of its own threads when Python ends
