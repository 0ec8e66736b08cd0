"""Pushes: whose are taken, and what comes of them."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from perijove.domain.classes import ClassSettings
from perijove.web.pushes import MOST
from tests.unit.web.conftest import Web

SECRET = "a secret of some length"
# As docs.github.com ("Webhook events and payloads", push) and docs.gitlab.com ("Webhook events", push) have them.
GITHUB = {
    "ref": "refs/heads/main",
    "repository": {
        "full_name": "Owner/Repo",
        "clone_url": "https://github.com/Owner/Repo.git",
        "html_url": "https://github.com/Owner/Repo",
    },
}
GITLAB = {
    "object_kind": "push",
    "project": {
        "git_http_url": "https://gitlab.com/group/project.git",
        "web_url": "https://gitlab.com/group/project",
    },
}
OTHER = {"repository": {"clone_url": "https://github.com/owner/third.git"}}


@pytest.fixture
def taking(web: Web, tmp_path: Path) -> Web:
    """A service with a class and a secret."""
    file = tmp_path / "push-secret"
    file.write_text(SECRET + "\n")
    term = ClassSettings("term", ("gh/owner/repo/main", "gl/group%2Fproject/main"), prepare="2037-01-11 09:30")
    web.world.set(launching__classes=(term,), launching__push_secret_file=str(file))
    return web


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """As GitHub does."""
    return {"X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


async def pushed(web: Web, body: object, headers: dict[str, Any] | None = None) -> tuple[int, dict[str, object]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = signed(content) if headers is None else headers
    answer = await web.client.post("/hooks/prepare", content=content, headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("body", "headers", "link"),
    [
        pytest.param(GITHUB, None, "v2/gh/owner/repo/main", id="GitHub"),
        pytest.param(GITLAB, {"X-Gitlab-Token": SECRET}, "v2/gl/group%2Fproject/main", id="GitLab"),
    ],
)
async def test_a_signed_push_builds_what_the_class_s_link_leads_to_and_launches_nothing(
    taking: Web, body: object, headers: dict[str, Any] | None, link: str
) -> None:
    status, told = await pushed(taking, body, headers)
    assert status == 202
    (launch,) = taking.world.launches.list(9)
    assert told == {"launches": [launch.number]}
    await taking.world.events(launch.number)
    (launch,) = taking.world.launches.list(9)
    assert (launch.address.path, launch.state, launch.client) == (link, "built", "class term")
    assert not taking.world.sandboxes.specs


BODY = json.dumps(GITHUB).encode()


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        pytest.param(BODY, {}, 403, "start.push-not-signed", id="no signature"),
        pytest.param(BODY, signed(BODY, "another secret of some length"), 403, "start.push-not-signed", id="another's"),
        pytest.param(BODY + b" ", signed(BODY), 403, "start.push-not-signed", id="another body's"),
        pytest.param(
            BODY, {"X-Gitlab-Token": "é".encode()}, 403, "start.push-not-signed", id="a token that is no ASCII"
        ),
        pytest.param(BODY, {"X-Gitlab-Token": SECRET[:-1]}, 403, "start.push-not-signed", id="a part of the token"),
        pytest.param(OTHER, None, 404, "platform.no-such-object", id="no class's"),
        pytest.param(
            {"repository": {"clone_url": 7}, "project": None}, None, 404, "platform.no-such-object", id="it names none"
        ),
        pytest.param([], None, 400, "start.bad-request", id="a list"),
        pytest.param(b"payload=%7B%7D", None, 400, "start.bad-request", id="a form"),
        pytest.param(b"[" * 100_000, None, 400, "start.bad-request", id="very deep"),
        pytest.param(b" " * (MOST + 1), None, 400, "start.bad-request", id="too large"),
    ],
)
async def test_whatever_else_comes_begins_nothing(
    taking: Web, body: object, headers: dict[str, Any] | None, status: int, code: str
) -> None:
    answered, told = await pushed(taking, body, headers)
    failure = told["failure"]
    assert isinstance(failure, dict)
    assert (answered, failure["code"]) == (status, code)
    assert not taking.world.launches.list(9)
    assert SECRET not in json.dumps(told)


async def test_who_guesses_is_told_to_wait_and_who_signs_is_not(taking: Web) -> None:
    taking.world.set(launching__build_rate_limit=2)
    assert [(await pushed(taking, GITHUB, {}))[0] for _ in range(3)] == [403, 403, 429]
    assert (await pushed(taking, GITHUB))[0] == 202


@pytest.mark.parametrize("secret", [None, "", "short"])
async def test_without_a_secret_none_is_taken(taking: Web, tmp_path: Path, secret: str | None) -> None:
    (tmp_path / "push-secret").unlink()
    if secret is not None:
        (tmp_path / "push-secret").write_text(secret)
    for headers in (signed(BODY, secret or ""), {"X-Gitlab-Token": secret or ""}):
        assert (await pushed(taking, BODY, headers))[0] == 403
