"""A part that is imported and made when it is first asked for something: many services never ask.

In: what makes it. Out: what stands for it, as the port that it implements.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar, cast

Port = TypeVar("Port")


class _Lazy:
    def __init__(self, make: Callable[[], object]) -> None:
        self._make = cache(make)

    def __getattr__(self, name: str) -> object:
        return getattr(self._make(), name)


def lazy(make: Callable[[], Port], *, needed: bool = False) -> Port:
    """Whoever asks first waits for the import, and gets what `make` raises; made at once where it is `needed`."""
    return make() if needed else cast("Port", _Lazy(make))
