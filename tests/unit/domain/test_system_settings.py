"""What an operator may say of the system beneath."""

from __future__ import annotations

import pytest

from perijove.domain.failures import Fail
from perijove.domain.settings_layers import Layer, merged
from perijove.domain.system_settings import Image, image

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("base", "meant"),
    [
        (f"docker.io/library/debian@{DIGEST}", Image("docker.io", "library/debian", DIGEST)),
        (f"docker.io/library/debian:trixie-slim@{DIGEST}", Image("docker.io", "library/debian", DIGEST)),
        (f"127.0.0.1:5000/debian@{DIGEST}", Image("127.0.0.1:5000", "debian", DIGEST)),
        ("mmdebstrap", None),
        ("/srv/base.tar", None),
    ],
)
def test_an_image_is_one_by_its_digest(base: str, meant: Image | None) -> None:
    settings, _ = merged([Layer("file", {"platform.base": base})])
    assert image(settings.platform.base) == meant


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base", "docker.io/library/debian:trixie"),
        ("base", "docker.io/library/debian@sha256:1234"),
        ("base", "srv/base.tar"),
        ("base", ""),
        ("suite", "trixie; reboot"),
        ("suite", ""),
        ("mirror", ""),
        ("mirror", "file:///srv/debian"),
        ("mirror", "http://user:password@mirror.example.org/debian"),
        ("mirror", "http://mirror.example.org/debian'$(id)"),
        ("security_mirror", "ftp://mirror.example.org"),
        ("packages", ("python3", "tree-")),
        ("packages", ("-y",)),
        ("root", "debian"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(Fail) as caught:
        merged([Layer("file", {f"platform.{name}": value})])
    assert caught.value.failure.kind.code == "platform.bad-settings"
    assert f"platform.{name}" in caught.value.failure.cause


def test_security_updates_can_be_left_out() -> None:
    settings, _ = merged([Layer("file", {"platform.security_mirror": ""})])
    assert settings.platform.security_mirror == ""
