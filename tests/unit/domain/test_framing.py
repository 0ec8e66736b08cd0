"""Whose pages may hold ours in a frame."""

from __future__ import annotations

import pytest

from perijove.domain.failures import Fail
from perijove.domain.framing import frame_ancestors
from perijove.domain.settings import ServiceSettings
from perijove.domain.settings_layers import Layer, merged

BOOK = "https://book.example.org"
CASES = [
    pytest.param((), (), (), id="nobody"),
    pytest.param((), (BOOK, "https://*.example.org:8443"), (BOOK, "https://*.example.org:8443"), id="who may read"),
    pytest.param((), ("*",), ("*",), id="everybody"),
    pytest.param((), ("null", BOOK), (BOOK,), id="no page without an origin"),
    pytest.param((), (f"{BOOK};script-src", f"{BOOK},x", "https://{system.hostname}", "https://$1"), (), id="no more"),
    pytest.param(("https://a.example",), (BOOK,), ("https://a.example",), id="others"),
    pytest.param(("none",), (BOOK,), (), id="nobody although some may read"),
]


@pytest.mark.parametrize(("said", "shared", "told"), CASES)
def test_who_may(said: tuple[str, ...], shared: tuple[str, ...], told: tuple[str, ...]) -> None:
    assert frame_ancestors(ServiceSettings(frame_ancestors=said, cors_allow_origin=shared)) == told


@pytest.mark.parametrize(
    "said", ["book.example.org", f"{BOOK}/page", f"{BOOK}; script-src *", "'self'", f"none {BOOK}"]
)
def test_what_names_nobody_is_refused(said: str) -> None:
    with pytest.raises(Fail, match=r"service\.frame_ancestors must be origins") as caught:
        merged([Layer("perijove.toml", {"service.frame_ancestors": [BOOK, said]})])
    assert caught.value.failure.kind.code == "platform.bad-settings"
