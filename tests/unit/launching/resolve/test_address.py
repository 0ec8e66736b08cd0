"""Launch links and addresses, both ways."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from perijove.domain.failures import Fail
from perijove.domain.nouns import RepoAddress, ResolvedRepo
from perijove.launching.resolve.address import (
    PROVIDERS,
    badge_markdown,
    badge_rst,
    from_launch_path,
    from_place,
    launch_link,
    local_folder,
    persistent_path,
)

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("path", "spec", "url", "ref", "name"),
    [
        pytest.param("gh/o/r/HEAD", "o/r/HEAD", "https://github.com/o/r", "HEAD", "r", id="GitHub"),
        pytest.param("gh/o/r/HEAD/", "o/r/HEAD", "https://github.com/o/r", "HEAD", "r", id="a slash too many"),
        pytest.param("gh/o/r.git/main", "o/r/main", "https://github.com/o/r", "main", "r", id=".git of the repository"),
        pytest.param("gh/o/r/a/b/c", "o/r/a/b/c", "https://github.com/o/r", "a/b/c", "r", id="slashes in the ref"),
        pytest.param("gh/o/r/a%2Fb", "o/r/a/b", "https://github.com/o/r", "a/b", "r", id="an encoded slash in the ref"),
        pytest.param(
            "gh/o/r/gr%C3%B6%C3%9Fe",
            "o/r/gr%C3%B6%C3%9Fe",
            "https://github.com/o/r",
            "größe",
            "r",
            id="a ref not ASCII",
        ),
        pytest.param("gh/O-1/r.x_y/v1.0", "O-1/r.x_y/v1.0", "https://github.com/O-1/r.x_y", "v1.0", "r.x_y", id="dots"),
        pytest.param("gh/o/r/a%23b", "o/r/a%23b", "https://github.com/o/r", "a#b", "r", id="a # in the ref"),
        pytest.param(
            "gist/u/0123456789abcdef",
            "u/0123456789abcdef/HEAD",
            "https://gist.github.com/u/0123456789abcdef.git",
            "HEAD",
            "0123456789abcdef",
            id="a gist",
        ),
        pytest.param(
            f"gist/u/0123456789abcdef/{SHA}",
            f"u/0123456789abcdef/{SHA}",
            "https://gist.github.com/u/0123456789abcdef.git",
            SHA,
            "0123456789abcdef",
            id="a gist's version",
        ),
        pytest.param("gl/g%2Fp/main", "g%2Fp/main", "https://gitlab.com/g/p.git", "main", "p", id="GitLab"),
        pytest.param(
            "gl/g%2Fs%2Fp/a/b", "g%2Fs%2Fp/a/b", "https://gitlab.com/g/s/p.git", "a/b", "p", id="a GitLab subgroup"
        ),
        pytest.param("gl/g/p/main", "g%2Fp/main", "https://gitlab.com/g/p.git", "main", "p", id="GitLab, decoded"),
        pytest.param(
            "git/https%3A%2F%2Fx.org%2Fa%2Fr.git/v1",
            "https%3A%2F%2Fx.org%2Fa%2Fr.git/v1",
            "https://x.org/a/r.git",
            "v1",
            "r",
            id="any git",
        ),
        pytest.param(
            "git/https%3A%2F%2Fx.org%2Fr/feature/x",
            "https%3A%2F%2Fx.org%2Fr/feature/x",
            "https://x.org/r",
            "feature/x",
            "r",
            id="any git, slashes in the ref",
        ),
        pytest.param(
            "git/git%40x.org%3Ao%2Fr.git/HEAD",
            "ssh%3A%2F%2Fgit%40x.org%2Fo%2Fr.git/HEAD",
            "ssh://git@x.org/o/r.git",
            "HEAD",
            "r",
            id="ssh in its short form",
        ),
        pytest.param(
            "git/https://x.org/r.git/a/b",
            "https%3A%2F%2Fx.org%2Fr.git/a/b",
            "https://x.org/r.git",
            "a/b",
            "r",
            id="any git, decoded",
        ),
        pytest.param(
            "git/http%3A%2F%2F%5B2606%3A%3A1%5D%3A8080%2Fr/HEAD",
            "http%3A%2F%2F%5B2606%3A%3A1%5D%3A8080%2Fr/HEAD",
            "http://[2606::1]:8080/r",
            "HEAD",
            "r",
            id="an IPv6 host",
        ),
    ],
)
def test_a_launch_path_means(path: str, spec: str, url: str, ref: str, name: str) -> None:
    address = from_launch_path(path)
    assert address == RepoAddress(path.partition("/")[0], spec, url, ref, name)
    assert from_launch_path(address.path.removeprefix("v2/")) == address


@pytest.mark.parametrize(
    "path", ["gh/o/r/main", "gl/g%2Fp/a/b", "gist/u/abcde", "gh/o/r/gr%C3%B6%C3%9Fe", "gh/o/r/a%23b"]
)
def test_a_persistent_path_is_the_same_repository_at_the_commit(path: str) -> None:
    address = from_launch_path(path)
    again = from_launch_path(persistent_path(ResolvedRepo(address, SHA, "refs/heads/x")).removeprefix("v2/"))
    assert (again.url, again.ref) == (address.url, SHA)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("gh/o/r", 'Did you mean "gh/o/r/HEAD"?'),
        ("gh/o/r/", 'Did you mean "gh/o/r/HEAD"?'),
        ("gh/o/r.git", 'Did you mean "gh/o/r/HEAD"?'),
        ("gl/g%2Fp", 'Did you mean "gl/g%2Fp/HEAD"?'),
        ("gl/g/p", 'Did you mean "gl/g%2Fp/HEAD"?'),
        ("git/https%3A%2F%2Fx.org%2Fr", 'Did you mean "git/https%3A%2F%2Fx.org%2Fr/HEAD"?'),
    ],
)
def test_a_link_without_a_ref_fails_with_the_right_form(path: str, hint: str) -> None:
    with pytest.raises(Fail) as caught:
        from_launch_path(path)
    assert (caught.value.failure.kind.code, caught.value.failure.remedy) == ("resolve.bad-link", hint)


def _git(url: str) -> str:
    return f"git/{quote(url, safe='')}/HEAD"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param("", "resolve.unknown-provider", id="nothing"),
        pytest.param("zz/o/r/HEAD", "resolve.unknown-provider", id="an unknown provider"),
        pytest.param("local/etc", "resolve.unknown-provider", id="a visitor's local folder"),
        pytest.param("gh/o", "resolve.bad-link", id="no repository"),
        pytest.param("gh/-o/r/HEAD", "resolve.bad-link", id="an owner like an option"),
        pytest.param("gh/o/../HEAD", "resolve.bad-link", id="a repository that is its parent"),
        pytest.param("gh/o/r/--upload-pack=x", "resolve.bad-link", id="a ref like an option"),
        pytest.param("gh/o/r/a..b", "resolve.bad-link", id="a range"),
        pytest.param("gh/o/r/a%0Ab", "resolve.bad-link", id="a line break"),
        pytest.param("gh/o/r/a%00b", "resolve.bad-link", id="a zero"),
        pytest.param("gh/o/r/HEAD~1", "resolve.bad-link", id="an expression"),
        pytest.param("gh/o/r/a@{1}", "resolve.bad-link", id="a reflog"),
        pytest.param("gh/o/r/" + "a" * 300, "resolve.bad-link", id="a ref too long"),
        pytest.param("gh/o/r/" + "a" * 3000, "resolve.bad-link", id="a link too long"),
        pytest.param("gh/o/r/%ff", "resolve.bad-link", id="a ref that is no UTF-8"),
        pytest.param("gist/u/nothex", "resolve.bad-link", id="no gist"),
        pytest.param("gl/p/", "resolve.bad-link", id="no namespace"),
        pytest.param("gl/-a%2Fp/HEAD", "resolve.bad-link", id="a namespace like an option"),
        pytest.param(_git("file:///etc"), "resolve.forbidden-address", id="a file"),
        pytest.param(_git("/etc"), "resolve.forbidden-address", id="a path"),
        pytest.param(_git("ext::sh -c x"), "resolve.bad-link", id="a command with spaces"),
        pytest.param(_git("ext::sh"), "resolve.forbidden-address", id="a command"),
        pytest.param(_git("fd::1"), "resolve.forbidden-address", id="a file descriptor"),
        pytest.param(_git("ftp://x.org/r"), "resolve.forbidden-address", id="ftp"),
        pytest.param(_git("--upload-pack=x"), "resolve.forbidden-address", id="an option"),
        pytest.param(_git("ssh://-oProxyCommand=x/r"), "resolve.bad-link", id="a host like an option"),
        pytest.param(_git("ssh://-l@x.org/r"), "resolve.forbidden-address", id="a user like an option"),
        pytest.param(_git("-o@x.org:r"), "resolve.forbidden-address", id="a short user like an option"),
        pytest.param(_git("https://u:p@x.org/r"), "resolve.forbidden-address", id="a password"),
        pytest.param(_git("https://token@x.org/r"), "resolve.forbidden-address", id="a token"),
        pytest.param(_git("ssh://git:p@x.org/r"), "resolve.forbidden-address", id="a password for ssh"),
        pytest.param(_git("https://x.org"), "resolve.bad-link", id="no path"),
        pytest.param(_git("https:///r"), "resolve.bad-link", id="no host"),
        pytest.param(_git("https://x.org:99999/r"), "resolve.bad-link", id="no such port"),
        pytest.param(_git("https://[::1/r"), "resolve.bad-link", id="half an IPv6 host"),
        pytest.param(_git("https://x.org/r?token=s"), "resolve.bad-link", id="a query"),
        pytest.param(_git("https://x.org/a/../r"), "resolve.bad-link", id="a way up"),
        pytest.param(_git("https://x.org\\@y.org/r"), "resolve.forbidden-address", id="a backslash"),
        pytest.param(_git("https://x.org/r\x1b[2J"), "resolve.bad-link", id="an escape"),
    ],
)
def test_a_bad_link_is_refused(path: str, code: str) -> None:
    with pytest.raises(Fail) as caught:
        from_launch_path(path)
    failure = caught.value.failure
    assert failure.kind.code == code
    assert failure.evidence
    assert all(each.saw.isprintable() and len(each.saw) < 300 for each in failure.evidence)


def test_a_secret_in_a_link_is_in_nothing_that_is_told() -> None:
    with pytest.raises(Fail) as caught:
        from_launch_path(_git("https://me:hunter2@x.org/r"))
    assert "hunter2" not in repr(caught.value.failure)


def test_a_place_and_a_ref_make_an_address() -> None:
    assert from_place("gh", "o/r", "größe/x") == from_launch_path("gh/o/r/gr%C3%B6%C3%9Fe/x")


def test_a_folder_of_the_operators_is_an_address_without_a_ref() -> None:
    address = local_folder(Path("/srv/my work"))
    assert address == RepoAddress("local", "srv/my%20work", "/srv/my work", "", "my work")
    assert ResolvedRepo(address, SHA, "").persistent_spec == SHA


def test_links_and_badges_are_written_back() -> None:
    base, path = "https://b.example/", "v2/gh/o/r/HEAD"
    link = "https://b.example/v2/gh/o/r/HEAD?urlpath=doc%2Ftree%2Fx.ipynb"
    assert launch_link(base, path) == "https://b.example/v2/gh/o/r/HEAD"
    assert launch_link(base, path, "doc/tree/x.ipynb") == link
    assert badge_markdown(base, path, "doc/tree/x.ipynb") == f"[![Binder](https://b.example/badge_logo.svg)]({link})"
    assert badge_rst(base, path, "doc/tree/x.ipynb").splitlines()[1] == f" :target: {link}"


def test_the_form_is_told_of_each_provider_as_clients_expect() -> None:
    assert list(PROVIDERS) == ["gh", "gist", "git", "gl"]
    for provider in PROVIDERS.values():
        assert provider.display["id"] == provider.id
        assert provider.display["ref"] == {"enabled": True, "default": "HEAD"}
        assert set(provider.display["repo"]) == {"label", "placeholder", "urlEncode"}
    assert PROVIDERS["gh"].display["detect"] == {"regex": "^(https?://github.com/)?(?<repo>.*[^/])/?"}
    assert "detect" not in PROVIDERS["git"].display
