"""The Binder protocol as its clients see it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import httpx
import pytest

from perijove.domain import failures
from perijove.domain.classes import ClassSettings
from perijove.domain.cluster_failures import API_UNREACHABLE
from perijove.domain.engine_settings import EngineKind, EngineSettings
from perijove.domain.nouns import RunningSandbox
from perijove.domain.service_failures import PAD_SILENT
from perijove.launching.start.admission import room_for
from perijove.web.front import public_app
from tests.fakes.world import INPUTS, FakeSessions
from tests.unit.web.conftest import Web, desk_of, frames


async def test_a_launch_streams_its_phases_and_ends_with_ready(web: Web) -> None:
    told = await web.build()
    phases = [frame.data["phase"] for frame in told]
    assert phases[0] == "waiting"
    assert phases[-1] == "ready"
    assert {"fetching", "building", "built", "launching"} < set(phases)
    assert all(frame.data["message"].endswith("\n") for frame in told)


async def test_ready_says_all_that_clients_read(web: Web) -> None:
    ready = (await web.build())[-1].data
    session = ready["url"].split("/")[-2]
    assert ready["url"] == f"https://hub.test/user/{session}/"
    assert ready["token"] == web.world.keys.session_token(session)
    assert ready["message"] == f"server running at {ready['url']}\n"
    assert ready["repo_url"] == "https://github.com/owner/repo"
    assert ready["binder_ref_url"] == f"https://github.com/owner/repo/tree/{'1' * 40}"
    assert ready["binder_launch_host"] == "https://hub.test/"
    assert ready["binder_request"] == "v2/gh/owner/repo/HEAD"
    assert ready["binder_persistent_request"] == f"v2/gh/owner/repo/{'1' * 40}"
    assert ready["image"] == INPUTS.name


async def test_a_failed_launch_ends_with_one_failure_that_says_everything(web: Web) -> None:
    seen = failures.Evidence("git ls-remote", "fatal: not found")
    web.world.repositories.fails = [failures.REPO_NOT_FOUND("GitHub knows no owner/repo", seen)]
    told = await web.build()
    assert [frame.data["phase"] for frame in told].count("failed") == 1
    failed = told[-1].data
    assert failed["status_code"] == 404
    assert failed["message"] == (
        "The repository was not found: GitHub knows no owner/repo. "
        "Check the spelling, and that the repository is public.\n"
    )
    assert failed["failure"] == {
        "code": "resolve.repo-not-found",
        "title": "The repository was not found",
        "cause": "GitHub knows no owner/repo",
        "sentence": "GitHub knows no owner/repo.",
        "owner": "visitor",
        "evidence": [{"where": "git ls-remote", "saw": "fatal: not found"}],
        "remedy": "Check the spelling, and that the repository is public.",
        "retry": "never",
    }


REFUSED = [
    pytest.param("zz/owner/repo/HEAD", "resolve.unknown-provider", 404, id="a provider nobody knows"),
    pytest.param("gh/owner", "resolve.bad-link", 400, id="a spec that is too short"),
    pytest.param("gh/owner/repo", "resolve.bad-link", 400, id="no ref"),
    pytest.param("git/not%20a%20url/HEAD", "resolve.bad-link", 400, id="no URL"),
]


@pytest.mark.parametrize(("path", "code", "status"), REFUSED)
async def test_what_cannot_be_launched_is_told_in_one_event(web: Web, path: str, code: str, status: int) -> None:
    (only,) = await web.build(path)
    assert (only.data["phase"], only.data["status_code"]) == ("failed", status)
    assert only.data["failure"]["code"] == code


async def test_what_is_only_built_ends_with_its_environment(web: Web) -> None:
    *_, built, ready = await web.build("gh/owner/repo/HEAD?build_only=True")
    assert (built.data["phase"], built.data["message"][-1]) == ("built", "\n")
    assert "launching" not in built.data["message"]
    assert (ready.data["phase"], ready.data["imageName"]) == ("ready", INPUTS.name)
    assert "url" not in ready.data
    assert web.world.sandboxes.specs == {}


async def test_what_is_asked_for_anew_is_built_again(web: Web) -> None:
    await web.build()
    assert "building" not in {frame.data["phase"] for frame in await web.build()}
    assert (await web.build("gh/owner/repo/HEAD?again=true"))[-1].data["phase"] == "ready"
    assert web.world.environments.builds == 2


ACCEPTED = [
    pytest.param("text/event-stream", True, id="exactly"),
    pytest.param("text/event-stream, */*", True, id="in a list"),
    pytest.param("application/json;q=0.5, Text/Event-Stream;q=0.9", True, id="with parameters"),
    pytest.param("*/*", False, id="anything"),
    pytest.param("text/html", False, id="pages"),
    pytest.param("", False, id="nothing"),
]


@pytest.mark.parametrize(("accept", "served"), ACCEPTED)
async def test_clients_must_say_that_they_read_event_streams(web: Web, accept: str, served: bool) -> None:
    told = await web.build(Accept=accept)
    assert (told[-1].data["phase"] == "ready") is served
    if not served:
        assert (told[-1].data["status_code"], len(told)) == (400, 1)


async def test_an_event_source_that_comes_back_in_the_middle_resumes_its_launch(web: Web) -> None:
    first = await web.build()
    rest = await web.build(Last_Event_ID=first[3].id)
    assert rest == first[4:]
    assert len(web.public.launches.list(10)) == 1


async def test_an_event_source_that_has_seen_the_end_is_told_to_stop(web: Web) -> None:
    first = await web.build()
    answer = await web.get("/build/gh/owner/repo/HEAD", Accept="text/event-stream", Last_Event_ID=first[-1].id)
    assert answer.status_code == 204
    assert len(web.public.launches.list(10)) == 1


async def test_an_event_source_that_was_refused_is_told_to_stop(web: Web) -> None:
    (only,) = await web.build("gh/owner/repo")
    answer = await web.get("/build/gh/owner/repo", Accept="text/event-stream", Last_Event_ID=only.id)
    assert answer.status_code == 204


FORGED = [
    pytest.param("{seq}.0123456789abcdef01234567", id="a wrong key"),
    pytest.param("{seq}", id="no key"),
    pytest.param("999999999.{key}", id="an event that never was"),
    pytest.param("' or 1=1", id="nonsense"),
]


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_event_id_resumes_nobody_else_s_launch(web: Web, forged: str) -> None:
    seq, _, key = (await web.build())[3].id.partition(".")
    again = await web.build(Last_Event_ID=forged.format(seq=seq, key=key))
    assert again[0].data["launch"] == 2


async def test_the_spec_is_taken_as_it_was_sent(web: Web) -> None:
    told = await web.build("git/https%3A%2F%2Fexample.org%2Fa%2520b.git/feature/x")
    assert told[-1].data["binder_request"] == "v2/git/https%3A%2F%2Fexample.org%2Fa%2520b.git/feature/x"
    launch = web.public.launches.get(1)
    assert launch is not None
    assert (launch.address.url, launch.address.ref) == ("https://example.org/a%20b.git", "feature/x")


async def test_health_lists_its_parts_and_the_quota(web: Web) -> None:
    web.world.set(launching__total_quota=5)
    await web.build()
    answer = await web.get("/health")
    assert answer.status_code == 200
    checks = {check["service"]: check for check in answer.json()["checks"]}
    assert {"service": "JupyterHub API", "ok": True} in answer.json()["checks"], "as BinderHub's own tests ask"
    hub = await web.get("/hub/api/health")
    assert (hub.status_code, hub.json()) == (200, {})
    quota = checks["Pod quota"]
    assert (quota["total_pods"], quota["build_pods"], quota["user_pods"], quota["quota"]) == (1, 0, 1, 5)
    assert quota["ok"] is True
    web.world.set(launching__classes=(ClassSettings("term", ("gh/owner/other/HEAD",), seats=4),))
    web.world.clock.time += 5
    quota = {check["service"]: check for check in (await web.get("/health")).json()["checks"]}["Pod quota"]
    assert (quota["total_pods"], quota["user_pods"], quota["kept_seats"]) == (5, 1, 4)
    assert quota["ok"] is False, "whoever comes finds no place: all that is free is the class's"
    head = await web.client.head("/health")
    assert (head.status_code, head.content) == (200, b"")


class DeadSessions(FakeSessions):
    """A pad that does not answer any more."""

    async def running(self) -> Sequence[RunningSandbox]:
        raise failures.Fail(failures.PAD_DOWN("nobody answers on its socket"))


async def test_health_is_503_when_the_sandboxes_are_down(web: Web) -> None:
    transport = httpx.ASGITransport(public_app(replace(web.public, sandboxes=DeadSessions())))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        answer = await client.get("/health")
        assert (await client.get("/hub/api/health")).status_code == 503
    assert answer.status_code == 503
    assert answer.json()["ok"] is False
    assert "nobody answers on its socket" in answer.text


async def test_versions_may_be_read_by_any_page(web: Web) -> None:
    answer = await web.get("/versions")
    assert answer.json()["binderhub"].startswith("0.2.0")
    assert "builder_info" in answer.json()
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_metrics_count_launches_failures_and_builds(web: Web) -> None:
    await web.build()
    web.world.repositories.fails = [failures.REF_NOT_FOUND("no such branch")]
    await web.build("gh/owner/repo/nope")
    text = (await web.get("/metrics")).text
    assert 'binderhub_launch_count_total{provider="gh",status="success"} 1.0' in text
    assert 'binderhub_launch_count_total{provider="gh",status="failure"} 1.0' in text
    assert 'binderhub_build_count_total{provider="gh",status="success"} 1.0' in text
    assert 'perijove_failures_total{code="resolve.ref-not-found",owner="visitor"} 1.0' in text
    assert "binderhub_inprogress_launches 0.0" in text
    assert "perijove_sessions 1.0" in text


async def test_metrics_say_which_version_it_is_and_how_full_the_machine_is(web: Web) -> None:
    await web.build()
    text = (await web.get("/metrics")).text
    assert f'perijove_info{{version="{version("perijove")}"}} 1.0' in text
    told = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(("perijove_room", "perijove_sess"))
    )
    room = web.world.sandboxes.left
    assert float(told["perijove_room_memory_bytes"]) == room.memory
    assert float(told["perijove_room_disk_bytes"]) == room.disk
    assert float(told["perijove_room_sessions"]) == room_for(
        1, room, web.world.settings.launching, web.world.settings.session
    )
    assert float(told["perijove_sessions_memory_bytes"]) == float(told["perijove_sessions_disk_bytes"]) == 1
    assert told['perijove_sessions_age_seconds{of="oldest"}'] == told['perijove_sessions_age_seconds{of="mean"}']


async def test_room_that_nobody_knows_is_no_number_anywhere(web: Web) -> None:
    web.world.sandboxes.left = replace(web.world.sandboxes.left, memory=None, processors=None)
    text = (await web.get("/metrics")).text
    assert "perijove_room_sessions NaN" in text
    assert "perijove_room_memory_bytes NaN" in text
    (room,) = (one for one in (await web.get("/health")).json()["checks"] if one["service"] == "Room")
    assert (room["ok"], room["memory"], room["disk"]) == (True, None, web.world.sandboxes.left.disk)


async def test_metrics_of_a_machine_that_nobody_tells_of_are_no_numbers(web: Web) -> None:
    web.world.sandboxes.unanswered = failures.PAD_DOWN("it ended")
    text = (await web.get("/metrics")).text
    assert "perijove_room_sessions NaN" in text
    assert "perijove_room_memory_bytes NaN" in text


async def test_the_service_says_how_it_is_where_whoever_holds_the_sandboxes_hangs(web: Web) -> None:
    """`perijove launch` asks that first: it said that the service was still starting, and began nothing."""
    web.world.sandboxes.hangs = True
    async with asyncio.timeout(30):
        told = await replace(desk_of(web.world).service, waits=0.1).told()
    assert (told["room"], told["launches"]) == (None, 0)
    assert "it gave no answer within 0.1 s" in told["pad"]
    assert told["failure"]["kind"] == PAD_SILENT.code, "whether it runs was not seen"
    settings = replace(web.world.settings, engine=EngineSettings(EngineKind.KUBERNETES))
    told = await replace(desk_of(web.world).service, waits=0.1, settings=lambda: settings).told()
    assert told["failure"]["kind"] == API_UNREACHABLE.code


async def test_providers_are_listed_as_forms_elsewhere_read_them(web: Web) -> None:
    told = (await web.get("/api/repoproviders")).json()
    assert {row["id"] for row in told} == {"gh", "gl", "gist", "git"}
    assert all({"displayName", "spec", "repo", "ref"} <= set(row) for row in told)


@pytest.mark.parametrize("path", ["/badge.svg", "/badge_logo.svg", "/assets/images/badge.svg"])
async def test_badges_are_pictures(web: Web, path: str) -> None:
    answer = await web.get(path)
    assert answer.headers["content-type"] == "image/svg+xml"


REPO = [
    pytest.param("/repo/owner/name", "/v2/gh/owner/name/HEAD", id="plain"),
    pytest.param("/repo/owner/name/lab/x.ipynb", "/v2/gh/owner/name/HEAD?urlpath=lab%2Fx.ipynb", id="with a path"),
    pytest.param("/repo/o%3Fx/n%0d%0aX", "/v2/gh/o%3Fx/n%0D%0AX/HEAD", id="with tricks"),
]


@pytest.mark.parametrize(("path", "to"), REPO)
async def test_the_old_form_of_links_leads_on(web: Web, path: str, to: str) -> None:
    answer = await web.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, to)


WRITES = ["/", "/v2/gh/o/r/HEAD", "/build/gh/o/r/HEAD", "/health", "/versions", "/api/repoproviders", "/launch/1"]


@pytest.mark.parametrize("path", WRITES)
async def test_nothing_can_be_posted(web: Web, path: str) -> None:
    answer = await web.client.post(path, content=b"x")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    ["/nosuch", "/_config", "/v2", "/launch/x", "/user", "/user/A/", "/user/..%2Fx/y", "/build/gh", "/../etc/passwd"],
)
async def test_what_does_not_exist_is_404(web: Web, path: str) -> None:
    as_page = await web.get(path, Accept="text/html")
    as_json = await web.get(path, Accept="application/json")
    if path == "/build/gh":
        assert frames(as_json.text)[0].data["phase"] == "failed"
        return
    assert (as_page.status_code, as_json.status_code) == (404, 404)
    assert "<h1>" in as_page.text
    assert as_json.json()["failure"]["code"] == "platform.no-such-object"


async def test_another_site_s_pages_may_launch_where_the_operator_says_so(web: Web) -> None:
    web.world.set(service__cors_allow_origin=("https://other.example", "https://book.example"))
    web.client.headers["Origin"] = "https://book.example"
    for answer in (
        await web.get("/build/gh/owner/repo/HEAD", Accept="text/event-stream"),
        await web.get("/nosuch", Accept="application/json"),
        await web.client.options("/build/gh/owner/repo/HEAD"),
        await web.client.post("/health"),
    ):
        assert answer.headers["access-control-allow-origin"] == "https://book.example"
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "Origin" in answer.headers["vary"]


async def test_no_other_site_s_pages_may_launch_by_default(web: Web) -> None:
    answer = await web.get("/build/gh/owner/repo/HEAD", Accept="text/event-stream")
    assert "access-control-allow-origin" not in answer.headers
