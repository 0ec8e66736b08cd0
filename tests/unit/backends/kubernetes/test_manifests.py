"""What a cluster is asked for: held to Kubernetes' published schemas, and to the restricted Pod Security Standard."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from perijove.backends.kubernetes import jobs
from perijove.backends.kubernetes.manifests import STAYS, Owner, Terms, Work, pod, secret, selector
from perijove.backends.kubernetes.policies import policy
from perijove.domain.failures import Fail
from perijove.domain.nouns import Egress, ForeignRun
from perijove.domain.reach import why_not
from tests.fakes.confined import LIMITS, spec
from tests.fakes.pod_security import RESTRICTED
from tests.fakes.schemas import wrong_manifest

Json = dict[str, Any]
WORK = Work(f"registry.example/env@sha256:{'a' * 64}", {"repository": "gh/owner/repo", "person": "ada"})
PLAIN = Terms("sessions")
FULL = Terms(
    "sessions", owner=Owner("apps/v1", "Deployment", "perijove", "1b4e28ba"), runtime_class="gvisor", host_users=False,
    priority_class="classes", pull_secrets=("registry",), deadline=3600.0,
)  # fmt: skip
RUN = ForeignRun(
    "build-1", ("sh", "-c", "make"), (("PIP_TOKEN", "hidden"),), (), None, "dist", LIMITS, Egress.PUBLIC, (), 600,
)  # fmt: skip
IMAGE = WORK.image
ONE = spec("one", Path("/checkout"), egress=Egress.PUBLIC, allowed=("10.1.0.0/16:5432", "[fd00::1]:80"))
MADE = {"metadata": {"uid": "5d2f"}}
VERSIONS = ("1.29", "1.31", "1.34")


def inner(told: Json) -> Json:
    container: Json = told["spec"]["containers"][0]
    return container


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("terms", [PLAIN, FULL], ids=["plain", "full"])
def test_all_manifests_are_what_the_published_schemas_hold(version: str, terms: Terms) -> None:
    for manifest in (pod(ONE, WORK, terms), secret(ONE, MADE, "of-files", terms), policy(ONE, terms)):
        assert wrong_manifest(manifest, version) == ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("terms", [PLAIN, FULL], ids=["plain", "full"])
def test_a_build_s_manifests_are_too(version: str, terms: Terms) -> None:
    made = {"metadata": {"name": "perijove-build-1-ab", "uid": "5d2f"}}
    built = jobs.job(RUN, "perijove-build-1-ab", IMAGE, terms)
    for manifest in (built, jobs.variables(RUN, made, "token", terms), policy(RUN, terms)):
        assert wrong_manifest(manifest, version) == ""


@pytest.mark.parametrize("rule", RESTRICTED)
def test_a_build_s_pod_is_of_the_restricted_profile_too(rule: str) -> None:
    assert RESTRICTED[rule](jobs.job(RUN, "perijove-build-1-ab", IMAGE, FULL)["spec"]["template"])


def test_a_build_is_no_session_has_one_try_and_an_end_and_its_own_policy() -> None:
    built = jobs.job(RUN, "perijove-build-1-ab", IMAGE, FULL)
    template = built["spec"]["template"]
    for labels in (built["metadata"]["labels"], template["metadata"]["labels"]):
        assert not selector(FULL).items() <= labels.items()
        assert policy(RUN, FULL)["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        assert not policy(ONE, FULL)["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert built["spec"]["backoffLimit"] == 0
    assert built["spec"]["activeDeadlineSeconds"] > RUN.timeout
    assert built["spec"]["ttlSecondsAfterFinished"]
    assert built["metadata"]["ownerReferences"][0]["uid"] == "1b4e28ba"
    one = template["spec"]
    assert (one["runtimeClassName"], one["hostUsers"], one["restartPolicy"]) == ("gvisor", False, "Never")
    assert one["imagePullSecrets"] == [{"name": "registry"}]
    assert "hidden" not in json.dumps(built)
    made = {"metadata": {"name": "perijove-build-1-ab", "uid": "5d2f"}}
    hidden = jobs.variables(RUN, made, "token", FULL)["metadata"]
    assert (hidden["ownerReferences"][0]["kind"], hidden["name"]) == ("Job", "perijove-build-1-ab")


def test_of_the_hosts_that_builds_may_reach_addresses_are_opened() -> None:
    run = replace(RUN, egress_allowed=("pypi.org:443", "10.1.2.3:8443"))
    (*_, opened) = policy(run, PLAIN)["spec"]["egress"]
    assert opened["to"] == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
    assert len(policy(run, PLAIN)["spec"]["egress"]) == len(policy(RUN, PLAIN)["spec"]["egress"]) + 1


def test_a_manifest_with_a_field_that_does_not_exist_would_be_found() -> None:
    wrong = pod(ONE, WORK, PLAIN)
    wrong["spec"]["hostUser"] = False
    assert "hostUser" in wrong_manifest(wrong, "1.29")


@pytest.mark.parametrize("rule", RESTRICTED)
def test_a_session_is_a_pod_of_the_restricted_profile(rule: str) -> None:
    assert RESTRICTED[rule](pod(ONE, WORK, FULL))


def test_a_pod_says_whose_it_is_and_has_no_account_no_secret_and_an_end() -> None:
    one = pod(ONE, WORK, FULL)
    assert one["metadata"]["labels"]["perijove/session"] == "one"
    about = {"perijove/repository": "gh/owner/repo", "perijove/person": "ada"}
    assert one["metadata"]["annotations"] == {**about, **STAYS}
    assert one["metadata"]["ownerReferences"][0]["name"] == "perijove"
    assert one["spec"]["automountServiceAccountToken"] is False
    assert (one["spec"]["hostUsers"], one["spec"]["runtimeClassName"]) == (False, "gvisor")
    assert one["spec"]["priorityClassName"] == "classes"
    assert (one["spec"]["activeDeadlineSeconds"], one["spec"]["restartPolicy"]) == (3600, "Never")
    assert "the-session-secret" not in json.dumps(one)
    assert secret(ONE, MADE, "of-files", FULL)["metadata"]["ownerReferences"][0] == {
        "apiVersion": "v1", "kind": "Pod", "name": "perijove-one", "uid": "5d2f",
    }  # fmt: skip


def test_limits_are_the_class_s_and_memory_is_promised_whole() -> None:
    told = inner(pod(ONE, WORK, PLAIN))["resources"]
    assert told["limits"] == {"memory": f"{256 << 20}", "cpu": "2000m", "ephemeral-storage": f"{80 << 20}"}
    assert told["requests"] == {**told["limits"], "cpu": "100m"}


@pytest.mark.parametrize("image", ["registry.example/env:latest", "env@sha256:abc", ""], ids=["tag", "short", "none"])
def test_an_image_without_its_digest_is_refused(image: str) -> None:
    with pytest.raises(Fail) as caught:
        pod(ONE, replace(WORK, image=image), PLAIN)
    assert caught.value.failure.kind.code == "start.sandbox-failed"


def reached(address: str, port: int, told: Json) -> bool:
    """Whether a policy lets an address of the outside be reached, as NetworkPolicy v1 says."""
    where = ip_address(address)
    for rule in told["spec"]["egress"]:
        blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
        inside = [one for one in blocks if where in ip_network(one["cidr"])]
        open_ports = [one["port"] for one in rule["ports"]]
        if port in open_ports and any(
            not any(where in ip_network(without) for without in one.get("except", ())) for one in inside
        ):
            return True
    return False


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "2606:4700::1111", "10.0.0.1", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200",
     "127.0.0.1", "::1", "fd00:ec2::254", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "224.0.0.1",
     "192.0.2.1", "192.88.99.1", "198.51.100.1", "203.0.113.1", "240.0.0.1", "fec0::1", "::10.0.0.1", "5f00::1",
     "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:20::1", "2001:db8::1", "4000::1", "ff02::1"],
)  # fmt: skip
def test_what_is_not_public_is_not_reached_as_on_one_machine(address: str) -> None:
    public = policy(replace(ONE, egress_allowed=()), PLAIN)
    assert reached(address, 443, public) == (why_not(address) == "")
    assert not reached(address, 22, public)
    assert not reached(address, 443, policy(replace(ONE, egress=Egress.NONE, egress_allowed=()), PLAIN))


@pytest.mark.parametrize("address", ["169.254.20.10", "169.254.169.254"], ids=["NodeLocal DNSCache", "Cloud DNS"])
def test_names_are_answered_for_at_a_node_s_own_addresses_too_where_nothing_else_is_reached(address: str) -> None:
    public = policy(replace(ONE, egress_allowed=()), PLAIN)
    assert reached(address, 53, public)
    assert not reached(address, 80, public)
    assert not reached(address, 53, policy(replace(ONE, egress=Egress.NONE, egress_allowed=()), PLAIN))


def test_its_server_and_its_files_are_reached_by_the_control_plane_alone() -> None:
    (rule,) = policy(ONE, PLAIN)["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == [8888, 8889]
    labels = [one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in rule["from"]]
    assert labels == ["control-plane"] * 2


def test_what_nat64_translates_is_closed_since_it_may_be_private() -> None:
    assert not reached("64:ff9b::101:101", 443, policy(replace(ONE, egress_allowed=()), PLAIN))


def test_what_the_operator_opens_is_reached_at_its_port_alone() -> None:
    told = policy(replace(ONE, egress=Egress.NONE), PLAIN)
    assert [reached(*one, told) for one in (("10.1.2.3", 5432), ("fd00::1", 80), ("10.1.2.3", 80))] == [
        True,
        True,
        False,
    ]


def test_policies_of_different_rules_are_different_objects_and_nobody_comes_in_but_ours() -> None:
    names = {policy(one, PLAIN)["metadata"]["name"] for one in (ONE, replace(ONE, egress_allowed=()))}
    assert len(names) == 2
    peers = policy(ONE, PLAIN)["spec"]["ingress"][0]["from"]
    assert {peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in peers} == {"control-plane"}
    homes = [peer.get("namespaceSelector") for peer in peers]  # their own namespace, and the control plane's
    assert homes == [None, {"matchLabels": {"perijove/control-plane": "perijove"}}]
