"""An environment as an image: published to a real registry once, fetched from there by its digest, and started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import uv

from perijove.backends.pad.tools import bubblewrap
from perijove.backends.registry.client import connected
from perijove.backends.registry.contents import PLACE, contents
from perijove.backends.registry.publishing import Published, Publishing, tidy
from perijove.domain.failures import Fail
from perijove.domain.nouns import Environment, Mount, Overlay
from perijove.domain.state import State
from tests.fakes.docker_registry import Front, Wrong, needs_registry, repository_at
from tests.fakes.image_node import fetched
from tests.unit.backends.registry.test_distributions import BIG, installed

pytestmark = needs_registry


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "index.ipynb").write_text("{}")
    return tmp_path / "checkout"


def environment(path: Path, *over: Path, mounts: tuple[Mount, ...] = (), root: tuple[Path, ...] = ()) -> Environment:
    command = (f"{path}/bin/python", "-m", "jupyter")
    overlays = (Overlay((path, *over), path),)
    return Environment(path.name, path, "3.11.2", command, (("LANG", "C"),), mounts, overlays=overlays, root=root)


async def published(
    registry_front: Front, name: str, state: State, made: Environment, checkout: Path, **changed: int
) -> Published:
    async with connected(repository_at(registry_front.address, name), None) as registry:
        publishing = Publishing(registry, state.image_layers, **changed)
        return await publishing.publish(contents(made, checkout), "latest", how=made)


@pytest.fixture
def made(tmp_path: Path) -> Environment:
    path = tmp_path / "environments" / "first"
    installed(path, "jupiter", 2 * BIG)
    installed(path, "saturn", BIG)
    layer, server, system = tmp_path / "layer-0", tmp_path / "server", tmp_path / "system"
    for folder in (layer, server, system / "etc"):
        folder.mkdir(parents=True)
    (layer / "made").write_text("by postBuild")
    (server / "serve.py").write_text("serves")
    (system / "etc" / "os-release").write_text("ID=debian")
    return environment(path, layer, mounts=(Mount(server, Path("/opt/server")),), root=(system,))


@pytest.mark.same_for_any_user
async def test_all_that_a_session_is_shown_lies_in_the_image(
    registry_front: Front, state: State, made: Environment, checkout: Path, tmp_path: Path
) -> None:
    done = await published(registry_front, "all/of-it", state, made, checkout)
    assert (done.layers, done.packed, done.moved) == (7, 7, 7)
    root = await fetched(done.image, tmp_path / "fetched")
    for path, content in (
        ("etc/os-release", "ID=debian"),
        ("opt/server/serve.py", "serves"),
        (f"{PLACE}/made".lstrip("/"), "by postBuild"),
        ("home/jovyan/index.ipynb", "{}"),
    ):
        assert (root / path).read_text() == content
    assert os.readlink(root / str(made.path).lstrip("/")) == str(PLACE)
    assert (root / f"{PLACE}/bin/saturn".lstrip("/")).read_text() == f"#!{made.path}/bin/python\n"
    digest = done.image.partition("@")[2]
    address = f"http://{registry_front.address}/v2/all/of-it"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = httpx.get(f"{address}/manifests/latest", headers=accept, trust_env=False)
    assert manifest.headers["Docker-Content-Digest"] == digest
    config = httpx.get(f"{address}/blobs/{manifest.json()['config']['digest']}", trust_env=False).json()
    assert config["config"]["Cmd"] == list(made.command)
    names = [one["created_by"].removeprefix("perijove: ") for one in config["history"]]
    assert names == [
        *("system 0", "server /opt/server", "jupiter-1.0", "saturn-1.0", "environment", "postBuild", "repository")
    ]
    assert len(config["rootfs"]["diff_ids"]) == 7


@pytest.mark.same_for_any_user
async def test_what_is_there_is_neither_packed_nor_moved_again(
    registry_front: Front, state: State, made: Environment, checkout: Path
) -> None:
    first = await published(registry_front, "again/one", state, made, checkout)
    registry_front.asked.clear()
    again = await published(registry_front, "again/one", state, made, checkout)
    assert (again.image, again.packed, again.moved, again.size) == (first.image, 0, 0, 0)
    assert {method for method, _ in registry_front.asked} == {"HEAD", "PUT"}
    assert registry_front.count("PUT") == 1, "the manifest"
    registry_front.asked.clear()
    elsewhere = await published(registry_front, "again/another", state, made, checkout)
    assert (elsewhere.packed, elsewhere.moved) == (0, 0), "taken over from the other repository"
    for note in state.image_layers.iterdir():
        note.write_text("[" if note.stat().st_size % 2 else '{"digest": "sha256:0"}')
    forgotten = await published(registry_front, "again/one", state, made, checkout)
    assert (forgotten.image, forgotten.packed, forgotten.moved) == (first.image, 7, 0), "the same bytes"


@pytest.mark.same_for_any_user
async def test_one_more_package_moves_its_layer_and_the_small_rest(
    registry_front: Front, state: State, made: Environment, checkout: Path, tmp_path: Path
) -> None:
    await published(registry_front, "more/one", state, made, checkout)
    other = tmp_path / "environments" / "second"
    subprocess.run(["cp", "-al", made.path, other], check=True)
    installed(other, "uranus", BIG)
    done = await published(registry_front, "more/one", state, environment(other), checkout)
    assert (done.layers, done.packed, done.moved) == (5, 2, 2)


@pytest.mark.same_for_any_user
async def test_one_failure_is_told_and_what_was_pushed_by_then_is_not_moved_again(
    registry_front: Front, state: State, made: Environment, checkout: Path
) -> None:
    registry_front.does_wrong.append(Wrong("PUT", "/manifests/", 503))
    with pytest.raises(Fail) as caught:
        await published(registry_front, "fails/late", state, made, checkout)
    assert caught.value.failure.kind.code == "registry.unreachable"
    registry_front.does_wrong[:] = [Wrong("HEAD", "/blobs/", 403)]
    with pytest.raises(Fail) as caught:
        await published(registry_front, "fails/late", state, made, checkout)
    assert caught.value.failure.kind.code == "registry.denied"
    registry_front.does_wrong.clear()
    done = await published(registry_front, "fails/late", state, made, checkout)
    assert (done.packed, done.moved) == (0, 0)


@pytest.mark.same_for_any_user
def test_the_notes_that_were_used_last_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}").touch()
        os.utime(tmp_path / f"{number}", (number, number))
    (tmp_path / "gone").symlink_to("nowhere")  # is listed and cannot be looked at, as one that goes in between
    tidy(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"3", "4", "gone"}


@pytest.mark.same_for_any_user
async def test_whoever_publishes_forgets_old_notes(
    registry_front: Front, state: State, made: Environment, checkout: Path
) -> None:
    assert (await published(registry_front, "forgets/old", state, made, checkout, kept=3)).layers == 7
    assert len(list(state.image_layers.iterdir())) == 3


@pytest.mark.same_for_any_user
async def test_a_note_that_cannot_be_made_leaves_nothing(
    registry_front: Front, state: State, made: Environment, checkout: Path
) -> None:
    places = {state.image_layers / layer.key for layer in contents(made, checkout)}
    for place in places:
        place.mkdir()
    with pytest.raises(Fail) as caught:
        await published(registry_front, "fails/notes", state, made, checkout)
    assert caught.value.failure.kind.code == "platform.state-unusable"
    assert set(state.image_layers.iterdir()) == places


async def test_numpy_is_imported_from_the_image_alone(
    registry_front: Front, state: State, checkout: Path, tmp_path: Path
) -> None:
    path, program = tmp_path / "environment", uv.find_uv_bin()
    environ = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([program, "venv", "-q", "--python", sys.executable, str(path)], env=environ, check=True)
    install = [program, "pip", "install", "-q", "--python", f"{path}/bin/python", "numpy"]
    subprocess.run(install, env=environ, check=True)
    done = await published(registry_front, "real/numpy", state, environment(path), checkout)
    root = await fetched(done.image, tmp_path / "fetched")
    program = str(bubblewrap(tmp_path, copied=False))
    argv = [
        *(
            program,
            "--bind",
            str(root),
            "/",
            "--ro-bind",
            "/usr",
            "/usr",
            "--ro-bind",
            sys.base_prefix,
            sys.base_prefix,
        ),
        *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin"),
        *("--proc", "/proc", "--dev", "/dev", "--unshare-all", "--clearenv", "--die-with-parent"),
        *(f"{path}/bin/python", "-c", "import numpy; print(numpy.arange(5).sum(), numpy.__file__)"),
    ]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("10 ")
