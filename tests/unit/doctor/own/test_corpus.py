"""What programs beneath a service on one machine say, as it is on record: what the doctor makes of it. Group O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from perijove.backends.caddy.addresses import taken
from perijove.backends.pad.ground import diagnosis
from perijove.doctor.own.diagnosis import diagnosed
from perijove.domain.failures import Evidence
from perijove.domain.ground import Own
from tests.unit.doctor.own.test_own import with_ground, with_service


@dataclass(frozen=True)
class Row:
    """Words, where they were met, and what they come to."""

    name: str
    source: str
    words: str
    switch: tuple[str, str]
    """The switch of the kernel that stood beside them."""
    code: str
    cites: str
    silent: tuple[str, ...]


ROWS = [
    Row(
        "AppArmor", "akitaonrails/ai-jail#34", "bwrap: setting up uid map: Permission denied",
        ("kernel/apparmor_restrict_unprivileged_userns", "1"), "platform.namespaces-forbidden",
        "kernel.apparmor_restrict_unprivileged_userns", ("is not installed", "container", "max_user_namespaces"),
    ),
    Row(
        "no namespaces at all", "bubblewrap 0.11 on Linux with user.max_user_namespaces=0",
        "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)",
        ("user/max_user_namespaces", "0"), "platform.namespaces-forbidden", "user.max_user_namespaces",
        ("is not installed", "AppArmor", "disk is full"),
    ),
]  # fmt: skip


def unsandboxed(row: Row, there: Path) -> Own:
    path = there / row.switch[0]
    path.parent.mkdir(parents=True)
    path.write_text(f"{row.switch[1]}\n")
    return with_ground(sandbox=diagnosis(row.words, Path("/usr/bin/bwrap"), there, container=False))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_bubblewrap_says_is_told_with_its_switch(row: Row, tmp_path: Path) -> None:
    [root] = diagnosed(unsandboxed(row, tmp_path)).told
    failure = root.finding.failure
    assert root.finding.code == row.code
    assert {row.cites, "bwrap"} == {one.where for one in failure.evidence}
    assert row.words in {one.saw for one in failure.evidence}
    said = f"{failure.cause} {failure.remedy}"
    assert [one for one in row.silent if one in said] == []


def test_a_port_that_another_web_server_has_is_told_with_caddys_words() -> None:
    """Caddy 2 beside an Apache: searx/searx-docker#114."""
    words = "listening on :443: listen tcp :443: bind: address already in use"
    failure = taken(":443", "https", Evidence("Caddy, asked to load its configuration", words))
    [root] = diagnosed(with_service(ports=failure)).told
    assert root.finding.code == "platform.port-taken"
    assert root.finding.failure.evidence[0].saw == words
    assert "listens on :443, where service.https should" in root.finding.failure.cause
    assert "--https" in root.finding.failure.remedy
