"""What follows a command is told beside it, of the objects that are there."""

from __future__ import annotations

import pytest

from perijove.doctor.cluster.effects import with_effects
from perijove.doctor.cluster.view import Cluster
from perijove.domain.cluster_failures import TOKENS_CHANGE
from perijove.domain.findings import Confidence, Finding
from tests.doctor.cluster.world import Broken, pod, unplaced

USER = pod("jupyter-a", "singleuser-server")
OWNED = pod("wiki-6f5d-x", "web", owner="ReplicaSet/wiki-6f5d")
BARE = pod("web", "web")
CLUSTER = Cluster(Broken((USER, OWNED, BARE, unplaced("jupyter-b", "0/1 nodes are available"))).recorded())


def told(command: str) -> str:
    return with_effects(CLUSTER, Finding(TOKENS_CHANGE("x"), "x", Confidence.CERTAIN, commands=(command,))).commands[0]


@pytest.mark.parametrize(
    ("command", "then"),
    [
        ("kubectl -n binderhub rollout restart deployment hub proxy", "until it is ready nobody can launch"),
        ("kubectl -n binderhub rollout restart deployment/hub", "Pod binderhub/hub-1 is made anew; until it is ready"),
        ("kubectl -n binderhub rollout restart deployment wiki", "Pod binderhub/wiki-6f5d-x is made anew"),
        ("kubectl -n binderhub delete pod wiki-6f5d-x", "Pod binderhub/wiki-6f5d-x is made anew"),
        ("kubectl -n binderhub delete pod -l component=proxy", "for some seconds no session is reached"),
        ("kubectl -n binderhub delete pod jupyter-a --force", "is gone, and the session in it ends"),
        ("kubectl uncordon node1", "Pod binderhub/jupyter-b may be placed on node1"),
        ("kubectl -n a scale deployment cert-manager --replicas=1", "a pod of Deployment a/cert-manager starts"),
    ],
)
def test_what_follows_is_told(command: str, then: str) -> None:
    assert told(command).startswith(f"{command}   # then ")
    assert then in told(command)


def test_it_goes_on_from_a_comment() -> None:
    command = "kubectl -n binderhub delete pod jupyter-a --force   # only once its node is off"
    assert told(command) == f"{command}; then Pod binderhub/jupyter-a is gone, and the session in it ends"


def test_a_name_of_two_lines_makes_no_second_command() -> None:
    evil = "user\ntouch /tmp/evil\r#"
    cluster = Cluster(Broken((pod(evil, "singleuser-server"),)).recorded())
    command = "kubectl -n binderhub delete pods -l component=singleuser-server"
    finding = Finding(TOKENS_CHANGE("x"), "x", Confidence.CERTAIN, commands=(command,))
    (said,) = with_effects(cluster, finding).commands
    assert "Pod binderhub/user touch /tmp/evil # is gone" in said
    assert said.splitlines() == [said]


@pytest.mark.parametrize(
    "command",
    [
        "kubectl -n binderhub delete pod web",
        "kubectl -n binderhub delete pod gone-1",
        "kubectl -n binderhub delete pods --field-selector=status.phase=Failed",
        "kubectl get nodes -o yaml",
        "kubectl",
        "kubectl -n",
        "kubectl 'unclosed",
        "nginx -t && systemctl reload nginx",
        "# config.yaml:\nhub: {}",
    ],
)
def test_what_is_not_known_is_not_told(command: str) -> None:
    assert told(command) == command
