"""How long a repository's launches take."""

from __future__ import annotations

from perijove.domain.events import Phase
from perijove.launching.expected import KNOWN, REPOSITORIES, Expected
from perijove.launching.launches import Launch
from perijove.launching.resolve.address import from_launch_path


def launch(repository: str, fetching: float, building: float, launching: float, *, builds: bool) -> Launch:
    stages = ((Phase.FETCHING, 0.0), (Phase.BUILDING, fetching), (Phase.LAUNCHING, fetching + building))
    end = fetching + building + launching
    address = from_launch_path(f"gh/owner/{repository}/HEAD")
    return Launch(1, address, "x", "ready", 0.0, ended_at=end, stages=stages, builds=builds)


def test_stages_take_what_they_took_in_the_middle_and_builds_what_was_really_built() -> None:
    expected = Expected()
    assert expected.of(from_launch_path("gh/owner/repo/HEAD")) == {}
    for fetching, building, builds in ((1.0, 90.0, True), (3.0, 0.1, False), (2.0, 0.1, False)):
        expected.ready(launch("repo", fetching, building, 4.0, builds=builds))
    told = expected.of(from_launch_path("gh/Owner/repo/other"))
    assert {phase: round(seconds, 6) for phase, seconds in told.items()} == {
        "fetching": 2.0, "building": 90.0, "launching": 4.0,
    }  # fmt: skip
    assert expected.of(from_launch_path("gh/owner/another/HEAD")) == {}


def test_only_the_last_launches_count_and_only_so_many_repositories_are_remembered() -> None:
    expected = Expected()
    for fetching in (100.0, *[1.0] * KNOWN):
        expected.ready(launch("repo", fetching, 1.0, 1.0, builds=False))
    assert expected.of(from_launch_path("gh/owner/repo/HEAD"))["fetching"] == 1.0
    for number in range(REPOSITORIES):
        expected.ready(launch(f"r{number}", 1.0, 1.0, 1.0, builds=False))
    assert expected.of(from_launch_path("gh/owner/repo/HEAD")) == {}
    assert expected.of(from_launch_path(f"gh/owner/r{REPOSITORIES - 1}/HEAD"))
