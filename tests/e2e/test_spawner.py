"""An existing JupyterHub starts sessions by repository: a real hub with its proxy, a real service, a browser."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Browser, expect

from perijove.cli.client import Client
from perijove.domain.state import State
from tests.e2e.hub import Hub, quoted
from tests.e2e.service import Service, until
from tests.fakes import node

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    node.required("jupyterhub"),
]


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    service = Service(module_state).up()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def hub(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    good, bad, slow = folder / "good", folder / "bad", folder / "slow"
    for path in (good, bad, slow):
        path.mkdir()
    (good / "hello.md").write_text("# Hello from the repository\n")
    (bad / "requirements.txt").write_text("numpy=>1\n")
    (slow / "postBuild").write_text("sleep 20\n")
    hub = Hub(folder, service.state, good, {"Broken": f"{bad}", "Slow": f"{slow}"})
    try:
        hub.up()
        yield hub
    finally:
        for user in hub.call("GET", "users"):
            hub.call("DELETE", f"users/{quoted(user['name'])}")
        hub.stop()


def sessions(service: Service) -> list[str]:
    """Names of what runs."""
    return [row["name"] for row in Client(service.state).call("GET", "/sessions") if row["state"] == "running"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_user_logs_in_and_opens_lab_with_a_kernel(hub: Hub, browser: Browser) -> None:
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(60_000)
    answers: list[tuple[int, str]] = []
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    await page.goto(f"{hub.url}/hub/spawn")
    await page.get_by_label("Username").fill("ada")
    await page.get_by_label("Password").fill("any")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Link to a repository").fill("")
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url("**/user/ada/lab**")
    await expect(page.get_by_text("hello.md")).to_be_visible()
    await page.locator(".jp-LauncherCard").get_by_text("Python 3").first.click()
    await expect(page.get_by_text("| Idle")).to_be_visible()
    assert any("/user/ada/-/server-" in url for _, url in answers)
    assert [answer for answer in answers if answer[0] >= 400] == []
    await page.context.close()


def test_it_answers_its_user_and_nobody_else(hub: Hub, service: Service) -> None:
    hub.started("carl")
    mine = hub.session("carl")
    assert mine.answers()
    assert mine.execute("import os; [*filter(os.path.exists, ['hello.md'])]") == "['hello.md']"
    assert mine.execute("import os; 'JUPYTERHUB_API_TOKEN' in os.environ") == "False"
    theirs = mine.execute("import os; print(os.environ['JUPYTER_TOKEN'])").strip()
    hub.call("POST", "users/bob")
    tokens = {"nobody's": "", "another user's": hub.token("bob"), "the session's own": theirs}
    for whose, token in tokens.items():
        headers = {"Authorization": f"token {token}"} if token else {}
        answer = httpx.get(f"{hub.url}/user/carl/api/status", headers=headers, trust_env=False)
        assert answer.status_code == (302 if whose == "nobody's" else 403), whose
        if token:
            assert not hub.session("carl", token).answers()


@pytest.mark.parametrize("name", ["ada lovelace", "ünal@example.org", "o'neil+lab", "a_b.c-d", "漢字", "x%2e%2e<b>"])
def test_users_may_have_any_name_that_the_hub_takes(hub: Hub, service: Service, name: str) -> None:
    before = sessions(service)
    told = hub.started(name)
    assert told[-1].get("ready"), told[-1]
    mine = hub.session(name)
    assert mine.execute("1 + 1") == "2"
    hub.call("DELETE", f"users/{quoted(name)}/server")
    assert sessions(service) == before


def test_a_user_s_named_servers_are_sessions_of_their_own(hub: Hub, service: Service) -> None:
    before = sessions(service)
    hub.started("nora")
    for server in ("lab", "lab-2"):
        assert hub.started("nora", server)[-1].get("ready"), server
    assert len(sessions(service)) == len(before) + 3
    servers = {server: hub.session("nora", server=server) for server in ("", "lab", "lab-2")}
    for server, session in servers.items():
        assert session.execute(f"mine = {server!r}; open('mine', 'x').write(mine)") == str(len(server))
    hub.call("DELETE", "users/nora/servers/lab-2")
    until(lambda: len(sessions(service)) == len(before) + 2)
    assert servers["lab"].execute("open('mine').read()") == "'lab'"
    assert servers[""].answers()
    hub.call("DELETE", "users/nora/servers/lab")  # the hub removes no user who has named servers that run
    until(lambda: len(sessions(service)) == len(before) + 1)


def test_what_the_hub_stops_is_over(hub: Hub, service: Service) -> None:
    before = sessions(service)
    hub.started("dora")
    assert len(sessions(service)) == len(before) + 1
    hub.call("DELETE", "users/dora/server")
    assert sessions(service) == before
    assert not hub.runs("dora")


def test_what_the_service_stops_the_hub_hears_of(hub: Hub, service: Service) -> None:
    before = sessions(service)
    hub.started("emil")
    (name,) = set(sessions(service)) - set(before)
    service.cli("stop", name)
    until(lambda: not hub.runs("emil"))


def test_a_gate_that_dies_takes_its_session_along(hub: Hub, service: Service) -> None:
    before = sessions(service)
    hub.started("fay")
    state = hub.call("GET", "users/fay?include_stopped_servers")["servers"][""]["state"]
    os.kill(state["pid"], signal.SIGKILL)
    until(lambda: sessions(service) == before)
    until(lambda: not hub.runs("fay"))


def test_a_hub_that_starts_again_finds_sessions_that_went_on(hub: Hub, service: Service) -> None:
    hub.started("gus")
    mine = hub.session("gus")
    kernel = mine.kernel()
    mine.execute("kept = 42", kernel)
    hub.stop()
    hub.up()
    assert mine.execute("kept", kernel) == "42"
    hub.call("DELETE", "users/gus/server")
    until(lambda: not mine.answers())


def test_a_repository_that_fails_says_why_on_the_hubs_page(hub: Hub, service: Service) -> None:
    told = hub.started("hal", repository="Broken")
    assert told[-1]["failed"]
    assert "(build.bad-file)" in told[-1]["message"]
    assert "requirements.txt, line 1" in told[-1]["message"]
    assert any("Files fetched" in event["message"] for event in told)


def test_what_may_be_launched_is_the_operators_to_say(hub: Hub, service: Service) -> None:
    told = hub.started("ida", repository="/etc")
    assert told[-1]["failed"]
    assert "(resolve." in told[-1]["message"]


def test_a_start_that_is_given_up_leaves_nothing(hub: Hub, service: Service) -> None:
    before = sessions(service)
    told = hub.started("joe", repository="Slow")
    assert told[-1]["failed"]
    client = Client(service.state)
    number = max(row["number"] for row in client.call("GET", "/launches"))
    launch = until(lambda: (row := client.call("GET", f"/launches/{number}"))["ended_at"] and row)
    assert launch["failure"]["kind"] == "start.cancelled"
    assert sessions(service) == before
