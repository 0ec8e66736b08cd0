"""What only one visitor can read."""

from __future__ import annotations

import pytest

from perijove.sealing import KEY, new_key, public_half


def test_a_key_has_one_public_half_and_no_other_key_has_it() -> None:
    key, other = new_key(), new_key()
    assert KEY.fullmatch(key)
    assert public_half(key) == public_half(key)
    assert len({public_half(key), public_half(other), key}) == 3
    assert len(bytes.fromhex(public_half(key))) == 32


@pytest.mark.parametrize("text", ["", "x", "x" * 42, "x" * 44, "é" * 43, "+" * 43, "x" * 42 + "\n"])
def test_what_is_no_key_has_no_public_half(text: str) -> None:
    assert public_half(text) == ""
