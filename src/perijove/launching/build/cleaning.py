"""Which environments may go when disk is short. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from perijove.domain.nouns import EnvironmentKey, StoredEnvironment


def to_remove(
    stored: Iterable[StoredEnvironment], in_use: Collection[EnvironmentKey], free: int, keep_free: int
) -> Sequence[StoredEnvironment]:
    """The least recently used that nobody uses, as many as it takes until `keep_free` bytes are free.

    What others are layers over stays until they have gone.
    """
    left, chosen = sorted(stored, key=lambda one: one.used_at), list[StoredEnvironment]()
    while free < keep_free:
        held = {*in_use, *(one.base for one in left)}
        candidate = next((one for one in left if one.key not in held), None)
        if candidate is None:
            break
        left.remove(candidate)
        chosen.append(candidate)
        free += candidate.size
    return chosen
