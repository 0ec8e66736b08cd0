"""A failure in words."""

from __future__ import annotations

import pytest

from perijove.domain.failures import sentence

SENTENCES = [
    ("there is no branch dev", "There is no branch dev."),
    ("a==1 and a==2", "a==1 and a==2."),
    ("a package wants gcc.", "A package wants gcc."),
    ("pip ended with exit status 1", "pip ended with exit status 1."),
    ("environment.yml is not supported", "environment.yml is not supported."),
    ("its server ended with exit code 1", "Its server ended with exit code 1."),
    ("it-tools has no wheel", "it-tools has no wheel."),
    ("https://host.test/r has no dev", "https://host.test/r has no dev."),
    ("", "."),
]


@pytest.mark.parametrize(("cause", "says"), SENTENCES)
def test_a_cause_has_a_capital_only_where_no_name_begins_it(cause: str, says: str) -> None:
    assert sentence(cause) == says
