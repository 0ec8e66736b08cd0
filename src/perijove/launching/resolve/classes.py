"""Whose repositories are they? In: classes as an operator wrote them. Out: with their links understood. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from perijove.domain.classes import Class, ClassSettings
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail
from perijove.domain.repository_names import canonical
from perijove.launching.resolve.address import local_folder
from perijove.launching.resolve.pasted import pasted


@lru_cache(maxsize=4)
def understood(classes: tuple[ClassSettings, ...]) -> Sequence[Class]:
    """All classes. Raises Fail: `platform.bad-settings` for a link that leads nowhere, or into two classes."""
    made, owners = list[Class](), dict[str, str]()
    for one in classes:
        addresses = []
        for text in one.repositories:
            where = f"launching.classes of {one.name}: repositories"
            try:
                address = local_folder(Path(text)) if text.startswith("/") else pasted(text).address
            except Fail as error:
                cause = f"{where} has a link that is not understood: {error.failure.cause}"
                raise Fail(BAD_SETTINGS(cause, Evidence("perijove.toml", text[:200]))) from error
            repository = canonical(address.url)
            if (owner := owners.setdefault(repository, one.name)) != one.name:
                raise Fail(BAD_SETTINGS(f"{where} has one of the class {owner}", Evidence("perijove.toml", text[:200])))
            addresses.append(address)
        made.append(Class(one, tuple(addresses), frozenset(canonical(address.url) for address in addresses)))
    return tuple(made)
