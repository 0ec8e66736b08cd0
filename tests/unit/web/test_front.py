"""The URL map."""

from __future__ import annotations

import re
from typing import cast

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from perijove.launching.resolve.address import from_launch_path
from perijove.web.answers import Form
from perijove.web.front import Row, application, rows
from perijove.web.guard import Guard
from tests.unit.web.conftest import Web


async def _broken(request: Request) -> Response:
    raise ZeroDivisionError("division by zero")


async def test_a_row_without_a_guard_does_not_start(web: Web) -> None:
    with pytest.raises(ValueError, match="/open has no guard"):
        application(web.public, [Row("/open", _broken, cast("Guard", None))])


async def test_only_challenges_probes_and_pictures_are_open_to_anyone(web: Web) -> None:
    gate = web.public.gate
    opened = {row.path for row in rows(web.public) if row.guard == gate.anyone}
    assert opened == {
        "/.well-known/acme-challenge/{token:path}",
        "/health",
        "/hub/api/health",
        "/versions",
        "/metrics",
        "/badge.svg",
        "/badge_logo.svg",
        "/assets/images/badge.svg",
        "/favicon.ico",
        "/robots.txt",
    }


async def test_no_other_site_s_page_has_a_form_of_ours_taken(web: Web) -> None:
    number = web.public.launches.begin(from_launch_path("gh/owner/repo/HEAD"), "x")
    answers = {}
    for row in rows(web.public):
        if row.methods == ("POST",):
            path = re.sub(r"\{[^}]+\}", str(number), row.path)
            told = await web.client.post(path, headers={"Origin": "https://evil.test"})
            answers[row.path] = told.json()["failure"]["code"]
    others = {path: code for path, code in answers.items() if code != "start.foreign-page"}
    operators = {path: "start.admin-shared" for path in answers if path.startswith("/admin/")}
    assert others == {"/hooks/prepare": "start.push-not-signed", **operators}


MISTAKES = [
    pytest.param(Form.PAGE, "text/html", 500, "Perijove made a mistake", id="as a page"),
    pytest.param(Form.PAGE, "*/*", 500, '"internal.bug"', id="as JSON to a program"),
    pytest.param(Form.STREAM, "text/event-stream", 200, '"internal.bug"', id="as an event"),
]


@pytest.mark.parametrize(("form", "accept", "status", "says"), MISTAKES)
async def test_a_mistake_of_ours_is_told_as_ours(web: Web, form: Form, accept: str, status: int, says: str) -> None:
    app = application(web.public, [Row("/broken", _broken, web.public.gate.anyone, form)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
        answer = await client.get("/broken", headers={"Accept": accept})
    assert answer.status_code == status
    assert says in answer.text


async def test_every_answer_forbids_what_our_pages_do_not_need(web: Web) -> None:
    for path in ("/", "/nosuch", "/health", "/v2/gh/owner/repo/HEAD", "/user/gone-1/"):
        headers = (await web.get(path, Accept="text/html")).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_whose_pages_may_frame_ours_the_operator_says(web: Web) -> None:
    async def told(path: str) -> str:
        (frames,) = re.findall("frame-ancestors ([^;]*)", (await web.get(path)).headers["content-security-policy"])
        return str(frames)

    assert await told("/") == "'none'"
    web.world.set(service__cors_allow_origin=("https://book.example.org",))
    assert {await told(path) for path in ("/", "/nosuch", "/user/gone-1/")} == {"https://book.example.org"}
    web.world.set(service__frame_ancestors=("https://a.example", "https://b.example"))
    assert await told("/") == "https://a.example https://b.example"
