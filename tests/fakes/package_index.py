"""A package index on loopback, and wheels for it."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path


def wheel(folder: Path, name: str, version: str, code: str, more: str = "", record: str = "") -> Path:
    """A wheel of one module, with whatever record of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", code)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", record)
    return path


@dataclass
class Index:
    """A package index on loopback, and what it was asked for; what it does not have it never answers."""

    folder: Path
    asked: list[str] = field(default_factory=list)
    url: str = ""
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once somebody waits for what never comes."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := (await reader.readuntil(b"\r\n\r\n")).decode():
                path = request.split()[1]
                self.asked.append(path)
                parts = path.strip("/").split("/")
                if path.endswith(".whl"):
                    body, kind = (self.folder / parts[-1]).read_bytes(), "application/octet-stream"
                elif found := sorted(self.folder.glob(f"{parts[-1]}-*.whl")):
                    body, kind = "".join(f"<a href='/{f.name}'>{f.name}</a>" for f in found).encode(), "text/html"
                elif parts[-1].startswith("silent"):
                    self.waits.set()
                    await reader.read()
                    return
                else:
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    continue
                head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + (b"" if request.startswith("HEAD") else body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Index]:
    """An index of the wheels in a folder, as they are when it is asked."""
    index = Index(folder)
    index.folder.mkdir()
    server = await asyncio.start_server(index.answer, "127.0.0.1", 0)
    index.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/simple"
    yield index
    server.close()
