"""Files that authors may write, launched at a real service: each is refused by name, as theirs, and nobody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, running

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
FILES = {
    "spaces": {"requirements.txt": "a" + " " * 1_000_000 + "b"},
    "many lines": {"requirements.txt": "six\n" * 200_000},
    "many extras": {"requirements.txt": "six[" + ",".join(["a"] * 200_000) + "]"},
    "a NUL in a path": {"requirements.txt": "-r more\0.txt"},
    "an endless chain of files": {"requirements.txt": "-r requirements.txt"},
    "nested tables": {"pyproject.toml": "x = " + "[" * 5000 + "]" * 5000},
    "a number of many digits": {"pyproject.toml": "x = " + "9" * 100_000},
    "a version of many digits": {"runtime.txt": "python-" + "9" * 100_000},
    "many clauses": {"pyproject.toml": "[project]\nrequires-python = '" + ",".join([">=3.1"] * 100_000) + "'"},
    "a table where a list belongs": {"pyproject.toml": "[project]\ndependencies = {a = 1}\ndynamic = 7"},
    "no text at all": {"requirements.txt": "\udcff\udcfe" * 1000},
}


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


class Watch:
    """How long /health took at most while the block lasted."""

    def __init__(self, url: str) -> None:
        self.slowest = 0.0
        self._url = f"{url}health"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            httpx.get(self._url, trust_env=False, timeout=60)
            self.slowest = max(self.slowest, time.monotonic() - began)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize("name", FILES)
def test_it_is_the_authors_and_nobody_waits(service: Service, tmp_path: Path, name: str) -> None:
    for file, text in FILES[name].items():
        (tmp_path / file).write_text(text, "utf-8", "surrogateescape")
    with Watch(service.url) as watch:
        began = time.monotonic()
        failed = service.launch(str(tmp_path), fails=True)[-1]["event"]["failure"]
        took = time.monotonic() - began
    assert failed["kind"] == "build.bad-file", failed
    assert took < 30
    assert watch.slowest < 5
