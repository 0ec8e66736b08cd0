"""Sizes as people read them."""

from __future__ import annotations

from typing import Annotated

import pytest

from perijove.domain.parsing import parsed, quantity
from perijove.domain.sizes import size


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KB"),
        (1.5 * 2**20, "1.5 MB"),
        (1.256 * 2**30, "1.25 GB"),
        (12.56 * 2**30, "12.5 GB"),
        (1023.9 * 2**20, "1023 MB"),
        (2**31 - 1, "1.99 GB"),
        (3 * 2**40, "3 TB"),
    ],
)
def test_a_size_has_three_digits_and_is_never_more_than_there_is(number: float, told: str) -> None:
    assert size(number) == told


@pytest.mark.parametrize("number", [0, 90, 1024, 2_000_000_000, 4_000_000_000, 10**10, 2**40 + 1, 3 * 2**30])
def test_a_quantity_is_written_as_it_is_read(number: int) -> None:
    assert parsed(Annotated[int, "size"], quantity(number, "size")) == number
    assert parsed(Annotated[float, "seconds"], quantity(float(number), "seconds")) == number
