"""What people paste."""

from __future__ import annotations

import time

import pytest

from perijove.domain.failures import Fail
from perijove.launching.resolve.giturl import submodule_url
from perijove.launching.resolve.pasted import pasted

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "path", "urlpath"),
    [
        ("gh/o/r/main", "gh/o/r/main", ""),
        ("/v2/gh/o/r/main", "gh/o/r/main", ""),
        ("v2/gh/o/r/main?labpath=a.ipynb", "gh/o/r/main", "doc/tree/a.ipynb"),
        ("https://mybinder.org/v2/gh/o/r/main?urlpath=lab%2Ftree%2Fa.ipynb", "gh/o/r/main", "lab/tree/a.ipynb"),
        ("https://x.org/base/v2/gl/g%2Fp/main?filepath=a.ipynb", "gl/g%2Fp/main", "tree/a.ipynb"),
        ("https://x.org/v2/gh/o/r/main?urlpath=http://evil/", "gh/o/r/main", ""),
        ("https://x.org/v2/git/https%3A%2F%2Fy.org%2Fr/HEAD", "git/https%3A%2F%2Fy.org%2Fr/HEAD", ""),
        (" https://github.com/o/r ", "gh/o/r/HEAD", ""),
        ("https://github.com/o/r/", "gh/o/r/HEAD", ""),
        ("http://www.github.com/o/r", "gh/o/r/HEAD", ""),
        ("github.com/o/r", "gh/o/r/HEAD", ""),
        ("https://github.com/o/r.git", "gh/o/r/HEAD", ""),
        ("https://github.com/o/r.git@v1", "gh/o/r/v1", ""),
        ("https://github.com/o/r@feature", "gh/o/r/feature", ""),
        ("https://github.com/o/r.git@feature/x", "gh/o/r/feature/x", ""),
        ("git+https://github.com/o/r.git@feature/x#egg=r", "gh/o/r/feature/x", ""),
        ("https://github.com/o/r?tab=readme-ov-file#x", "gh/o/r/HEAD", ""),
        ("https://github.com/o/r/tree/dev", "gh/o/r/dev", ""),
        ("https://github.com/o/r/tree/dev/sub/dir", "gh/o/r/dev", "lab/tree/sub/dir"),
        ("https://github.com/o/r/tree/a%2Fb/sub", "gh/o/r/a/b", "lab/tree/sub"),
        ("https://github.com/o/r/blob/dev/a/b%20c.ipynb", "gh/o/r/dev", "doc/tree/a/b%20c.ipynb"),
        (f"https://github.com/o/r/commit/{SHA}", f"gh/o/r/{SHA}", ""),
        ("https://github.com/o/r/releases/tag/v1", "gh/o/r/v1", ""),
        ("https://github.com/o/r/releases/tag/week/1", "gh/o/r/week/1", ""),
        ("https://github.com/o/r/releases/tag/week%2F1", "gh/o/r/week/1", ""),
        ("https://github.com/o/r/pull/new/feature/x", "gh/o/r/feature/x", ""),
        ("https://github.com/o/r/blob/refs/heads/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://github.com/o/r/pull/5/files", "gh/o/r/refs/pull/5/head", ""),
        ("https://github.com/o/r/releases", "gh/o/r/HEAD", ""),
        ("https://github.com/o/r/blob/main/week 1/nb.ipynb", "gh/o/r/main", "doc/tree/week%201/nb.ipynb"),
        ("https://github.com/o/r/blob/main/دفتر.ipynb", "gh/o/r/main", "doc/tree/%D8%AF%D9%81%D8%AA%D8%B1.ipynb"),
        ("https://github.com/o/r/raw/main/nb.ipynb?raw=true#L3", "gh/o/r/main", "doc/tree/nb.ipynb"),
        ("https://gitlab.com/g/p/-/merge_requests/7/diffs", "gl/g%2Fp/refs/merge-requests/7/head", ""),
        (
            "https://codeberg.org/o/r/src/branch/main/nb.ipynb",
            "git/https%3A%2F%2Fcodeberg.org%2Fo%2Fr/main",
            "doc/tree/nb.ipynb",
        ),
        ("https://gitea.example.org/o/r/src/tag/v1/x", "git/https%3A%2F%2Fgitea.example.org%2Fo%2Fr/v1", "lab/tree/x"),
        ("https://gitea.example.org/o/r/pulls/4", "git/https%3A%2F%2Fgitea.example.org%2Fo%2Fr/refs/pull/4/head", ""),
        (
            "https://gitea.example.org/o/r/releases/tag/week/1",
            "git/https%3A%2F%2Fgitea.example.org%2Fo%2Fr/week/1",
            "",
        ),
        (
            "https://gitea.example.org/o/r/commits/branch/feature/x",
            "git/https%3A%2F%2Fgitea.example.org%2Fo%2Fr/feature/x",
            "",
        ),
        ("https://bitbucket.org/o/r/branch/feature/x", "git/https%3A%2F%2Fbitbucket.org%2Fo%2Fr/feature/x", ""),
        ("https://bitbucket.org/o/r/commits/branch/feature/x", "git/https%3A%2F%2Fbitbucket.org%2Fo%2Fr/feature/x", ""),
        (
            "https://bitbucket.org/o/r/src/main/nb.ipynb",
            "git/https%3A%2F%2Fbitbucket.org%2Fo%2Fr/main",
            "doc/tree/nb.ipynb",
        ),
        ("https://bitbucket.org/o/r", "git/https%3A%2F%2Fbitbucket.org%2Fo%2Fr/HEAD", ""),
        ("https://github.example.edu/o/r/tree/main", "git/https%3A%2F%2Fgithub.example.edu%2Fo%2Fr/main", ""),
        ("https://colab.research.google.com/github/o/r/blob/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://nbviewer.org/github/o/r/blob/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://nbviewer.org/urls/raw.githubusercontent.com/o/r/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://raw.githubusercontent.com/o/r/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://raw.githubusercontent.com/o/r/refs/heads/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://github.dev/o/r", "gh/o/r/HEAD", ""),
        ("[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/o/r/HEAD)", "gh/o/r/HEAD", ""),
        (".. image:: https://mybinder.org/b.svg\n :target: https://mybinder.org/v2/gh/o/r/HEAD\n", "gh/o/r/HEAD", ""),
        ('<a href="https://mybinder.org/v2/gh/o/r/HEAD"><img src="x"></a>', "gh/o/r/HEAD", ""),
        ('"https://github.com/o/r",', "gh/o/r/HEAD", ""),
        ("<https://github.com/o/r>", "gh/o/r/HEAD", ""),
        ("git clone --depth 1 https://github.com/o/r.git folder", "gh/o/r/HEAD", ""),
        ("git clone -b dev https://github.com/o/r", "gh/o/r/dev", ""),
        ("git clone --branch=feature/x https://github.com/o/r", "gh/o/r/feature/x", ""),
        ('<a href="https://x.org/v2/gh/o/r/HEAD?filepath=a&amp;b=c">', "gh/o/r/HEAD", "tree/a"),
        (".. |Binder| image:: https://x.org/b.svg\n   :target: https://x.org/v2/gh/o/r/HEAD", "gh/o/r/HEAD", ""),
        ('[![Binder](https://x.org/b.svg)](https://x.org/v2/gh/o/r/HEAD "Binder")', "gh/o/r/HEAD", ""),
        ("[![Binder](https://img.shields.io/badge/b-579aca)](https://github.com/o/r)", "gh/o/r/HEAD", ""),
        ("[[https://x.org/v2/gh/o/r/HEAD][https://x.org/b.svg]]", "gh/o/r/HEAD", ""),
        ("image:https://x.org/b.svg[link=https://x.org/v2/gh/o/r/HEAD]", "gh/o/r/HEAD", ""),
        ("[binder]: https://x.org/v2/gh/o/r/HEAD", "gh/o/r/HEAD", ""),
        ("Our notebooks (https://github.com/o/r).", "gh/o/r/HEAD", ""),
        ("[nb](https://github.com/o/r/blob/main/a(1).ipynb)", "gh/o/r/main", "doc/tree/a(1).ipynb"),
        ("pip install git+https://github.com/o/r@main", "gh/o/r/main", ""),
        ("git+https://github.com/o/r.git", "gh/o/r/HEAD", ""),
        ("gh repo clone o/r", "gh/o/r/HEAD", ""),
        ("git clone https://github.com/o/r --branch=dev", "gh/o/r/dev", ""),
        ("git clone git@x.org:o/r.git", "git/ssh%3A%2F%2Fgit%40x.org%2Fo%2Fr.git/HEAD", ""),
        ("o/r", "gh/o/r/HEAD", ""),
        ("o/r@feature/x", "gh/o/r/feature/x", ""),
        ("gh/o/r/feature/x", "gh/o/r/feature/x", ""),
        ("https://mybinder.org/v2/gh/o/r/feature/x", "gh/o/r/feature/x", ""),
        ("https://mybinder.org/v2/gl/g%2Fp/feature/x", "gl/g%2Fp/feature/x", ""),
        ("gh/o/r", "gh/o/r/HEAD", ""),
        ("gl/g/p", "gl/g%2Fp/HEAD", ""),
        ("gl/g%2Fs%2Fp", "gl/g%2Fs%2Fp/HEAD", ""),
        ("git/https%3A%2F%2Fx.org%2Fr", "git/https%3A%2F%2Fx.org%2Fr/HEAD", ""),
        ("x.org/o/r", "git/https%3A%2F%2Fx.org%2Fo%2Fr/HEAD", ""),
        (
            "https://gist.github.com/0123456789abcdef01234567",
            "git/https%3A%2F%2Fgist.github.com%2F0123456789abcdef01234567.git/HEAD",
            "",
        ),
        ("https://gist.github.com/u/0123456789abcdef", "gist/u/0123456789abcdef/HEAD", ""),
        (f"https://gist.github.com/u/abcdef01/{SHA}", f"gist/u/abcdef01/{SHA}", ""),
        ("https://gitlab.com/g/s/p", "gl/g%2Fs%2Fp/HEAD", ""),
        ("https://gitlab.com/g/p.git@v2", "gl/g%2Fp/v2", ""),
        ("https://gitlab.com/g/p/-/tags/week/1", "gl/g%2Fp/week/1", ""),
        ("https://gitlab.com/g/p/-/tags/week%2F1", "gl/g%2Fp/week/1", ""),
        ("https://gitlab.com/g/p/-/tree/dev/sub?ref_type=heads", "gl/g%2Fp/dev", "lab/tree/sub"),
        ("https://gitlab.com/g/p/-/blob/dev/x.ipynb", "gl/g%2Fp/dev", "doc/tree/x.ipynb"),
        (f"https://gitlab.com/g/p/-/commit/{SHA}", f"gl/g%2Fp/{SHA}", ""),
        ("https://git.x.org/g/p/-/blob/dev/x.ipynb", "git/https%3A%2F%2Fgit.x.org%2Fg%2Fp.git/dev", "doc/tree/x.ipynb"),
        ("https://x.org/r.git", "git/https%3A%2F%2Fx.org%2Fr.git/HEAD", ""),
        ("https://x.org/r.git@v1/a", "git/https%3A%2F%2Fx.org%2Fr.git/v1/a", ""),
        ("http://127.0.0.1:8000/r@main", "git/http%3A%2F%2F127.0.0.1%3A8000%2Fr/main", ""),
        ("git@x.org:o/r.git", "git/ssh%3A%2F%2Fgit%40x.org%2Fo%2Fr.git/HEAD", ""),
        ("git@x.org:o/r.git@v1", "git/ssh%3A%2F%2Fgit%40x.org%2Fo%2Fr.git/v1", ""),
        ("ssh://git@x.org:2222/o/r@v1", "git/ssh%3A%2F%2Fgit%40x.org%3A2222%2Fo%2Fr/v1", ""),
        ("git://x.org/r", "git/git%3A%2F%2Fx.org%2Fr/HEAD", ""),
    ],
)
def test_a_pasted_text_means(text: str, path: str, urlpath: str) -> None:
    link = pasted(text)
    assert (link.address.path, link.urlpath) == (f"v2/{path}", urlpath)


GIT = "git/https%3A%2F%2F"


@pytest.mark.parametrize(
    ("text", "path", "urlpath"),
    [
        ("https://github.com/o/r/raw/refs/heads/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://github.com/o/r/tree/refs/tags/v1", "gh/o/r/v1", ""),
        ("https://github.com/o/r/blob/main", "gh/o/r/main", ""),
        (f"https://github.com/o/r/pull/5/commits/{SHA}", f"gh/o/r/{SHA}", ""),
        ("https://github.com/o/r/releases/download/v1/x.zip", "gh/o/r/v1", ""),
        ("https://github.com/o/r/releases/tag/a/b", "gh/o/r/a/b", ""),
        ("https://github.com/o/r/releases/latest", "gh/o/r/HEAD", ""),
        ("https://github.com/o/r/archive/refs/heads/main.zip", "gh/o/r/main", ""),
        ("https://github.com/o/r/archive/v1.tar.gz", "gh/o/r/v1", ""),
        ("https://codespaces.new/o/r", "gh/o/r/HEAD", ""),
        ("https://githubtocolab.com/o/r/blob/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://raw.githack.com/o/r/main/x.html", "gh/o/r/main", "doc/tree/x.html"),
        ("https://cdn.jsdelivr.net/gh/o/r@main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://nbviewer.org/format/slides/github/o/r/blob/main/x.ipynb", "gh/o/r/main", "doc/tree/x.ipynb"),
        ("https://colab.research.google.com/gist/u/abcdef01/x.ipynb", "gist/u/abcdef01/HEAD", "doc/tree/x.ipynb"),
        (
            f"https://gist.githubusercontent.com/u/abcdef01/raw/{SHA}/x.ipynb",
            "gist/u/abcdef01/HEAD",
            "doc/tree/x.ipynb",
        ),
        ("https://gitlab.com/g/s/p/tree/dev", "gl/g%2Fs%2Fp/dev", ""),
        ("https://gitlab.com/g/p/blob/dev/x.ipynb", "gl/g%2Fp/dev", "doc/tree/x.ipynb"),
        ("https://gitlab.com/g/p/merge_requests/7", "gl/g%2Fp/refs/merge-requests/7/head", ""),
        ("https://gitlab.com/g/p/-/releases/v1", "gl/g%2Fp/v1", ""),
        ("https://gitlab.com/g/p/-/archive/main/p-main.zip", "gl/g%2Fp/main", ""),
        ("https://git.x.org/g/s/p/tree/dev", f"{GIT}git.x.org%2Fg%2Fs%2Fp/dev", ""),
        ("https://bitbucket.org/o/r/raw/main/x.ipynb", f"{GIT}bitbucket.org%2Fo%2Fr/main", "doc/tree/x.ipynb"),
        ("https://bitbucket.org/o/r/commits/tag/v1", f"{GIT}bitbucket.org%2Fo%2Fr/v1", ""),
        ("https://bitbucket.org/o/r.git@a/b", f"{GIT}bitbucket.org%2Fo%2Fr.git/a/b", ""),
        (
            "https://b.x.edu/projects/P/repos/r/browse/a/x.ipynb?at=refs%2Fheads%2Fdev",
            f"{GIT}b.x.edu%2Fscm%2FP%2Fr.git/dev",
            "doc/tree/a/x.ipynb",
        ),
        ("https://b.x.edu/users/u/repos/r/browse", f"{GIT}b.x.edu%2Fscm%2F~u%2Fr.git/HEAD", ""),
        ("https://gitea.x.org/o/r/releases/tag/v1", f"{GIT}gitea.x.org%2Fo%2Fr/v1", ""),
        ("https://gitea.x.org/o/r/commits/branch/dev", f"{GIT}gitea.x.org%2Fo%2Fr/dev", ""),
        ("https://gitea.x.org/o/r/branches", f"{GIT}gitea.x.org%2Fo%2Fr/HEAD", ""),
        ("https://x.org/gitea/o/r/src/branch/dev/x.ipynb", f"{GIT}x.org%2Fgitea%2Fo%2Fr/dev", "doc/tree/x.ipynb"),
        ("https://git.sr.ht/~u/r/tree/dev/item/x.ipynb", f"{GIT}git.sr.ht%2F~u%2Fr/dev", "doc/tree/x.ipynb"),
        ("https://x.org/cgit/r.git/tree/a/x.ipynb?h=dev", f"{GIT}x.org%2Fcgit%2Fr.git/dev", "doc/tree/a/x.ipynb"),
        ("https://x.org/r.git/log/", f"{GIT}x.org%2Fr.git/HEAD", ""),
        (
            "https://huggingface.co/datasets/u/r/blob/main/x.ipynb",
            f"{GIT}huggingface.co%2Fdatasets%2Fu%2Fr/main",
            "doc/tree/x.ipynb",
        ),
        (
            "https://dev.azure.com/o/p/_git/r?path=/a/x.ipynb&version=GBdev",
            f"{GIT}dev.azure.com%2Fo%2Fp%2F_git%2Fr/dev",
            "doc/tree/a/x.ipynb",
        ),
        ("https://mybinder.org/build/gh/o/r/main", "gh/o/r/main", ""),
        (
            "https://hub.x.org/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fo%2Fr"
            "&urlpath=lab%2Ftree%2Fr%2Fa%2Fx.ipynb&branch=dev",
            "gh/o/r/dev",
            "lab/tree/a/x.ipynb",
        ),
    ],
)
def test_an_address_of_a_page_means(text: str, path: str, urlpath: str) -> None:
    link = pasted(text)
    assert (link.address.path, link.urlpath) == (f"v2/{path}", urlpath)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "resolve.bad-link"),
        ("hello", "resolve.bad-link"),
        ("somebody@example.org", "resolve.bad-link"),
        ("https://github.com/o/r/issues/3", "resolve.bad-link"),
        ("https://github.com/o/r/wiki", "resolve.bad-link"),
        ("https://github.com/o/r/compare/main...x", "resolve.bad-link"),
        ("https://gitlab.com/g/p/-/issues", "resolve.bad-link"),
        ("https://bitbucket.org/o/r/pull-requests/3", "resolve.bad-link"),
        ("https://o.github.io/r/notebooks/index.html", "resolve.bad-link"),
        ("https://colab.research.google.com/drive/1AbC", "resolve.bad-link"),
        ("https://nbviewer.org/", "resolve.bad-link"),
        ("https://nbviewer.org/url/x.org/a.ipynb", "resolve.bad-link"),
        ("https://x.org/course/a.ipynb", "resolve.bad-link"),
        ("https://x.org/data.tar.gz", "resolve.bad-link"),
        ("https://x.readthedocs.io/en/latest/", "resolve.bad-link"),
        ("https://www.kaggle.com/code/u/nb", "resolve.bad-link"),
        ("https://hub.mybinder.org/user/o-r-abc/lab", "resolve.bad-link"),
        ("https://github.com/topics/x", "resolve.bad-link"),
        ("https://bitbucket.org/o/r/downloads/", "resolve.bad-link"),
        ("https://gitea.x.org/o/r/settings", "resolve.bad-link"),
        ("https://raw.githubusercontent.com/o/r", "resolve.bad-link"),
        ("https://x.org/a\\b", "resolve.bad-link"),
        ("gh/o", "resolve.bad-link"),
        ("https://github.com/o", "resolve.bad-link"),
        ("https://github.com", "resolve.bad-link"),
        ("https://gitlab.com/p", "resolve.bad-link"),
        ("https://gist.github.com/u", "resolve.bad-link"),
        ("https://user:pw@github.com/o/r", "resolve.forbidden-address"),
        ("https://token@gitlab.com/g/p", "resolve.forbidden-address"),
        ("file:///etc/passwd", "resolve.forbidden-address"),
        ("ext::sh", "resolve.forbidden-address"),
        ("javascript:alert(1)", "resolve.forbidden-address"),
        ("--upload-pack=touch", "resolve.bad-link"),
        ("git@x.org:-o/r@-x", "resolve.bad-link"),
        ("https://x.org/v2/zz/a/b", "resolve.unknown-provider"),
        ("zenodo/10.5281/zenodo.3242074", "resolve.unknown-provider"),
        ("/v2/zenodo/10.5281/zenodo.3242074/", "resolve.unknown-provider"),
        ("https://mybinder.org/v2/zenodo/10.5281/zenodo.3242074/", "resolve.unknown-provider"),
        ("figshare/10.6084/m9.figshare.9782777.v1", "resolve.unknown-provider"),
        ("dataverse/10.7910/DVN/TJCLKP", "resolve.unknown-provider"),
        ("hydroshare/b8f6eae9d89241cf8b5904033460af61", "resolve.unknown-provider"),
        ("ckan/https%3A%2F%2Fdemo.ckan.org%2Fdataset", "resolve.unknown-provider"),
        ("10.5281/zenodo.3242074", "resolve.unknown-provider"),
        ("doi:10.5281/zenodo.3242074", "resolve.unknown-provider"),
        ("https://doi.org/10.5281/zenodo.3242074", "resolve.unknown-provider"),
        ("https://zenodo.org/records/3242074", "resolve.unknown-provider"),
        ("https://dataverse.harvard.edu/dataset.xhtml?persistentId=doi:10.7910/DVN/TJCLKP", "resolve.unknown-provider"),
        ("https://osf.io/abcde/", "resolve.unknown-provider"),
        ("swh:1:rev:94dca98c006b80309704c717b5d83dff3c1fa3a0", "resolve.unknown-provider"),
        ("two words", "resolve.bad-link"),
        ("https://x.org/r@a..b", "resolve.bad-link"),
        ("https://x.org/v2/git/file%3A%2F%2F%2Fetc/HEAD", "resolve.forbidden-address"),
    ],
)
def test_a_text_that_names_no_repository_is_refused(text: str, code: str) -> None:
    with pytest.raises(Fail) as caught:
        pasted(text)
    assert caught.value.failure.kind.code == code


def longer(text: str) -> list[tuple[str, str]]:
    return [(link.address.ref, link.urlpath) for link in pasted(text).longer]


@pytest.mark.parametrize(
    ("text", "refs"),
    [
        ("https://github.com/o/r/tree/feature/x", [("feature/x", "")]),
        ("https://github.com/o/r/blob/feature/x/nb.ipynb", [("feature/x", "doc/tree/nb.ipynb")]),
        ("https://bitbucket.org/o/r/src/a/b.c", [("a/b.c", "")]),
        ("https://github.com/o/r/commits/feature/x", [("feature/x", "")]),
        ("https://github.example.edu/o/r/commits/feature/x", [("feature/x", "")]),
        ("https://github.com/o/r/tree/refs/heads/feature/x", [("feature/x", "")]),
        ("https://raw.githubusercontent.com/o/r/refs/heads/a/b/x.ipynb", [("a/b", "doc/tree/x.ipynb")]),
        ("https://gitlab.com/g/p/-/blob/feature/x/nb.ipynb?ref_type=heads", [("feature/x", "doc/tree/nb.ipynb")]),
        ("https://codeberg.org/o/r/src/branch/feature/x/", [("feature/x", "")]),
        ("https://github.com/o/r/blob/main/nb.ipynb", []),
        ("https://github.com/o/r/tree/HEAD/x", []),
        (f"https://github.com/o/r/tree/{SHA}/x", []),
        (
            "https://github.com/o/r/tree/a/b/c/d/e/f/g/h/i",
            [("/".join("abcdefgh"[:n]), f"lab/tree/{'/'.join('abcdefghi'[n:])}") for n in range(2, 9)],
        ),
    ],
)
def test_where_a_branch_s_name_ends_is_left_to_its_host(text: str, refs: list[tuple[str, str]]) -> None:
    assert longer(text) == refs


FLOODS = [
    "[![" + "](" * 2000,
    "<a " + "href='" * 700,
    "git clone " + "-a " * 1300,
    ".. image:: " + "x " * 2000,
    '"' * 4000,
    "o/" * 2000,
    "https://x.org/" + "a/" * 900,
    "x http://" * 400,
    "(" * 1000 + "https://x.org/" + ")" * 900,
]


@pytest.mark.parametrize("text", FLOODS)
def test_no_text_takes_long_to_be_understood(text: str) -> None:
    began = time.process_time()
    with pytest.raises(Fail):
        pasted(text)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("parent", "url", "absolute"),
    [
        ("https://x.org/g/r.git", "../s.git", "https://x.org/g/s.git"),
        ("https://x.org/g/r", "../../h/s", "https://x.org/h/s"),
        ("https://x.org/g/r/", "./s", "https://x.org/g/r/s"),
        ("ssh://git@x.org:22/g/r", "../s", "ssh://git@x.org:22/g/s"),
        ("https://x.org/g/r", "../../../../s", "https://x.org/s"),
        ("https://x.org/g/r", "https://y.org/s", "https://y.org/s"),
        ("https://x.org/g/r", "git@y.org:s", "git@y.org:s"),
    ],
)
def test_a_submodules_address_is_relative_to_its_parents(parent: str, url: str, absolute: str) -> None:
    assert submodule_url(parent, url) == absolute
