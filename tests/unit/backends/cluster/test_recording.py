"""A folder that somebody sent: whatever is broken in it is named, the rest is read, and nothing outside it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from perijove.backends.cluster.recording import END_OF_LOG, recorded
from perijove.domain.cluster import Recording, moment
from perijove.domain.failures import Fail
from perijove.wiring.cluster import from_folder
from tests.doctor.cluster.world import event, node, pod, secret

POD = pod("hub-1", "hub")


def written(folder: Path, **files: bytes | str) -> Path:
    """Files by name, `__` for a dot; one good pod is always there."""
    (folder / "pods.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [POD]}))
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def names(seen: Recording) -> list[str]:
    return sorted(one.name for one in seen.things)


BROKEN: dict[str, bytes | str] = {
    "cut__yaml": 'items:\n- kind: Pod\n  metadata: {name: "a',
    "cut__json": '{"items": [{"kind": "Pod"',
    "binary__yaml": b"\x00\x01\xff\xfe",
    "deep__json": "[" * 100_000,
    "deep__yaml": "- " * 5_000 + "a",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_named_and_leaves_the_others(tmp_path: Path, name: str) -> None:
    seen = recorded(written(tmp_path, **{name: BROKEN[name]}))
    assert names(seen) == ["hub-1"]
    assert list(seen.unseen) == [name.replace("__", ".")]


@pytest.mark.parametrize(
    "content",
    ["", "just words", "[1, 2]", "kind: Pod", "kind: Pod\nmetadata: words", "items: words", "items: [1, null, words]"],
)
def test_what_is_no_object_is_passed_over(tmp_path: Path, content: str) -> None:
    seen = recorded(written(tmp_path, other__yaml=content))
    assert names(seen) == ["hub-1"]


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(yaml.safe_dump(pod("stranger")))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "logs").mkdir()
    (inside / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (inside / "logs" / "hub.log").symlink_to(tmp_path / "outside.yaml")
    (inside / "served-443.pem").symlink_to(tmp_path / "outside.yaml")
    seen = recorded(written(inside))
    assert (names(seen), seen.logs, seen.served) == (["hub-1"], {}, {})


def test_only_the_end_of_a_log_is_kept(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "hub.log").write_text("old\n" * END_OF_LOG + "the last line\n")
    (log,) = recorded(written(tmp_path)).logs.values()
    assert len(log) == END_OF_LOG
    assert log.endswith("the last line\n")


def test_probes_that_are_none_are_named(tmp_path: Path) -> None:
    seen = recorded(written(tmp_path, probes__json='{"probes": ['))
    assert (seen.probes, list(seen.unseen)) == ((), ["probes.json"])
    odd = {"now": 7, "probes": [1, {"kind": "telepathy"}, {"kind": "http"}, {"kind": "http", "hops": "words"}]}
    unseen = recorded(written(tmp_path, probes__json=json.dumps(odd))).unseen
    assert unseen == {"probes.json": "1 probes are of kinds that are not known here"}


def test_a_front_that_is_not_nginx_is_told_and_the_rest_is_judged(tmp_path: Path) -> None:
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "haproxy.cfg").write_text("frontend http\n  bind :80\n")
    seen = from_folder(written(tmp_path), None)
    assert names(seen) == ["hub-1"]
    assert "front/" in seen.unseen


def test_it_is_judged_at_the_newest_time_in_it(tmp_path: Path) -> None:
    told = event(POD, "Started", "Started container", "Normal", age=5)
    seen = recorded(written(tmp_path, events__yaml=yaml.safe_dump({"kind": "EventList", "items": [told]})))
    assert seen.now == moment(told["lastTimestamp"])
    assert "Event" in seen.now_from
    assert recorded(tmp_path, 1234.0).now == 1234.0


def test_single_objects_and_lists_of_a_kind_mix(tmp_path: Path) -> None:
    bare = {key: value for key, value in node().items() if key not in {"kind", "apiVersion"}}
    nodes = json.dumps({"apiVersion": "v1", "kind": "NodeList", "items": [bare]})
    many = yaml.safe_dump_all([pod("a"), pod("b")])
    seen = recorded(written(tmp_path, one__json=nodes, many__yml=many))
    assert names(seen) == ["a", "b", "hub-1", "node1"]


def test_no_value_of_a_secret_or_of_an_environment_is_kept(tmp_path: Path) -> None:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    env = {kind: [{"name": "P", "value": "s3cr3t"}] for kind in kinds}
    hidden = pod("a", spec={kind: [{"name": "main", "image": "x", "env": env[kind]}] for kind in kinds})
    hidden["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "s3cr3t"}
    whole = yaml.safe_dump_all([secret("hub", token="s3cr3t", tls__key="s3cr3t"), hidden])
    seen = recorded(written(tmp_path, secrets__yaml=whole))
    assert names(seen) == ["a", "hub", "hub-1"]
    assert "s3cr3t" not in repr(seen)
    assert "czNjcjN0" not in repr(seen), "nor in base64"


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["no folder", "nothing in it"])
def test_what_is_no_recording_is_refused(tmp_path: Path, make: object) -> None:
    folder = tmp_path / "recording"
    assert callable(make)
    make(folder)
    with pytest.raises(Fail) as raised:
        recorded(folder)
    assert raised.value.failure.kind.code == "cluster.recording-unreadable"
