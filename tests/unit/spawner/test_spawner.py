"""What a hub's users may ask for, what its form offers, and how it is told why a server does not start."""

from __future__ import annotations

import pytest

from perijove.domain.failures import BAD_LINK, NOT_ALLOWED, NOT_UP, Evidence, Fail, Kind
from perijove.spawner import PerijoveSpawner, refused

LINK = "https://example.org/owner/repo"
FOLDER = "/srv/lesson"


def spawner(asked: dict[str, object], *, any_repository: bool = True, repository: str = FOLDER) -> PerijoveSpawner:
    made = PerijoveSpawner(
        any_repository=any_repository, repository=repository, repositories={"One": f"{LINK}-1", "Two": "/srv/two"}
    )
    made.user_options = asked
    return made


@pytest.mark.parametrize("open_to_all", [True, False])
@pytest.mark.parametrize(
    ("asked", "launched"),
    [
        pytest.param({}, {"folder": FOLDER}, id="the operator's, where nothing is asked for"),
        pytest.param({"repository": ""}, {"folder": FOLDER}, id="an empty field"),
        pytest.param({"repository": "One"}, {"link": f"{LINK}-1", "ref": ""}, id="one by its name"),
        pytest.param({"repository": "Two"}, {"folder": "/srv/two"}, id="a folder by its name"),
    ],
)
def test_what_the_operator_names_may_be_launched(
    asked: dict[str, object], launched: dict[str, str], open_to_all: bool
) -> None:
    assert spawner(asked, any_repository=open_to_all)._asked() == launched


def test_others_may_be_launched_where_the_operator_lets_users_name_them_but_never_folders() -> None:
    assert spawner({"repository": LINK, "ref": "v1"})._asked() == {"link": LINK, "ref": "v1"}
    assert spawner({"repository": "/etc"})._asked() == {"link": "/etc", "ref": ""}


@pytest.mark.parametrize(
    ("asked", "repository", "kind"),
    [
        pytest.param({"repository": LINK}, FOLDER, NOT_ALLOWED, id="another repository"),
        pytest.param({"repository": FOLDER}, "", NOT_ALLOWED, id="a folder by its path"),
        pytest.param(
            {"repository": "One", "ref": "0123abc"}, FOLDER, NOT_ALLOWED, id="a commit, which may be a fork's"
        ),
        pytest.param({}, "", BAD_LINK, id="nothing at all"),
    ],
)
def test_nothing_else_may_be_launched_where_the_operator_says_so(
    asked: dict[str, object], repository: str, kind: Kind
) -> None:
    with pytest.raises(Fail) as met:
        spawner(asked, any_repository=False, repository=repository)._asked()
    assert met.value.failure.kind is kind


def test_the_form_offers_what_may_be_asked_for() -> None:
    assert 'name="ref"' in spawner({}).options_form
    closed = spawner({}, any_repository=False).options_form
    assert "<option>One</option>" in closed
    assert "<input" not in closed
    assert PerijoveSpawner(any_repository=False, repository=LINK).options_form == ""
    assert spawner({}).options_from_form({"repository": [" One "], "other": ["x"]}) == {"repository": "One"}


def test_the_hub_is_told_whose_fault_it_is_and_nothing_becomes_html() -> None:
    failure = BAD_LINK("<b>is no link", Evidence("the <form>", "<script>"))
    told: object = refused(failure)
    assert getattr(told, "status_code", 0) == 422
    assert str(getattr(told, "jupyterhub_message", "")).endswith("(resolve.bad-link)")
    shown = str(getattr(told, "jupyterhub_html_message", ""))
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert refused(NOT_UP("nothing answers")).status_code == 503


async def test_the_hub_does_not_warn_that_nobody_reads_what_users_ask_for(caplog: pytest.LogCaptureFixture) -> None:
    made = spawner({"repository": LINK})
    made.log.propagate = True
    await made._run_apply_user_options(made.user_options)
    assert not caplog.records
