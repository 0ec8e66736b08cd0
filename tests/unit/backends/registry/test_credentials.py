"""Who we are at a registry, as `docker login` and Kubernetes write it down; nothing of it is shown."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from perijove.backends.registry.credentials import Login, login
from perijove.domain.failures import Fail

SECRET = "olympus-mons"
AUTH = b64encode(f"hub:{SECRET}".encode()).decode()


def written(folder: Path, told: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(told))
    return file


@pytest.mark.parametrize(
    ("registry", "known", "wanted"),
    [
        ("r.example", {"r.example": {"auth": AUTH}}, Login("hub", SECRET)),
        ("r.example:5000", {"r.example:5000": {"username": "hub", "password": SECRET}}, Login("hub", SECRET)),
        ("r.example", {"https://r.example/v2/": {"auth": AUTH}}, Login("hub", SECRET)),
        ("docker.io", {"https://index.docker.io/v1/": {"auth": AUTH}}, Login("hub", SECRET)),
        ("r.example", {"r.example": {"auth": AUTH, "identitytoken": "t"}}, Login(token="t")),
        ("r.example", {"r.example": {"auth": b64encode(b"hub:a:b").decode()}}, Login("hub", "a:b")),
        ("r.example", {"r.example:5000": {"auth": AUTH}, "other": {"auth": AUTH}}, None),
        ("r.example", {}, None),
    ],
)
def test_it_is_found_by_the_registry_s_name(
    tmp_path: Path, registry: str, known: dict[str, object], wanted: Login | None
) -> None:
    assert login(written(tmp_path, {"auths": known}), registry) == wanted


def test_it_is_not_shown() -> None:
    assert SECRET not in repr(Login("hub", SECRET, SECRET))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"auths": {"r": {}}}, "no name"),
        ({"auths": {"r": {}}, "credsStore": "desktop"}, "another program"),
        ({"auths": {"r": {"auth": f"{SECRET}!"}}}, "no base64"),
        ({"auths": {"r": {"auth": b64encode(b"\xff\xfe").decode()}}}, "no base64"),
        ({"auths": {"r": {"username": "hub", "password": 1}}}, "no name and no password"),
        ({"auths": {"r": SECRET}}, "no object"),
        ({"auths": [SECRET]}, "no object `auths`"),
        ([SECRET], "no object `auths`"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_content(tmp_path: Path, told: object, why: str) -> None:
    with pytest.raises(Fail) as caught:
        login(written(tmp_path, told), "r")
    assert caught.value.failure.kind.code == "registry.credentials-unusable"
    assert why in caught.value.failure.cause
    assert SECRET not in f"{caught.value.failure}"


@pytest.mark.parametrize("content", [b"", f"password={SECRET}".encode(), b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_told_without_its_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(Fail, match="no JSON") as caught:
        login(tmp_path / "config.json", "r")
    assert SECRET not in f"{caught.value.failure}"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fail, match="No such file"):
        login(tmp_path / "config.json", "r")
