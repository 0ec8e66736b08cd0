"""How operators write a repository of a registry, and where it answers then."""

from __future__ import annotations

import time

import pytest

from perijove.backends.registry.addresses import repository


@pytest.mark.parametrize(
    ("named", "address", "image"),
    [
        ("ghcr.io/moons/io", "https://ghcr.io/v2/moons/io", "ghcr.io/moons/io"),
        ("docker.io/moons/io", "https://registry-1.docker.io/v2/moons/io", "docker.io/moons/io"),
        ("Registry.Example:5000/a/b/c", "https://registry.example:5000/v2/a/b/c", "registry.example:5000/a/b/c"),
        ("http://registry:5000/io", "http://registry:5000/v2/io", "registry:5000/io"),
        ("localhost:5000/io", "http://localhost:5000/v2/io", "localhost:5000/io"),
        ("127.0.0.1:5000/io", "http://127.0.0.1:5000/v2/io", "127.0.0.1:5000/io"),
        ("[::1]:5000/io", "http://[::1]:5000/v2/io", "[::1]:5000/io"),
        ("https://localhost/io", "https://localhost/v2/io", "localhost/io"),
        ("localhost.example/io", "https://localhost.example/v2/io", "localhost.example/io"),
        ("r.example/a__b/c-d.e", "https://r.example/v2/a__b/c-d.e", "r.example/a__b/c-d.e"),
    ],
)
def test_it_answers_there(named: str, address: str, image: str) -> None:
    found = repository(named)
    assert found is not None
    assert (found.address, found.image) == (address, image)


@pytest.mark.parametrize(
    "named",
    [
        *(
            "",
            "registry",
            "registry/",
            "registry/Upper",
            "registry/a//b",
            "registry/a/",
            "registry/../a",
            "registry/a:tag",
        ),
        *(
            "ftp://r/a",
            "user:password@r/a",
            "r/a?x",
            "r /a",
            "r/a\n",
            "r:port/a",
            "r/a_",
            "r/a___b",
            "/a",
            "r:123456/a",
        ),
    ],
)
def test_anything_else_is_none(named: str) -> None:
    assert repository(named) is None


def test_what_is_long_takes_no_longer_to_be_refused() -> None:
    began = time.process_time()
    assert repository("r/" + "a-" * 100_000) is None
    assert repository("r/" + "a-" * 120) is None
    assert repository("a." * 120 + "/") is None
    assert time.process_time() - began < 1
