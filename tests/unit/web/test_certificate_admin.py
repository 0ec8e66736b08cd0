"""The operator's commands for certificates on the admin socket: what they answer, and what never leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from perijove.domain.certificate_events import Certified, Foreseen, Waiting
from perijove.domain.certificate_failures import FILE_UNREADABLE, PORT_REFUSED
from perijove.domain.certificates import Confidence
from perijove.domain.events import Failed, Logged, Phase, Requested
from perijove.domain.nouns import RepoAddress
from perijove.domain.state import State
from tests.fakes.certificate_desk import CHAIN, KEY, REDIRECTED, SERVED, TOKEN, VERDICT, WAITING, Desk, Office
from tests.ways.conftest import World

ATTEMPT = f"{WAITING}-1"


class Counter:
    """An office, and a client at its socket."""

    def __init__(self, office: Office, client: httpx.AsyncClient) -> None:
        self.office = office
        self.client = client

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, body: object = None, status: int = 200) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def lines(self, path: str) -> AsyncGenerator[dict[str, Any], None]:
        """A stream's lines; each must come within ten seconds."""
        async with self.client.stream("GET", path) as answer:
            lines = answer.aiter_lines()
            while True:
                try:
                    line = await asyncio.wait_for(anext(lines), 10)
                except StopAsyncIteration:
                    return
                yield json.loads(line)


@pytest.fixture
async def counter(state: State) -> AsyncIterator[Counter]:
    async with Office(Desk(state.control), World(state.root)).open(state.admin_socket) as office:
        transport = httpx.AsyncHTTPTransport(uds=str(state.admin_socket), verify=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://perijove", timeout=10) as client:
            yield Counter(office, client)


@pytest.mark.parametrize(
    ("kind", "shape", "names"),
    [
        ("certificates", "Certificate", [WAITING, SERVED]),
        ("orders", "Order", [ATTEMPT, f"{SERVED}-1"]),
        ("challenges", "Challenge", [f"{ATTEMPT}-1"]),
        ("issuers", "Issuer", ["letsencrypt", "acme.example/a/dir"]),
        ("secrets", "Secret", [SERVED]),
    ],
)
async def test_objects_have_the_shape_that_operators_know(
    counter: Counter, kind: str, shape: str, names: list[str]
) -> None:
    told = await counter.get(f"/{kind}")
    assert [one["metadata"]["name"] for one in told] == names
    for one in told:
        assert (one["apiVersion"], one["kind"]) == ("perijove/v1", shape)
        assert "status" in one
        alone = await counter.get(f"/{kind}/{one['metadata']['name'].replace('/', '%2F')}")
        assert alone["metadata"] | {"creationTimestamp": ""} == one["metadata"] | {"creationTimestamp": ""}


async def test_a_certificate_tells_verdict_conditions_and_failure_whole(counter: Counter) -> None:
    waiting, served = await counter.get("/certificates")
    status = waiting["status"]
    assert status["verdict"] == VERDICT
    assert [(one["type"], one["status"], one["reason"]) for one in status["conditions"]] == [
        ("Ready", "False", "DoesNotExist"),
        ("Issuing", "True", "DoesNotExist"),
    ]
    assert status["failure"]["kind"] == REDIRECTED.kind.code
    assert status["failure"]["evidence"][0]["where"].startswith("GET http://binder.example.org/")
    assert (status["secret"], status["notAfter"], status["order"]) == (None, None, ATTEMPT)
    assert waiting["spec"]["issuers"] == ["letsencrypt", "zerossl"]
    assert served["status"]["notAfter"] == served["status"]["secret"]["notAfter"]
    assert served["status"]["renewalTime"] < served["status"]["notAfter"]


async def test_addresses_stand_apart_from_names(counter: Counter) -> None:
    desk = counter.office.desk
    desk.records = [replace(desk.records[0], name="192.0.2.1")]
    spec = (await counter.get("/certificates/192.0.2.1"))["spec"]
    assert (spec["dnsNames"], spec["ipAddresses"]) == ([], ["192.0.2.1"])


async def test_what_belongs_to_one_certificate_can_be_asked_for(counter: Counter) -> None:
    assert [one["metadata"]["name"] for one in await counter.get(f"/orders?certificate={SERVED}")] == [f"{SERVED}-1"]
    assert await counter.get(f"/challenges?certificate={SERVED}") == []
    counter.office.tell(Certified("1"), order=f"{WAITING}-and-more-1")
    told = await counter.get(f"/events?certificate={WAITING}")
    assert {one["involvedObject"]["name"] for one in told} == {ATTEMPT}, "not those of a longer name"


async def test_events_say_type_reason_object_and_message(counter: Counter) -> None:
    counter.office.journal.append(
        f"certificate/{SERVED}", Foreseen(PORT_REFUSED("192.0.2.1:80 refuses"), Confidence.INSIDE)
    )
    *_, last = await counter.get("/events")
    assert (last["type"], last["reason"]) == ("Warning", "RenewalEndangered")
    assert last["involvedObject"] == {"kind": "Certificate", "name": SERVED}
    assert last["message"].startswith("Nothing listens on port 80: 192.0.2.1:80 refuses.")
    assert last["message"].endswith("(as seen from this machine) [cert.port-refused]")


async def test_events_are_those_of_launches_and_sessions_too(counter: Counter) -> None:
    address = RepoAddress("gh", "octo/hello/HEAD", "https://github.com/octo/hello", "HEAD", "hello")
    counter.office.journal.append("launch/7", Requested(address, "192.0.2.9"))
    counter.office.journal.append("launch/7", Logged(Phase.BUILDING, "a line"))
    counter.office.journal.append("launch/7", Failed(PORT_REFUSED("nobody")))
    *_, asked, failed = await counter.get("/events")
    assert asked["involvedObject"] == failed["involvedObject"] == {"kind": "Launch", "name": "7"}
    assert (asked["type"], asked["reason"]) == ("Normal", "Requested")
    assert asked["message"] == "v2/gh/octo/hello/HEAD asked for by 192.0.2.9"
    assert (failed["type"], failed["reason"]) == ("Warning", "Failed")
    assert failed["message"].endswith("[cert.port-refused]")
    assert "7" not in {one["involvedObject"]["name"] for one in await counter.get(f"/events?certificate={SERVED}")}


async def test_an_attempt_s_events_are_followed_to_its_end(counter: Counter) -> None:
    seen = []
    async with aclosing(counter.lines(f"/orders/{ATTEMPT}/events?follow=1")) as lines:
        async for line in lines:
            seen.append(line["told"]["reason"])
            if seen[-1] == "Presented":
                counter.office.tell(Waiting("the CA has been processing since 12 s", None, 0))
            elif seen[-1] == "Waiting":
                counter.office.tell(Certified("1"))
    assert seen[-3:] == ["Presented", "Waiting", "Certified"], "and the stream ended by itself"


async def test_a_watch_tells_all_then_what_changes(counter: Counter) -> None:
    desk = counter.office.desk
    told = []
    async with aclosing(counter.lines("/certificates?watch=1")) as lines:
        async for line in lines:
            told.append((line["type"], line["object"]["metadata"]["name"] if "object" in line else ""))
            if line["type"] == "BOOKMARK":
                desk.records[0] = replace(desk.records[0], verdict="now another", failing_since=1.0)
                counter.office.tell(Waiting("the CA", None, 0))
            elif line["type"] == "MODIFIED":
                assert line["object"]["status"]["verdict"] == "now another"
                del desk.records[1]
                counter.office.tell(Waiting("the CA", None, 0))
            elif line["type"] == "DELETED":
                break
    assert told == [("ADDED", WAITING), ("ADDED", SERVED), ("BOOKMARK", ""), ("MODIFIED", WAITING), ("DELETED", SERVED)]


async def test_one_object_can_be_watched_by_its_name(counter: Counter) -> None:
    async with aclosing(counter.lines(f"/certificates/{SERVED}?watch=1")) as lines:
        told = [await anext(lines), await anext(lines)]
    assert [line["type"] for line in told] == ["ADDED", "BOOKMARK"]
    assert told[0]["object"]["metadata"]["name"] == SERVED


@pytest.mark.parametrize("kind", ["sessions", "launches", "environments", "events", "orders"])
async def test_every_kind_can_be_watched(counter: Counter, kind: str) -> None:
    async with aclosing(counter.lines(f"/{kind}?watch=1")) as lines:
        async for line in lines:
            if line["type"] == "BOOKMARK":
                return
    pytest.fail("the watch ended")


async def test_a_watch_ends_when_its_reader_leaves(counter: Counter) -> None:
    journal = counter.office.journal
    before = len(journal.listeners)
    async with aclosing(counter.lines("/certificates?watch=1")) as lines:
        await anext(lines)
        assert len(journal.listeners) == before + 1
    async with asyncio.timeout(10):
        while len(journal.listeners) > before:
            await asyncio.sleep(0.01)


async def test_issue_and_renew_begin_an_attempt_and_name_it(counter: Counter) -> None:
    assert await counter.post(f"/certificates/{WAITING}/issue") == {"order": ATTEMPT}
    assert await counter.post(f"/certificates/{SERVED}/renew", {"force": True}) == {"order": f"{SERVED}-1"}
    assert counter.office.desk.told == [("issue", WAITING, False), ("issue", SERVED, True)]


async def test_revoke_and_import_reach_the_keeper(counter: Counter) -> None:
    assert await counter.post(f"/certificates/{SERVED}/revoke", {"reason": "superseded"}) == {"revoked": SERVED}
    told = await counter.post(f"/certificates/{SERVED}/import", {"chain": CHAIN, "key": KEY, "origin": "/etc/x.pem"})
    assert told["imported"] == SERVED
    assert counter.office.desk.told == [
        ("revoke", SERVED, "superseded"),
        ("import", SERVED, CHAIN, KEY, "/etc/x.pem"),
    ]


async def test_the_key_leaves_only_where_it_is_asked_for(counter: Counter) -> None:
    assert await counter.get(f"/certificates/{SERVED}/export") == {"chain": CHAIN}
    answer = await counter.client.get(f"/certificates/{SERVED}/export?key=1")
    assert answer.json() == {"chain": CHAIN, "key": KEY}
    assert answer.headers["cache-control"] == "no-store"
    (counter.office.desk.folder / "key.pem").unlink()
    refused = await counter.get(f"/certificates/{SERVED}/export?key=1", 409)
    assert refused["failure"]["kind"] == FILE_UNREADABLE.code


async def test_no_list_holds_a_token_or_a_key(counter: Counter) -> None:
    kinds = ("certificates", "orders", "challenges", "issuers", "secrets", "events", f"orders/{ATTEMPT}/events")
    said = "".join([(await counter.client.get(f"/{kind}")).text for kind in kinds])
    assert "ChallengePresented" in said
    assert TOKEN not in said
    assert KEY.strip() not in said


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/certificates/none.example.org", None, 404, "platform.no-such-object"),
        ("GET", "/certificates/none.example.org/export", None, 404, "platform.no-such-object"),
        ("GET", "/orders/none-1/events", None, 404, "platform.no-such-object"),
        ("POST", "/certificates/none.example.org/issue", None, 404, "platform.no-such-object"),
        ("POST", f"/certificates/{SERVED}/import", b'{"chain": 1}', 409, "start.bad-request"),
        ("POST", f"/certificates/{SERVED}/issue", b"[]", 409, "start.bad-request"),
        ("POST", f"/certificates/{SERVED}/issue", b"{", 409, "start.bad-request"),
    ],
)
async def test_what_cannot_be_done_is_told_as_a_failure(
    counter: Counter, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    answer = await counter.client.request(method, path, content=body)
    assert (answer.status_code, answer.json()["failure"]["kind"]) == (status, code)
    assert counter.office.desk.told == []


async def test_the_root_is_told_and_made_where_there_is_none(counter: Counter, state: State) -> None:
    assert not state.local_ca.exists()
    told = await counter.get("/trust")
    assert told == {"root": (state.local_ca / "root.pem").read_text()}
