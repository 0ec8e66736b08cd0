"""The image of a session in a real registry: published once for all that are alike, and asked for by its tag."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.registry.addresses import repository
from perijove.backends.registry.session_images import SessionImages
from perijove.domain.failures import Fail
from perijove.domain.nouns import Egress, ForeignRun, Mount, Overlay, SandboxSpec
from perijove.domain.state import State
from tests.fakes.confined import LIMITS
from tests.fakes.docker_registry import Front, Wrong, front, needs_registry, running_registry
from tests.fakes.image_node import fetched

pytestmark = [needs_registry, pytest.mark.same_for_any_user]
COMMIT = ("BINDER_PERSISTENT_REQUEST", f"v2/gh/owner/repo/{'a' * 40}")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with running_registry(tmp_path_factory.mktemp("registry")) as registry, front(registry.port) as before:
        yield before


@pytest.fixture
def images(before: Front, state: State, request: pytest.FixtureRequest) -> SessionImages:
    before.asked.clear()
    before.does_wrong.clear()
    to = repository(f"{before.address}/{state.root.name.replace('_', 'x')}")
    assert to is not None
    return SessionImages(to, "", state.image_layers)


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    for folder in ("system/etc", "environment/bin", "checkout"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "checkout" / "index.ipynb").write_text("{}")
    (tmp_path / "authorities.pem").write_text("trusted")
    environment = tmp_path / "environment"
    mounts = (Mount(tmp_path / "authorities.pem", Path("/etc/ssl/certs/all.crt")),)
    environ = (COMMIT, ("JUPYTER_TOKEN", "the-secret"))
    return SandboxSpec(
        "one", ("python",), environ, mounts, tmp_path / "checkout", LIMITS, Egress.NONE,
        overlays=(Overlay((environment,), environment),), root=(tmp_path / "system",),
    )  # fmt: skip


async def test_what_is_alike_is_one_image_that_holds_no_session_s_secret(
    before: Front, images: SessionImages, spec: SandboxSpec, tmp_path: Path
) -> None:
    told: list[str] = []
    image = await images.published(spec, told.append)
    assert [line.split()[0] for line in told] == ["Packing", *["Pushing"] * 4, "Published"]
    before.asked.clear()
    other = replace(spec, session="two", environ=(COMMIT, ("JUPYTER_TOKEN", "another")))
    assert await images.published(other, told.append) == image
    assert [method for method, _ in before.asked] == ["HEAD"]
    root = await fetched(image, tmp_path / "fetched")
    assert (root / "etc/ssl/certs/all.crt").read_text() == "trusted", "a file that has another name there"
    assert (root / "home/jovyan/index.ipynb").read_text() == "{}"
    later = replace(spec, environ=(("BINDER_PERSISTENT_REQUEST", f"v2/gh/owner/repo/{'b' * 40}"),))
    await images.published(later, told.append)
    assert before.count("PUT") == 1, "another commit has a tag of its own, and here the same layers"


async def test_those_who_come_at_once_wait_for_the_first(
    before: Front, images: SessionImages, spec: SandboxSpec
) -> None:
    told: list[str] = []
    found = await asyncio.gather(*(images.published(spec, told.append) for _ in range(5)))
    assert len(set(found)) == 1
    assert sum(line.startswith("Packing") for line in told) == 1
    assert sum(line.startswith("Waiting") for line in told) == 4


async def test_what_the_registry_says_is_told_and_the_next_one_tries_again(
    before: Front, images: SessionImages, spec: SandboxSpec
) -> None:
    before.does_wrong.append(Wrong("HEAD", "/manifests/", 503))
    with pytest.raises(Fail) as caught:
        await images.published(spec, print)
    assert caught.value.failure.kind.code == "registry.unreachable"
    before.does_wrong.clear()
    assert "@sha256:" in await images.published(spec, print)


async def test_a_system_alone_is_an_image_whose_layers_sessions_on_it_share(
    before: Front, images: SessionImages, spec: SandboxSpec, tmp_path: Path
) -> None:
    (spec.root[0] / "etc/os-release").write_text("of the base")
    image = await images.system(spec.root, print)
    assert (await fetched(image, tmp_path / "fetched") / "etc/os-release").read_text() == "of the base"
    before.asked.clear()
    assert await images.system(spec.root, print) == image
    assert [method for method, _ in before.asked] == ["HEAD"]
    told: list[str] = []
    await images.published(spec, told.append)
    assert not [line for line in told if line.startswith("Pushing system")]


async def test_a_run_s_image_is_named_by_what_its_folders_hold_and_has_a_home_of_its_own(
    before: Front, images: SessionImages, spec: SandboxSpec, tmp_path: Path
) -> None:
    second = Overlay((tmp_path / "checkout",), Path("/opt/second"))
    run = ForeignRun("build-1", ("sh",), (), spec.mounts, None, "dist", LIMITS, Egress.NONE, (), 20,
                     (*spec.overlays, second), root=spec.root)  # fmt: skip
    image = await images.of_run(run, print)
    assert await images.of_run(replace(run, name="build-2"), print) == image
    assert sum("/manifests/build-" in path for method, path in before.asked if method == "PUT") == 1
    root = await fetched(image, tmp_path / "fetched")
    assert list((root / "home/jovyan").iterdir()) == []
    assert (root / "opt/second/index.ipynb").read_text() == "{}"
    (tmp_path / "checkout" / "index.ipynb").write_text("{...}")
    assert await images.of_run(run, print) != image


@pytest.mark.parametrize("without", [{"root": ()}, {"home_from": None}], ids=["system", "home"])
async def test_without_a_system_or_a_home_there_is_no_image(
    images: SessionImages, spec: SandboxSpec, without: dict[str, object]
) -> None:
    with pytest.raises(Fail) as caught:
        await images.published(replace(spec, **without), print)  # type: ignore[arg-type]
    assert caught.value.failure.kind.code == "registry.unpackable"
