"""Which environments may go when disk is short. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from perijove.domain.nouns import EnvironmentKey, StoredEnvironment


def to_remove(
    stored: Iterable[StoredEnvironment], in_use: Collection[EnvironmentKey], free: int, keep_free: int
) -> Sequence[StoredEnvironment]:
    """The least recently used that nobody uses, as many as it takes until `keep_free` bytes are free."""
    chosen = []
    for environment in sorted(stored, key=lambda one: one.used_at):
        if free >= keep_free:
            break
        if environment.key not in in_use:
            chosen.append(environment)
            free += environment.size
    return chosen
