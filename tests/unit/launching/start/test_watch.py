"""What is remembered of a session's log until somebody hears it."""

from __future__ import annotations

import pytest

from perijove.domain.nouns import ResolvedRepo, Session
from perijove.launching.resolve.address import from_launch_path
from perijove.launching.start.watch import KEPT_LINES, Watch

REPO = ResolvedRepo(from_launch_path("gh/owner/repo/HEAD"), "1" * 40, "refs/heads/main")
SESSION = Session("one", 0, REPO, "e", 0.0)


@pytest.mark.parametrize(("ready", "answered", "unheard"), [(False, False, 1000), (True, False, 0), (False, True, 0)])
def test_a_server_that_answers_has_no_start_left_to_tell(*, ready: bool, answered: bool, unheard: int) -> None:
    watch = Watch(SESSION, ready=ready, answered=answered)
    for number in range(1000):
        watch.say(f"line {number}")
    assert (len(watch.unheard), len(watch.lines), watch.heard) == (unheard, min(1000, KEPT_LINES), 1000)
