"""Names in requirements that are no packages: modules of Python itself, and names of imports. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace

from perijove.domain.failures import Failure
from perijove.launching.build.leftovers import listed

STANDARD = frozenset(name.lower() for name in sys.stdlib_module_names)
ON_INDEX = frozenset(
    (
        *("argparse", "asyncio", "configparser", "contextvars", "dataclasses", "enum", "graphlib", "html", "numbers"),
        *("pathlib", "selectors", "statistics", "tomllib", "typing", "uuid", "wsgiref", "zipapp", "zoneinfo"),
    )
)
"""Standard modules whose names are packages too, of times when Python did not have them yet."""
ON_A_DISPLAY = ("tkinter", "turtle", "turtledemo", "idlelib")
"""Those that draw in windows."""
MEANT = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "mpl-toolkits": "matplotlib",
    "pil": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""The package of an import that is named otherwise."""


def explained(failure: Failure, names: Iterable[str], requirements: Iterable[str]) -> Failure:
    """A failure over `names`, as what they are. All standard modules among `requirements` are named with the first."""
    found = sorted({_plain(name) for name in names})
    if any(name in STANDARD for name in found):
        modules = dict.fromkeys(name for line in requirements if (name := _plain(line)) in STANDARD - ON_INDEX)
        told = listed([*modules] or found)
        several = len(modules) > 1
        cause = f"{told} {'come' if several else 'comes'} with Python"
        remedy = f"Remove {'these lines' if several else 'this line'}: {told}."
        if drawing := [name for name in modules or found if name in ON_A_DISPLAY]:
            remedy += f" A session has no display: {listed(drawing)} cannot open windows there."
        return replace(failure, cause=cause, remedy=remedy)
    if meant := {name: MEANT[name] for name in found if name in MEANT}:
        remedy = "; ".join(f"write {right} instead of {name}" for name, right in meant.items())
        return replace(failure, remedy=f"{remedy[0].upper()}{remedy[1:]}.")
    return failure


def _plain(line: str) -> str:
    """A requirement's name as the index spells it, but for what is a module's name as it is."""
    found = re.match(r"[A-Za-z0-9_][\w.-]{0,100}", line.strip())
    return re.sub(r"[-.]+", "-", found[0]).lower() if found else ""
