"""One repository, all the ways to spell a link to it: a ban, a permission and a quota meet each of them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from perijove.domain.nouns import RepoAddress
from perijove.domain.repository_names import canonical
from perijove.domain.settings import LaunchingSettings
from perijove.launching.resolve.address import from_launch_path, local_folder
from perijove.launching.start.admission import refusal

GITHUB, GITLAB, GIST = "github.com/spammer/x", "gitlab.com/spam/deep/x", "gist.github.com/0123abcd"
ELSEWHERE = "git.example.org/spammer/x"
SPELLINGS = {
    GITHUB: [
        "https://github.com/spammer/x",
        "https://github.com/spammer/x.git",
        "https://github.com/Spammer/X.git",
        "https://GitHub.com/spammer/x",
        "https://www.github.com/spammer/x",
        "https://github.com./spammer/x",
        "https://github.com:443/spammer/x",
        "https://github.com//spammer//x",
        "https://github.com/./spammer/x/",
        "https://github.com/%73pammer/x",
        "https://github.com/other/%2e%2e/spammer/x%2egit",
        "https://github.com/spammer/x/tree/main",
        "http://github.com/spammer/x",
        "git://github.com/spammer/x.git",
        "git@github.com:spammer/x.git",
        "ssh://git@github.com/spammer/x",
        "ssh://git@github.com:22/spammer/x",
        "ssh://github.com/spammer/x",
        "ssh://git@ssh.github.com:443/spammer/x.git",
    ],
    GITLAB: [
        "https://gitlab.com/spam/deep/x",
        "https://gitlab.com/Spam/Deep/X.git",
        "git@gitlab.com:spam/deep/x.git",
        "ssh://git@altssh.gitlab.com:443/spam/deep/x.git",
    ],
    GIST: [
        "https://gist.github.com/spammer/0123abcd",
        "https://gist.github.com/spammer/0123ABCD.git",
        "https://gist.github.com/Spammer/0123abcd/",
    ],
    ELSEWHERE: [
        "https://git.example.org/spammer/x",
        "https://git.example.org/spammer/x.git",
        "http://GIT.example.org:80/spammer/x",
        "git@git.example.org:spammer/x.git",
        "ssh://somebody@git.example.org/spammer/x",
        "https://git.example.org/%73pammer/%78",
    ],
}
LINKS = {
    GITHUB: ["gh/spammer/x/HEAD", "gh/Spammer/x.git/main", "gh/%73pammer/%78/HEAD"],
    GITLAB: ["gl/spam%2Fdeep%2Fx/HEAD", "gl/Spam%2Fdeep%2Fx.git/main"],
    GIST: ["gist/spammer/0123abcd", "gist/%73pammer/0123ABCD/HEAD"],
    ELSEWHERE: [],
}
ROWS = [
    pytest.param(repository, from_launch_path(link), id=link)
    for repository, urls in SPELLINGS.items()
    for link in (*LINKS[repository], *(f"git/{quote(url, safe='')}/HEAD" for url in urls))
]
BANS = {
    GITHUB: ["gh/spammer/.*", "gh/spammer/x/", "git/https%3A%2F%2Fgithub.com%2Fspammer%2F", "git/https://github.com/s"],
    GITLAB: ["gl/spam%2F", "gl/spam%2Fdeep%2Fx/", "git/https%3A%2F%2Fgitlab.com%2Fspam%2F"],
    GIST: ["gist/spammer/", "gh/spammer/.*", "git/https://gist.github.com/spammer/0123abcd/"],
    ELSEWHERE: [
        "git/https%3A%2F%2Fgit.example.org%2Fspammer%2F",
        "git/https%3A%2F%2Fgit.example.org%2Fspammer%2Fx.git/",
        "git/ssh%3A%2F%2Fgit%40git.example.org%2Fspammer",
        r"git/https://git\.example\.org/spammer/",
    ],
}


@pytest.mark.parametrize(("repository", "address"), ROWS)
def test_a_repository_has_one_name_and_each_ban_of_it_meets_all_spellings(
    repository: str, address: RepoAddress
) -> None:
    assert canonical(address.url) == repository
    for ban in BANS[repository]:
        refused = refusal(address, LaunchingSettings(banned=(ban,)))
        assert refused is not None, ban
        assert refused.evidence[0].saw == ban


@pytest.mark.parametrize(("repository", "address"), ROWS)
def test_no_spelling_is_taken_for_another_repository(repository: str, address: RepoAddress) -> None:
    others = (
        "gh/spam/",
        "gh/spammer/y/",
        "gh/other/",
        "gl/spammer",
        "gist/other/",
        "git/https%3A%2F%2Fgit.example.com",
    )
    assert refusal(address, LaunchingSettings(banned=others)) is None


@pytest.mark.parametrize(
    ("allowed", "link", "passes"),
    [
        pytest.param(
            "gh/ours/", "git/https%3A%2F%2Fgithub.com%2FOurs%2Fx.git/main", True, id="a URL of what is allowed"
        ),
        pytest.param("gh/ours/", "git/git%40github.com%3Aours%2Fx/HEAD", True, id="by ssh"),
        pytest.param("git/https://github.com/ours/", "gh/ours/x/HEAD", True, id="a link to a URL that is allowed"),
        pytest.param(
            "gh/ours/", "git/http%3A%2F%2Fgithub.com%2Fours%2Fx/main", False, id="what anybody may answer for"
        ),
        pytest.param("gh/ours/", "git/https%3A%2F%2Fgithub.com%3A8443%2Fours%2Fx/main", False, id="another port"),
        pytest.param("gh/ours/", "git/https%3A%2F%2Fgithub.com.example%2Fours%2Fx/main", False, id="another host"),
        pytest.param("gh/ours/", "git/https%3A%2F%2Fexample.org%2Fgh%2Fours%2Fx/main", False, id="a path like a link"),
        pytest.param("gh/ours/", "gist/ours/0123abcd", False, id="a permission of repositories is none of gists"),
        pytest.param(
            "git/https://git.example.org/", "git/http%3A%2F%2Fgit.example.org%2Fx%2Fy/main", False, id="http elsewhere"
        ),
        pytest.param("gl/ours%2F", "git/https%3A%2F%2Fgitlab.com%2Fours%2Fx.git/main", True, id="GitLab by its URL"),
    ],
)
def test_what_is_allowed_is_allowed_in_all_spellings_that_are_surely_of_it(
    allowed: str, link: str, passes: bool
) -> None:
    assert (refusal(from_launch_path(link), LaunchingSettings(allowed=(allowed,))) is None) is passes


def test_a_gist_whose_link_names_no_owner_is_refused_only_where_owners_are_banned() -> None:
    address = from_launch_path("git/https%3A%2F%2Fgist.github.com%2F0123abcd/HEAD")
    assert canonical(address.url) == GIST
    assert refusal(address, LaunchingSettings()) is None
    refused = refusal(address, LaunchingSettings(banned=("gh/spammer/",)))
    assert refused is not None
    assert "owner" in refused.remedy


def test_folders_differ_by_case_and_by_every_character() -> None:
    names = [
        canonical(local_folder(Path(text)).url) for text in ("/srv/a", "/srv/A", "/srv/a#b", "/srv/a?b", "/srv/%61")
    ]
    assert len(set(names)) == len(names)
