"""When a class is open, and what is no class."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from perijove.domain.classes import ClassSettings, hours, moment
from perijove.domain.failures import Fail
from perijove.domain.settings_layers import Layer, merged
from perijove.launching.resolve.classes import understood

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    """`2027-01-11 09:30` in Berlin, where no clock changes."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


WEEKLY, ONCE = ("Mon 09:30", "Mon 12:00"), ("2027-01-11 09:30", "2027-01-11 12:00")


@pytest.mark.parametrize(
    ("prepare", "until", "now", "since", "closes", "opens"),
    [
        pytest.param("", "", "2027-01-11 10:00", 0, None, None, id="always"),
        pytest.param("", "2027-01-11 12:00", "2027-01-11 10:00", 0, "2027-01-11 12:00", None, id="from now on until"),
        pytest.param("", "2027-01-11 12:00", "2027-01-11 12:00", None, None, None, id="and no longer"),
        pytest.param(*WEEKLY, "2027-01-11 09:29", None, None, "2027-01-11 09:30", id="a minute before"),
        pytest.param(
            *WEEKLY, "2027-01-11 09:30", "2027-01-11 09:30", "2027-01-11 12:00", "2027-01-18 09:30", id="its minute"
        ),
        pytest.param(
            *WEEKLY, "2027-01-11 11:59", "2027-01-11 09:30", "2027-01-11 12:00", "2027-01-18 09:30", id="its last one"
        ),
        pytest.param(*WEEKLY, "2027-01-11 12:00", None, None, "2027-01-18 09:30", id="over for this week"),
        pytest.param(
            "mon,Wed 09:30", "Mon, Wed 12:00", "2027-01-13 10:00", "2027-01-13 09:30", "2027-01-13 12:00",
            "2027-01-18 09:30", id="twice a week",
        ),
        pytest.param(
            "Fri 18:00", "Mon 08:00", "2027-01-10 03:00", "2027-01-08 18:00", "2027-01-11 08:00", "2027-01-15 18:00",
            id="over a weekend",
        ),
        pytest.param("Mon 09:30", "", "2027-01-10 03:00", "2027-01-04 09:30", None, "2027-01-11 09:30", id="on"),
        pytest.param(*ONCE, "2027-01-11 09:00", None, None, "2027-01-11 09:30", id="once, to come"),
        pytest.param(*ONCE, "2027-01-11 10:00", "2027-01-11 09:30", "2027-01-11 12:00", None, id="once, now"),
        pytest.param(*ONCE, "2028-01-11 10:00", None, None, None, id="once, over"),
        pytest.param(
            "Mon 09:30", "2027-01-12 00:00", "2027-01-11 10:00", "2027-01-11 09:30", "2027-01-12 00:00", None,
            id="weekly to a term's end",
        ),
        pytest.param("Mon 09:30", "2027-01-12 00:00", "2027-01-20 10:00", None, None, None, id="after the term"),
        pytest.param("2027-01-11 09:30", "2027-01-11 09:00", "2027-01-11 10:00", None, None, None, id="closed before"),
        pytest.param(
            "Sun 02:30", "Sun 04:00", "2027-03-28 03:45", "2027-03-28 03:30", "2027-03-28 04:00", "2027-04-04 02:30",
            id="an hour that the clocks skip",
        ),
        pytest.param(
            "Sun 02:30", "Sun 04:00", "2027-10-31 02:29", None, None, "2027-10-31 02:30", id="one that comes twice"
        ),
    ],
)  # fmt: skip
def test_a_class_is_open_from_its_last_preparation_to_the_next_end(
    prepare: str, until: str, now: str, since: str | int | None, closes: str | None, opens: str | None
) -> None:
    said = hours(ClassSettings("c", prepare=prepare, until=until), at(now), BERLIN)
    assert said.since == (at(since) if isinstance(since, str) else since)
    assert (said.until, said.next) == (at(closes) if closes else None, at(opens) if opens else None)


def test_by_this_machines_time_where_no_zone_is_given() -> None:
    now = datetime.now().astimezone()
    began = (now - timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M")
    said = hours(ClassSettings("c", prepare=began), now.timestamp())
    assert said.since is not None
    assert 60 <= now.timestamp() - said.since <= 120


@pytest.mark.parametrize("text", ["Monday 09:30", "Mon", "09:30", "Mon 25:00", "2027-02-30 09:30", "Mon,Foo 09:30"])
def test_what_is_no_moment_is_told_with_one_that_is(text: str) -> None:
    with pytest.raises(ValueError, match="Mon 09:30"):
        moment(text)


REPOSITORIES = ["gh/owner/repo/HEAD"]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        pytest.param([{"repositories": REPOSITORIES}], "a name each", id="no name"),
        pytest.param([{"name": "A B", "repositories": REPOSITORIES}], "a name each", id="no such name"),
        pytest.param([{"name": "a"}], "of a: repositories must", id="no repositories"),
        pytest.param([{"name": "a", "repositories": REPOSITORIES}] * 2, "of a: another class", id="a name twice"),
        pytest.param([{"name": "a", "seats": "many"}], "of a: seats must be a number", id="no number"),
        pytest.param([{"name": "a", "memory": "2 apples"}], "of a: memory must be", id="no size"),
        pytest.param([{"name": "a", "seat": 3}], "has no seat (in a)", id="no such key"),
        pytest.param(
            [{"name": "a", "repositories": REPOSITORIES, "prepare": "soon"}], "of a: prepare must be", id="no moment"
        ),
        pytest.param(
            [{"name": "a", "repositories": REPOSITORIES, "until": "Mon 09:30"}], "needs prepare", id="never open again"
        ),
        pytest.param(
            [{"name": "a", "repositories": REPOSITORIES, "seats": 2, "ready": 3}], "of a: ready", id="more than seats"
        ),
        pytest.param({"name": "a"}, "must be tables", id="one table for several"),
        pytest.param([{"name": "a", "repositories": ["gh/owner"]}], "of a: repositories has a link", id="no link"),
        pytest.param(
            [
                {"name": "a", "repositories": REPOSITORIES},
                {"name": "b", "repositories": ["https://github.com/Owner/Repo.git"]},
            ],
            "of b: repositories has one of the class a", id="a repository in two",
        ),
    ],
)  # fmt: skip
def test_what_is_no_class_is_refused_with_its_name_and_field(tables: object, words: str) -> None:
    with pytest.raises(Fail) as caught:
        understood(merged([Layer("perijove.toml", {"launching.classes": tables})])[0].launching.classes)
    assert caught.value.failure.kind.code == "platform.bad-settings"
    assert words in caught.value.failure.cause


def test_a_class_is_of_repositories_however_they_are_spelled() -> None:
    spelled = ["https://github.com/Owner/Repo/tree/main", "git@gitlab.com:group/project.git", "/srv/courses/one"]
    tables = [{"name": "a", "repositories": spelled}]
    (one,) = understood(merged([Layer("perijove.toml", {"launching.classes": tables})])[0].launching.classes)
    assert one.repositories == {"github.com/owner/repo", "gitlab.com/group/project", "/srv/courses/one"}
