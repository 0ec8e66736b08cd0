"""Perijove put into a cluster and taken out of it again, against an API that speaks the wire protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from typer.testing import CliRunner, Result

from perijove.backends.kubernetes import applying
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.applying import Done
from perijove.backends.kubernetes.exposing import Expose
from perijove.backends.kubernetes.installing import Options, manifests
from perijove.cli.main import app
from perijove.domain.failures import Fail
from perijove.domain.settings_layers import Layer, merged
from tests.fakes.session_cluster import status
from tests.fakes.whole_cluster import WholeCluster, whole_cluster

pytestmark = pytest.mark.same_for_any_user

OPTIONS = Options(f"registry.example.org/perijove@sha256:{'a' * 64}")
SETTINGS = """
[service]
hosts = ["binder.example.org"]
[engine]
registry = "registry.example.org/perijove"
"""
OWN = {"service.hosts": ["binder.example.org"], "engine.placeholders": 2}
BEHIND = {**OWN, "engine.placeholders": 0, "service.behind": ["10.0.0.0/8"]}
INGRESS = replace(OPTIONS, expose=Expose.INGRESS, issuer="letsencrypt")


@dataclass
class World:
    """A cluster, and how it is asked."""

    double: WholeCluster
    api: Cluster

    async def install(self, given: dict[str, Any], options: Options = OPTIONS) -> dict[str, Done]:
        settings, told = merged([Layer("file", given)])
        wanted = manifests(settings, told, options)
        return {name: done async for name, done in applying.install(self.api, wanted, settings, options)}

    async def uninstall(self, *, purge: bool = False) -> list[str]:
        settings, _ = merged([Layer("file", OWN)])
        return [name async for name, _ in applying.uninstall(self.api, settings, OPTIONS, purge=purge)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with whole_cluster(tmp_path) as (double, config):
        api = Cluster("", str(config))
        yield World(double, api)
        await api.close()


async def test_a_second_installation_changes_nothing_and_a_third_what_was_changed(world: World) -> None:
    made = await world.install(OWN)
    assert set(made.values()) == {Done.MADE}
    assert len(world.double.objects) == len(made)
    assert set((await world.install(OWN)).values()) == {Done.SAME}
    changed = await world.install({**OWN, "service.title": "Binder"})
    assert {name for name, done in changed.items() if done is not Done.SAME} == {
        "ConfigMap perijove in perijove-system", "Deployment perijove in perijove-system",
    }  # fmt: skip


async def test_what_others_wrote_into_an_object_stays(world: World) -> None:
    await world.install(OWN)
    service = world.double.objects["/api/v1/namespaces/perijove-system/services/perijove"]
    service["metadata"]["annotations"] = {"cloud.example/balancer": "one"}
    assert (await world.install(OWN))["Service perijove in perijove-system"] is Done.SAME
    assert service["metadata"]["annotations"] == {"cloud.example/balancer": "one"}


async def test_other_options_take_away_what_those_before_had_brought(world: World) -> None:
    await world.install(OWN)
    done = await world.install(BEHIND, INGRESS)
    assert {name.partition(" in ")[0] for name, one in done.items() if one is Done.REMOVED} == {
        "Deployment perijove-placeholder", "PriorityClass perijove-perijove-placeholder",
    }  # fmt: skip
    assert "Ingress perijove" in world.double.kinds
    await world.install(OWN)
    assert "Ingress perijove" not in world.double.kinds


async def test_an_uninstallation_leaves_volume_certificates_and_what_is_not_ours(world: World) -> None:
    await world.install(BEHIND, INGRESS)
    labels = {"app.kubernetes.io/managed-by": "perijove", "app.kubernetes.io/instance": "perijove"}
    of_session = {**labels, "app.kubernetes.io/component": "session"}
    for name, label in (("perijove-one", of_session), ("another", {})):
        about = {"name": name, "labels": label}
        world.double.hold(f"/api/v1/namespaces/perijove/pods/{name}", {"kind": "Pod", "metadata": about})
    ahead = {"kind": "DaemonSet", "metadata": {"name": "perijove-prepull", "labels": of_session}}
    world.double.hold("/apis/apps/v1/namespaces/perijove/daemonsets/perijove-prepull", ahead)
    tls = {"kind": "Secret", "metadata": {"name": "perijove-tls"}}
    world.double.hold("/api/v1/namespaces/perijove-system/secrets/perijove-tls", tls)
    await world.uninstall()
    left = ["Namespace perijove", "Namespace perijove-system", "Pod another"]
    assert world.double.kinds == sorted([*left, "PersistentVolumeClaim perijove", "Secret perijove-tls"])
    await world.uninstall()
    await world.uninstall(purge=True)
    assert world.double.kinds == left


async def test_what_the_cluster_refuses_is_told_with_the_object(world: World) -> None:
    role = "/apis/rbac.authorization.k8s.io/v1/namespaces/perijove/roles/perijove"
    words = 'roles.rbac.authorization.k8s.io is forbidden: User "ada" cannot patch resource "roles" in API group'
    world.double.refusals[role] = status(403, "Forbidden", words)
    with pytest.raises(Fail) as caught:
        await world.install(OWN)
    assert caught.value.failure.kind.code == "cluster.change-refused"
    assert "Role perijove in perijove" in caught.value.failure.cause
    assert "Deployment perijove" not in world.double.kinds


@pytest.mark.parametrize(
    "answer",
    [
        # As 1.20.2 and later ones have it.
        lambda: status(500, "", "failed to create typed patch object: .spec.hostUsers: field not declared in schema"),
        lambda: web.Response(text="404 page not found", status=404),
    ],
    ids=["field", "kind"],
)
async def test_what_a_cluster_does_not_know_is_told_with_what_would(
    world: World, answer: Callable[[], web.Response]
) -> None:
    world.double.refusals["/apis/apps/v1/namespaces/perijove-system/deployments/perijove"] = answer()
    with pytest.raises(Fail) as caught:
        await world.install(OWN)
    assert caught.value.failure.kind.code == "cluster.change-refused"
    assert "--privileged" in caught.value.failure.remedy


async def run(*words: str) -> Result:
    """The command, beside the loop that the API's double runs on."""
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def test_the_commands_print_what_they_would_apply_apply_it_and_remove_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "perijove.toml"
    settings.write_text(SETTINGS)
    words = ("--config", f"{settings}", "--image", OPTIONS.image)
    async with whole_cluster(tmp_path) as (double, config):
        monkeypatch.setenv("KUBECONFIG", f"{config}")
        printed = await run("install", "kubernetes", *words, "--dry-run")
        assert (printed.exit_code, double.objects) == (0, {})
        assert "keep = 0" not in printed.output, "it follows from engine.kind, and is no wish of the operator's"
        wanted = sorted(f"{one['kind']} {one['metadata']['name']}" for one in yaml.safe_load_all(printed.output))
        done = await run("install", "kubernetes", *words)
        assert done.exit_code == 0, done.output
        assert double.kinds == wanted
        assert "✓ Deployment perijove in perijove-system: made" in done.output
        gone = await run("uninstall", "kubernetes", *words[:2])
        assert gone.exit_code == 0, gone.output
        assert {one.partition(" ")[0] for one in double.kinds} == {"Namespace", "PersistentVolumeClaim"}


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("[platform]\nroot = 'auto'\n", "platform.root"),
        ("[home]\npath = '/home'\n", "home.path"),
        ("[session]\negress_allowed = ['mirror.example.org:443']\n", "session.egress_allowed"),
        ("instance = 'My_Binder'\n", "engine.instance"),
        ("namespace = 'Sessions'\n", "engine.namespace"),
        ("registry = 'registry.example.org'\n", "engine.registry"),
        ("registry = 'localhost:5000/perijove'\n", "engine.registry"),
    ],
)
async def test_what_would_keep_the_control_plane_from_starting_is_told_before_anything_is_made(
    tmp_path: Path, added: str, told: str
) -> None:
    """Whether the settings say `engine.kind` or not."""
    settings = tmp_path / "perijove.toml"
    settings.write_text((SETTINGS.partition("registry")[0] if added.startswith("registry") else SETTINGS) + added)
    done = await run("install", "kubernetes", "--config", f"{settings}", "--image", OPTIONS.image, "--dry-run")
    assert isinstance(done.exception, Fail)
    assert (done.output, told in done.exception.failure.cause) == ("", True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("install", "--dry-run", "kubernetes", "--image", OPTIONS.image), "options stand after"),
        (("uninstall", "--purge", "kubernetes"), "options stand after"),
        (("install", "kubernetes", "--image", "perijove:latest"), "digest"),
        (("install", "kubernetes", "--image", OPTIONS.image, "--expose", "nowhere"), "gateway"),
    ],
    ids=["dry run of the other", "purge of the other", "tag", "expose"],
)
async def test_what_is_not_understood_changes_nothing(words: tuple[str, ...], told: str) -> None:
    done = await run(*words)
    assert done.exit_code == 2
    assert told in done.output
