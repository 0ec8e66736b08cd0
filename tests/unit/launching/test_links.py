"""What a link means that only its host can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.domain.nouns import RefNames
from perijove.domain.settings import LaunchingSettings, Settings
from perijove.launching.links import KEPT, REMEMBERED, Links
from perijove.launching.resolve.address import from_launch_path
from tests.fakes.world import FakeClock, FakeRepositories

FILE = "https://github.com/o/r/blob/feature/x/nb.ipynb"


@pytest.fixture
def repositories(tmp_path: Path) -> FakeRepositories:
    return FakeRepositories(tmp_path)


def links(repositories: FakeRepositories, clock: FakeClock | None = None, banned: tuple[str, ...] = ()) -> Links:
    settings = Settings(launching=LaunchingSettings(banned=banned))
    return Links(repositories, lambda: settings, (clock or FakeClock()).now)


@pytest.mark.parametrize(
    ("branches", "ref", "urlpath"),
    [
        (("main", "feature/x"), "feature/x", "doc/tree/nb.ipynb"),
        (("feature",), "feature", "doc/tree/x/nb.ipynb"),
        (("feature", "feature/x"), "feature/x", "doc/tree/nb.ipynb"),
        ((), "feature", "doc/tree/x/nb.ipynb"),
    ],
)
async def test_the_longest_ref_that_the_host_lists_wins(
    repositories: FakeRepositories, branches: tuple[str, ...], ref: str, urlpath: str
) -> None:
    repositories.names = RefNames(branches, ())
    link = await links(repositories).meant(FILE)
    assert (link.address.ref, link.urlpath) == (ref, urlpath)


async def test_a_host_is_not_asked_where_a_link_can_be_read_in_one_way_only(repositories: FakeRepositories) -> None:
    assert (await links(repositories).meant("https://github.com/o/r/blob/main/nb.ipynb")).address.ref == "main"
    assert repositories.listed == 0


async def test_a_host_that_does_not_answer_leaves_the_first_reading(repositories: FakeRepositories) -> None:
    repositories.fails = [failures.HOST_UNREACHABLE("no")]
    assert (await links(repositories).meant(FILE)).address.ref == "feature"


async def test_what_a_host_said_is_kept_for_a_while_and_not_for_ever(repositories: FakeRepositories) -> None:
    clock = FakeClock()
    asking = links(repositories, clock)
    address = from_launch_path("gh/o/r/HEAD")
    for _ in range(3):
        await asking.names(address)
    assert repositories.listed == 1
    await clock.sleep(KEPT)
    await asking.names(address)
    assert repositories.listed == 2
    for number in range(REMEMBERED):
        await asking.names(from_launch_path(f"gh/o/r{number}/HEAD"))
    await asking.names(address)
    assert repositories.listed == REMEMBERED + 3


async def test_what_may_not_be_launched_is_not_asked_for(repositories: FakeRepositories) -> None:
    with pytest.raises(Fail, match="banned"):
        await links(repositories, banned=("gh/o/",)).names(from_launch_path("gh/o/r/HEAD"))
    assert repositories.listed == 0
