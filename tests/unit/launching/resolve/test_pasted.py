"""What people paste."""

from __future__ import annotations

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
        ("https://github.com/o/r?tab=readme-ov-file#x", "gh/o/r/HEAD", ""),
        ("https://github.com/o/r/tree/dev", "gh/o/r/dev", ""),
        ("https://github.com/o/r/tree/dev/sub/dir", "gh/o/r/dev", "lab/tree/sub/dir"),
        ("https://github.com/o/r/tree/a%2Fb/sub", "gh/o/r/a/b", "lab/tree/sub"),
        ("https://github.com/o/r/blob/dev/a/b%20c.ipynb", "gh/o/r/dev", "doc/tree/a/b%20c.ipynb"),
        (f"https://github.com/o/r/commit/{SHA}", f"gh/o/r/{SHA}", ""),
        ("https://github.com/o/r/releases/tag/v1", "gh/o/r/v1", ""),
        ("https://github.com/o/r/issues/3", "gh/o/r/HEAD", ""),
        ("https://gist.github.com/u/0123456789abcdef", "gist/u/0123456789abcdef/HEAD", ""),
        (f"https://gist.github.com/u/abcdef01/{SHA}", f"gist/u/abcdef01/{SHA}", ""),
        ("https://gitlab.com/g/s/p", "gl/g%2Fs%2Fp/HEAD", ""),
        ("https://gitlab.com/g/p.git@v2", "gl/g%2Fp/v2", ""),
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


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "resolve.bad-link"),
        ("hello", "resolve.forbidden-address"),
        ("gh/o/r", "resolve.bad-link"),
        ("https://github.com/o", "resolve.bad-link"),
        ("https://github.com", "resolve.bad-link"),
        ("https://gitlab.com/p", "resolve.bad-link"),
        ("https://gist.github.com/u", "resolve.bad-link"),
        ("https://user:pw@github.com/o/r", "resolve.forbidden-address"),
        ("https://token@gitlab.com/g/p", "resolve.forbidden-address"),
        ("file:///etc/passwd", "resolve.forbidden-address"),
        ("ext::sh", "resolve.forbidden-address"),
        ("javascript:alert(1)", "resolve.forbidden-address"),
        ("--upload-pack=touch", "resolve.forbidden-address"),
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
        ("two words", "resolve.bad-link"),
        ("https://x.org/r@a..b", "resolve.bad-link"),
        ("https://x.org/v2/git/file%3A%2F%2F%2Fetc/HEAD", "resolve.forbidden-address"),
    ],
)
def test_a_text_that_names_no_repository_is_refused(text: str, code: str) -> None:
    with pytest.raises(Fail) as caught:
        pasted(text)
    assert caught.value.failure.kind.code == code


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
