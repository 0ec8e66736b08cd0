"""Blobs and manifests pushed to a real registry: who we are is told as it asks, and each way to fail has its code."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from pathlib import Path

import httpx
import pytest

from perijove.backends.registry.client import Registry, connected
from perijove.backends.registry.credentials import Login
from perijove.domain.failures import Fail, Failure, Retry
from tests.fakes.docker_registry import (
    NAME,
    PASSWORD,
    DockerRegistry,
    Front,
    Tokens,
    Wrong,
    front,
    needs_registry,
    repository_at,
    running_registry,
)
from tests.fakes.ports import free_port
from tests.fakes.private_ca import PrivateCa

pytestmark = [pytest.mark.same_for_any_user, needs_registry]
KIND = "application/vnd.oci.image.manifest.v1+json"
CONTENT = b"a layer " * 300_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
US = Login(NAME, PASSWORD)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    path.write_bytes(CONTENT)
    return path


async def pushed(
    address: str, layer: Path, login: Login | None = None, name: str = "moons/io", ca_file: Path | None = None
) -> None:
    """A layer, unless it is there, and an image of it alone."""
    async with connected(repository_at(address, name), login, ca_file) as registry:
        if not await registry.has(DIGEST):
            with layer.open("rb") as file:
                await registry.push(file, DIGEST, len(CONTENT))
        await named(registry, layer)


async def named(registry: Registry, layer: Path) -> None:
    blob = {"mediaType": "application/octet-stream", "digest": DIGEST, "size": len(CONTENT)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": blob, "layers": [blob]}).encode()
    await registry.name("one", KIND, manifest, f"sha256:{hashlib.sha256(manifest).hexdigest()}")


async def failed(address: str, layer: Path, login: Login | None = None, name: str = "moons/io") -> Failure:
    with pytest.raises(Fail) as caught:
        await pushed(address, layer, login, name)
    return caught.value.failure


async def test_what_was_pushed_is_there_and_is_not_pushed_again(registry_front: Front, layer: Path) -> None:
    await pushed(registry_front.address, layer, name="moons/once")
    assert [method for method, _ in registry_front.asked] == ["HEAD", "POST", "PUT", "PUT"]
    given = httpx.get(f"http://{registry_front.address}/v2/moons/once/blobs/{DIGEST}", trust_env=False)
    assert given.content == CONTENT
    registry_front.asked.clear()
    await pushed(registry_front.address, layer, name="moons/once")
    assert [method for method, _ in registry_front.asked] == ["HEAD", "PUT"], "the manifest alone"


async def test_a_layer_of_another_repository_is_taken_over_without_being_moved(
    registry_front: Front, layer: Path
) -> None:
    await pushed(registry_front.address, layer, name="moons/europa")
    async with connected(repository_at(registry_front.address, "moons/ganymede"), None) as registry:
        assert not await registry.has(DIGEST)
        assert await registry.mount(DIGEST, "moons/europa")
        assert await registry.has(DIGEST)
        assert registry_front.count("DELETE") == 0
        assert not await registry.mount(f"sha256:{'0' * 64}", "moons/europa"), "what is nowhere"
        method, path = registry_front.asked[-1]
        assert method == "DELETE", "the upload that was begun in its place"
        assert path.startswith("/v2/moons/ganymede/blobs/uploads/")
        await named(registry, layer)


async def test_a_password_is_shown_where_it_is_asked_for(tmp_path: Path, layer: Path) -> None:
    with running_registry(tmp_path, password=True) as registry, front(registry.port) as before:
        await pushed(before.address, layer, US)
        assert before.authorizations[0] == "", "not before it is asked for"
        told = await failed(before.address, layer, Login(NAME, "wrong"))
        assert told.kind.code == "registry.unauthorised"
        assert "wrong" not in str(told)
        assert (await failed(before.address, layer)).kind.code == "registry.unauthorised"


async def test_a_token_is_fetched_where_it_is_named(tmp_path: Path, layer: Path) -> None:
    ca = PrivateCa(tmp_path / "ca")
    tokens = Tokens(ca, ca.leaf(called="tokens"))
    with front(0, tokens) as before:
        tokens.address = before.address
        with running_registry(tmp_path / "registry", tokens=tokens) as registry:
            before.registry_port = registry.port
            await pushed(before.address, layer, US)
            assert len(tokens.asked) == 1, "one token for all requests"
            assert "repository:moons/io:pull,push" in tokens.asked[0]["scope"]
            async with connected(repository_at(before.address, "moons/europa"), US) as europa:
                assert not await europa.has(DIGEST)
                assert await europa.mount(DIGEST, "moons/io"), "by a token for both"
            told = await failed(before.address, layer, Login(NAME, "wrong-one"))
            assert told.kind.code == "registry.unauthorised"
            assert "wrong-one" not in str(told)
            assert base64.b64encode(f"{NAME}:wrong-one".encode()).decode() not in str(told)


@pytest.mark.parametrize("answers", [b"{}", b"[]", b"x", b'{"token": "a\\nb"}', b'{"token": 1}', b""], ids=repr)
async def test_a_token_that_is_none_is_told(registry_front: Front, layer: Path, answers: bytes) -> None:
    bearer = {"WWW-Authenticate": f'Bearer realm="http://{registry_front.address}/token",service="x"'}
    asks = Wrong("HEAD", "/blobs/", 401, headers=bearer)
    registry_front.does_wrong += [asks, Wrong("GET", "/token", 200, answers)]
    assert (await failed(registry_front.address, layer, US)).kind.code == "registry.no-registry"


async def test_a_token_that_we_have_is_changed_for_another(registry_front: Front, layer: Path) -> None:
    bearer = {"WWW-Authenticate": f'Bearer realm="http://{registry_front.address}/token",service="x"'}
    registry_front.does_wrong += [
        Wrong("HEAD", "/blobs/", 401, headers=bearer),
        Wrong("POST", "/token", 200, b'{"access_token": "short-lived"}'),
    ]
    told = await failed(registry_front.address, layer, Login(token="long-lived"))
    assert told.kind.code == "registry.unauthorised"
    assert registry_front.asked[1] == ("POST", "/token")
    assert registry_front.authorizations == ["", "", "Bearer short-lived", "Bearer short-lived"]
    assert "lived" not in str(told)


async def test_a_certificate_is_believed_where_its_authority_is_named(tmp_path: Path, layer: Path) -> None:
    ca = PrivateCa(tmp_path / "ca")
    with running_registry(tmp_path / "registry", tls=ca.leaf()) as registry:
        await pushed(f"https://{registry.address}", layer, ca_file=ca.file)
        told = await failed(f"https://{registry.address}", layer)
        assert told.kind.code == "registry.tls"
        assert "not trusted" in told.cause
        assert (await failed(f"http://{registry.address}", layer)).kind.code == "registry.tls", "http to it"


async def test_one_that_leads_from_tls_to_http_is_told(
    tmp_path: Path, docker_registry: DockerRegistry, layer: Path
) -> None:
    """Behind a web server that ends TLS and does not say so, registries write http:// before their own names."""
    ca = PrivateCa(tmp_path / "ca")
    with front(docker_registry.port, tls=ca.leaf()) as before, pytest.raises(Fail) as caught:
        await pushed(f"https://{before.address}", layer, ca_file=ca.file, name="fails/downgraded")
    assert caught.value.failure.kind.code == "registry.no-registry"
    assert "X-Forwarded-Proto" in caught.value.failure.cause
    assert before.count("PUT") == 0


async def test_one_without_tls_is_told_where_tls_is_spoken_to_it(docker_registry: DockerRegistry, layer: Path) -> None:
    assert (await failed(f"https://{docker_registry.address}", layer)).kind.code == "registry.tls"


async def test_one_that_is_read_only_is_told(tmp_path: Path, layer: Path) -> None:
    with running_registry(tmp_path, read_only=True) as registry:
        assert (await failed(registry.address, layer)).kind.code == "registry.denied"


async def test_one_that_is_not_there_is_told(layer: Path) -> None:
    told = await failed(f"127.0.0.1:{free_port()}", layer)
    assert (told.kind.code, told.kind.retry) == ("registry.unreachable", Retry.BACKOFF)


HARBOR = (
    b'{"errors":[{"code":"DENIED","message":"adding 1.0 MiB of storage resource, which when updated to current usage '
    b'of 9.9 MiB will exceed the configured upper limit of 10.0 MiB."}]}'
)
LOGIN_PAGE = b"<html><title>Sign in</title></html>"
MANIFEST_WRONG = b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}'
UPLOAD_GONE = b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}'


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(Wrong("POST", "/uploads/", 403, HARBOR), "registry.full", id="quota"),
        pytest.param(Wrong("PUT", "/uploads/", 507), "registry.full", id="no room"),
        pytest.param(Wrong("PUT", "/uploads/", 413, LOGIN_PAGE), "registry.full", id="nginx's limit"),
        pytest.param(Wrong("POST", "/uploads/", 403), "registry.denied", id="forbidden"),
        pytest.param(
            Wrong("POST", "/uploads/", 404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}'), "registry.denied", id="not made"
        ),
        pytest.param(Wrong("HEAD", "/blobs/", 503), "registry.unreachable", id="down"),
        pytest.param(Wrong("POST", "/uploads/", 502, LOGIN_PAGE), "registry.unreachable", id="bad gateway"),
        pytest.param(Wrong("POST", "/uploads/", cut=True), "registry.unreachable", id="hangs up"),
        pytest.param(Wrong("PUT", "/uploads/", cut=True), "registry.interrupted", id="cut midway"),
        pytest.param(Wrong("PUT", "/uploads/", 404, UPLOAD_GONE), "registry.interrupted", id="forgotten"),
        pytest.param(Wrong("PUT", "/manifests/", 400, MANIFEST_WRONG), "registry.refused", id="manifest"),
        pytest.param(
            Wrong("PUT", "/manifests/", 201, headers={"Docker-Content-Digest": "sha256:0"}),
            "registry.refused",
            id="another one",
        ),
        pytest.param(Wrong("POST", "/uploads/", 200, LOGIN_PAGE), "registry.no-registry", id="a page"),
        pytest.param(Wrong("POST", "/uploads/", 404, LOGIN_PAGE), "registry.no-registry", id="no such page"),
        pytest.param(Wrong("POST", "/uploads/", 202), "registry.no-registry", id="no way on"),
        pytest.param(
            Wrong("POST", "/uploads/", 202, headers={"Location": "ftp://127.0.0.1/x"}), "registry.no-registry", id="ftp"
        ),
        pytest.param(
            Wrong("POST", "/uploads/", 202, headers={"Location": "http://h:x/"}), "registry.no-registry", id="no port"
        ),
        pytest.param(
            Wrong("HEAD", "/blobs/", 307, headers={"Location": "http://h:x/"}), "registry.no-registry", id="to nowhere"
        ),
        pytest.param(
            Wrong("HEAD", "/blobs/", 307, headers={"Location": "http://127.0.0.1:99999999999/"}),
            "registry.no-registry",
            id="a port beyond all",
        ),
        pytest.param(
            Wrong("POST", "/uploads/", 401, headers={"WWW-Authenticate": 'Bearer realm="http://[/x"'}),
            "registry.no-registry",
            id="a realm that is none",
        ),
        pytest.param(
            Wrong("HEAD", "/blobs/", 307, headers={"Location": "/v2/blobs/"}), "registry.no-registry", id="round"
        ),
        pytest.param(
            Wrong("POST", "/uploads/", 401, headers={"WWW-Authenticate": 'Bearer realm="http://example.com/token"'}),
            "registry.no-registry",
            id="a realm without tls",
        ),
    ],
)  # fmt: skip
async def test_each_way_to_fail_has_its_code(registry_front: Front, layer: Path, wrong: Wrong, code: str) -> None:
    registry_front.does_wrong.append(wrong)
    told = await failed(registry_front.address, layer, US, name=f"fails/{free_port()}")
    assert told.kind.code == code, told
    assert registry_front.address in str(told.evidence)
    assert PASSWORD not in str(told)


async def test_one_that_asks_to_wait_says_how_long(registry_front: Front, layer: Path) -> None:
    registry_front.does_wrong.append(Wrong("POST", "/uploads/", 429, headers={"Retry-After": "7"}))
    told = await failed(registry_front.address, layer, name="fails/busy")
    assert (told.kind.code, told.after) == ("registry.busy", 7)


async def test_what_is_no_http_is_told(layer: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"-ERR unknown command\r\n\r\n")

        speaking = threading.Thread(target=speak, name="redis", daemon=True)
        speaking.start()
        told = await failed(f"127.0.0.1:{server.getsockname()[1]}", layer)
        speaking.join()
    assert told.kind.code == "registry.no-registry", told


async def test_whoever_an_upload_leads_to_is_not_told_who_we_are(tmp_path: Path, layer: Path) -> None:
    with running_registry(tmp_path, password=True) as registry, front(registry.port) as before, front() as other:
        other.does_wrong.append(Wrong("PUT", "", 201))
        before.does_wrong.append(Wrong("PUT", "/manifests/", 201))
        await pushed(before.address, layer, US)
        leads = {"Location": f"http://{other.address}/elsewhere?signed=1"}
        before.does_wrong.append(Wrong("POST", "/uploads/", 202, headers=leads))
        await pushed(before.address, layer, US, name="moons/callisto")
        assert [method for method, _ in other.asked] == ["PUT"]
        assert other.asked[0][1].startswith("/elsewhere?signed=1&digest=sha256:")
        assert other.authorizations == [""]
        assert before.authorizations[-1].startswith("Basic ")


async def test_a_secret_that_is_repeated_is_not_shown(registry_front: Front, layer: Path) -> None:
    body = json.dumps({"errors": [{"code": "NAME_INVALID", "message": f"who is {PASSWORD}?"}]}).encode()
    registry_front.does_wrong.append(Wrong("POST", "/uploads/", 400, body))
    told = await failed(registry_front.address, layer, US, name="fails/echo")
    assert told.kind.code == "registry.refused"
    assert "who is …?" in told.evidence[0].saw
