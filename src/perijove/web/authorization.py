"""May this person launch that? In: a person, a launch, the settings. Out: nothing, or the failure. Pure."""

from __future__ import annotations

import re

from perijove.domain.auth_failures import NOT_FOR_YOU
from perijove.domain.auth_settings import AuthSettings
from perijove.domain.classes import Class
from perijove.domain.failures import Evidence, Failure
from perijove.domain.nouns import RepoAddress
from perijove.domain.people import Person, among
from perijove.domain.repository_names import banned_as


def refusal(person: Person, address: RepoAddress, auth: AuthSettings, one: Class | None) -> Failure | None:
    """`one`: the class whose repository it is, open or not."""
    seen = Evidence("you", person.name)
    if auth.allowed and not among(person, auth.allowed):
        return NOT_FOR_YOU(f"{person.name} is not among those who may launch here", seen)
    if one and one.settings.who and not among(person, one.settings.who):
        return NOT_FOR_YOU(f"this repository is of the class {one.name}, and {person.name} is not in it", seen)
    spelled = banned_as(address)
    for pattern, who in auth.repositories.items():
        if any(re.match(pattern, each, re.IGNORECASE) for each in spelled) and not among(person, who.split()):
            return NOT_FOR_YOU(f"{person.name} is not among those who may launch this repository", seen)
    return None
