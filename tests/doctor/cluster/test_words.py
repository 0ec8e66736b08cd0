"""Words of other programs, as their sources write them: what the doctor makes of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doctor.cluster.world import (
    Broken,
    ago,
    certificate,
    challenge,
    codes,
    event,
    order,
    pod,
    request,
    waiting,
)

USER = "jupyter-b"


def challenged(words: str) -> Broken:
    return Broken((certificate(False), request(), order(), challenge(words, "invalid")))


def ordered(words: str) -> Broken:
    return Broken((certificate(False), request(), order("errored", f"Failed to create Order: {words}")))


def unpulled(words: str) -> Broken:
    stuck = waiting(USER, "ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {words}')
    return Broken((stuck, event(stuck, "Failed", f'Failed to pull image "x": {words}')))


def evicted(words: str) -> Broken:
    gone = pod(USER, "singleuser-server", age=900)
    return Broken((gone | {"status": {"phase": "Failed", "reason": "Evicted", "message": words}},))


def refused(words: str, age: float = 600) -> Broken:
    begun = f"[E {ago(age)} JupyterHub user:1019] Unhandled error starting ada's server: (403)\n"
    said = words.replace('"', '\\"')
    return Broken(logs={"hub.log": f'{begun}{{"kind":"Status","message":"{said}","reason":"Forbidden","code":403}}\n'})


def stored(words: str, age: float = 600, times: int = 1) -> Broken:
    return Broken(logs={"hub.log": f"{ago(age)} rpc error: code = Unavailable desc = {words}\n" * times})


def logged(words: str) -> Broken:
    return Broken(logs={"binder.log": f"[I] 200 GET /health\n[W] {words}\n[I] end"})


WAYS: tuple[Callable[..., Broken], ...] = (challenged, ordered, unpulled, evicted, refused, stored, logged)
MET = {one.__name__: one for one in WAYS}
WORDS = [case.split("\n", 1) for case in (Path(__file__).parent / "words.txt").read_text().split("\n## ")[1:]]


@pytest.mark.parametrize(("head", "words"), WORDS, ids=[head.partition(" | ")[0] for head, _ in WORDS])
def test_what_a_source_writes_is_known_by_its_very_words(head: str, words: str) -> None:
    _, met, code, *said = head.split(" | ")
    how, *more = met.split()
    told = MET[how](words.strip(), *map(int, more)).seen().told
    if code == "nothing":
        assert not told
        return
    [root] = told  # what a Git host answers says nothing of the hub, nor a limit of a full disk
    assert code in codes(told)
    one = root.finding
    assert words.partition('"')[0].strip()[:40] in " ".join(place.saw for place in one.failure.evidence)
    assert all(words in f"{one.failure.cause} {one.failure.remedy} {one.commands}" for words in said)
