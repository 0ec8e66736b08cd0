"""What a session opens: a relative path, never another site."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest

from perijove.launching.resolve.urlpath import opened_file, relative_urlpath, view_and_file


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({}, ""),
        ({"labpath": "index.ipynb"}, "doc/tree/index.ipynb"),
        ({"labpath": "/a b/ü.ipynb/"}, "doc/tree/a%20b/%C3%BC.ipynb"),
        ({"filepath": "index.ipynb"}, "tree/index.ipynb"),
        ({"labpath": "a", "filepath": "b", "urlpath": "c"}, "doc/tree/a"),
        ({"filepath": "b", "urlpath": "c"}, "tree/b"),
        ({"urlpath": "/lab/tree/x.ipynb?reset"}, "lab/tree/x.ipynb?reset"),
        ({"urlpath": "/doc/tree/x.ipynb"}, "doc/tree/x.ipynb"),
        (
            {"urlpath": "git-pull?repo=https://github.com/o/r&urlpath=tree/r/a.ipynb&branch=main"},
            "git-pull?repo=https://github.com/o/r&urlpath=tree/r/a.ipynb&branch=main",
        ),
        ({"urlpath": "proxy/8888/"}, "proxy/8888/"),
        ({"urlpath": "lab#section"}, "lab#section"),
        ({"labpath": "50%.ipynb"}, "doc/tree/50%25.ipynb"),
        ({"labpath": "what?.ipynb"}, "doc/tree/what%3F.ipynb"),
    ],
)
def test_a_query_opens(query: dict[str, str], path: str) -> None:
    assert relative_urlpath(query) == path


HOSTILE = [
    "http://evil.example/x",
    "HTTPS://evil.example",
    "//evil.example/x",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\tscript:alert(1)",
    " javascript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,x",
    "javascript%3Aalert(1)",
    "../other/lab",
    "a/../../other",
    "%2e%2e/other",
    "a/%2e%2e/%2E%2E/other",
    "..%2fother",
    "..",
    "lab\r\nLocation: http://evil.example",
    "lab\\..\\..\\x",
    "x" * 5000,
    "/ //evil.example",
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("field", ["urlpath", "labpath", "filepath"])
def test_nothing_leads_out_of_the_session(field: str, hostile: str) -> None:
    base = "https://binder.example/user/u/"
    target = relative_urlpath({field: hostile})
    assert not target.startswith(("/", "\\"))
    for joined in (base + target, urljoin(base, target)):
        assert urlsplit(joined).netloc == "binder.example"
        assert urlsplit(urljoin(base, urlsplit(joined).path)).path.startswith("/user/u/")


def test_a_folder_and_a_file_open_in_their_views() -> None:
    assert opened_file("lab/tree", "sub/") == "lab/tree/sub"
    assert opened_file("doc/tree", "../x") == ""


@pytest.mark.parametrize(
    ("urlpath", "found"),
    [
        ("doc/tree/a%20b.ipynb", ("doc/tree", "a b.ipynb")),
        ("lab/tree/sub/x.md?reset#top", ("lab/tree", "sub/x.md")),
        ("tree/", ("", "")),
        ("lab", ("", "")),
        ("git-pull?repo=x&urlpath=tree/y", ("", "")),
        ("nbclassic/notebooks/a/x.ipynb", ("nbclassic/notebooks", "a/x.ipynb")),
        ("retro/notebooks/x.ipynb", ("retro/notebooks", "x.ipynb")),
    ],
)
def test_the_repository_s_file_that_a_path_opens(urlpath: str, found: tuple[str, str]) -> None:
    assert view_and_file(urlpath) == found
