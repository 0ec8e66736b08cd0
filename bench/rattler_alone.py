"""py-rattler by itself: `python -m bench.rattler_alone MIRROR CACHE AT SPEC…` decides on packages and links them.

Prints the seconds that both took, without the start of Python and the import.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from rattler import Channel, Gateway, MatchSpec, VirtualPackage, install, solve
from rattler.networking import Client, MirrorMiddleware


async def main(mirror: str, cache: Path, at: Path, *specs: str) -> None:
    """Solve and install, as its documentation does."""
    client = Client([MirrorMiddleware({"https://conda.anaconda.org/conda-forge/": [mirror]})])
    records = await solve(
        [Channel("conda-forge")],
        [MatchSpec(text) for text in specs],
        gateway=Gateway(cache_dir=cache / "lists", client=client),
        virtual_packages=VirtualPackage.detect(),
    )
    await install(records, at, cache_dir=cache / "packages", client=client, show_progress=False)


if __name__ == "__main__":
    began = time.monotonic()
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:]))
    print(time.monotonic() - began, flush=True)
    os._exit(0)  # rattler dies now and then of its own threads when Python ends
