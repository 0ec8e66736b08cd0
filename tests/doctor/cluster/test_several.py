"""Several faults at once: each root is told by itself, and no consequence is told as a root."""

from __future__ import annotations

import pytest

from tests.doctor.cluster.test_certificates import SELF_CHECK, challenged
from tests.doctor.cluster.world import Broken, codes, crashing, event, settings, unplaced, waiting

NO_PLACE = unplaced("jupyter-b", "0/2 nodes are available: 2 Insufficient memory.")
UNPULLED = waiting("jupyter-c", "ImagePullBackOff", 'Back-off pulling image "x:1"', image="registry.example.org/x:1")
PULLED_NOT = event(UNPULLED, "Failed", 'Failed to pull image "registry.example.org/x:1": manifest unknown')
CRASH = crashing("hub-1", component="hub", container="hub")
NO_USER = "[E] Error creating user: HTTP 599: Failed to connect to hub port 8081: Connection refused"
NOT_FOUND = challenged(SELF_CHECK + "wrong status code '404', expected '200'").add

CASES = {
    "no room, and an image that is not there": (
        Broken((NO_PLACE, UNPULLED, PULLED_NOT)),
        {"cluster.pod-unschedulable-full", "cluster.image-not-found"},
    ),
    "no room, and a challenge that does not get through": (
        Broken((NO_PLACE, *NOT_FOUND)),
        {"cluster.pod-unschedulable-full", "cluster.acme-http01-selfcheck-404"},
    ),
    "a hub that crashes, with launches that fail for it, and no room": (
        Broken((CRASH, NO_PLACE), logs={"binder.log": NO_USER}),
        {"cluster.hub-crashloop", "cluster.pod-unschedulable-full"},
    ),
    "an address that nobody replaced, and an image that is not there": (
        Broken((settings(hub_url="https://hub.<your-domain>", hub_url_local=None), UNPULLED, PULLED_NOT)),
        {"cluster.hub-url-placeholder", "cluster.image-not-found"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_root_is_told_once(name: str) -> None:
    broken, roots = CASES[name]
    told = broken.seen().told
    assert {one.finding.code for one in told} == roots
    assert len(told) == len(roots)
    assert len(codes(told)) == len(set(codes(told))), "nothing is told twice"


def test_one_cause_of_many_pods_is_told_once() -> None:
    many = [unplaced(f"jupyter-{number}", "0/2 nodes are available: 2 Insufficient memory.") for number in range(40)]
    (root,) = Broken(tuple(many)).seen().told
    assert len(root.finding.failure.evidence) <= 8, "some of them speak for all"


def test_a_page_that_says_no_user_could_be_made_excludes_images_places_and_storage() -> None:
    """What merely happens to be there too is told by itself; it is not named as the reason of the launches' failure."""
    log = {"binder.log": "[E] Error creating user: HTTP 599: SSL certificate problem: certificate has expired"}
    told = Broken((UNPULLED, PULLED_NOT, settings(hub_url_local=None)), logs=log).seen().told
    by_code = {one.finding.code: one for one in told}
    assert "cluster.image-not-found" in by_code
    assert not by_code["cluster.image-not-found"].explains
