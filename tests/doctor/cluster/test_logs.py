"""What logs say beside objects that look well, or where nothing but logs was recorded."""

from __future__ import annotations

import re
import time

import pytest

from perijove.doctor.cluster.diagnosis import diagnosed
from perijove.doctor.cluster.known_lines import HUB, OTHERS, Line
from tests.doctor.cluster.world import Broken, codes, crashing, recording

LOCKED = "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked"
THREADS = "RuntimeError: can't start new thread"
GAVE_UP = "Aborting due to 5 consecutive spawn failures"
SCHEMA = (
    "Found database schema version 651f5419b74d != 0eee8c825d24. Backup your database and run `jupyterhub upgrade-db`"
)
MANAGED = "Cannot connect to managed service announcement at http://127.0.0.1:8888"
STOPPING = "400 DELETE /hub/api/users/x (1.2.3.4): x's server is in the process of stopping, please wait.\n"
BENIGN = "Failing suspected API request to not-running server: /hub/user/x/api/metrics/v1"


@pytest.mark.parametrize(
    ("log", "code"),
    [
        (LOCKED, "cluster.hub-db-locked"),
        (THREADS, "cluster.hub-threads-exhausted"),
        (STOPPING * 3, "cluster.leaked-user-pods"),
    ],
)
def test_what_a_hub_that_runs_complains_of(log: str, code: str) -> None:
    assert codes(Broken(logs={"hub.log": log}).seen().told) == [code]


WEBHOOK = 'Post "https://cert-manager-webhook.cert-manager.svc:443/mutate?timeout=10s": x509: unknown authority'


def test_what_the_api_server_cannot_call() -> None:
    log = f'failed calling webhook "webhook.cert-manager.io": failed to call webhook: {WEBHOOK}'
    assert codes(Broken(logs={"other.log": log}).seen().told) == ["cluster.cert-manager-webhook-broken"]


@pytest.mark.parametrize(
    "log",
    [
        'msg="strict SNI enabled - No certificate found for domain: \\"scanner.example\\", closing connection"',
        '"Ignoring ingress because of error while validating ingress class" ingress="other/theirs" '
        'error="ingress does not contain a valid IngressClass"',
    ],
    ids=["somebody asked for another name", "somebody else's Ingress"],
)
def test_what_healthy_clusters_write_too(log: str) -> None:
    assert Broken(logs={"other.log": log}).seen().well


@pytest.mark.parametrize(
    "log", [SCHEMA, MANAGED, GAVE_UP, BENIGN, STOPPING], ids=["schema", "service", "spawns", "benign", "once"]
)
def test_what_is_over_or_harmless_where_the_hub_runs(log: str) -> None:
    assert Broken(logs={"hub.log": log}).seen().well


def test_what_an_earlier_hub_said_is_over() -> None:
    assert Broken(logs={"hub-previous.log": LOCKED}).seen().well


@pytest.mark.parametrize(
    ("log", "code"),
    [
        (SCHEMA, "cluster.hub-db-schema-old"),
        (MANAGED, "cluster.hub-service-unreachable"),
        (LOCKED, "cluster.hub-db-locked"),
    ],
)
def test_a_log_alone_is_believed(log: str, code: str) -> None:
    assert codes(diagnosed(recording([], logs={"hub-previous.log": log})).told) == [code]


def test_the_words_of_a_hub_that_crashes_are_told_once() -> None:
    told = codes(Broken((crashing("hub-1", component="hub", container="hub"),), logs={"hub.log": LOCKED}).seen().told)
    assert told.count("cluster.hub-db-locked") == 1


@pytest.mark.parametrize("known", [*HUB, *OTHERS], ids=lambda known: known.kind.code)
def test_every_line_that_is_known_says_whose_source_it_is_from(known: Line) -> None:
    """`jupyterhub 6.1.1 app.py, start`; or that it was met, and nobody read where it is from."""
    for place in known.source.split("; "):
        assert re.match(r"[a-z0-9]+ (?:[\d.]+|main) [\w./]+\.py|as recorded: \w+", place), place


def test_a_server_that_the_hub_does_not_start_is_told_in_the_words_of_binderhub() -> None:
    """`Error starting server{} for user {}: {}`, with a blank before the name of a named server."""
    for words in ("server for user ada-x", "server two for user ada-x"):
        log = f"[E 260310 08:58:11 launcher:170] Error starting {words}: HTTP 500: Internal Server Error"
        assert codes(Broken(logs={"binder.log": log}).seen().told) == ["cluster.launches-fail"]


@pytest.mark.parametrize("word", ['"message":"Pod ', "api/users", "[E a.a.a.a.a.a.", "Hub API ", "a-"])
def test_a_log_that_somebody_made_to_be_slow_is_read_in_time(word: str) -> None:
    line = word * (200_000 // len(word))
    began = time.process_time()
    diagnosed(recording([], logs={"hub.log": line, "binder.log": f"[E 1 {line}\n" * 3}))
    assert time.process_time() - began < 5
