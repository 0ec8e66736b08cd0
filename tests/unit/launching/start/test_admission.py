"""Who may launch, and whether there is room: pure tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perijove.domain.classes import Class, ClassSettings
from perijove.domain.nouns import RepoAddress, Room
from perijove.domain.settings import LaunchingSettings, SessionSettings
from perijove.launching.start.admission import Load, refusal, room_for, shortage

MB = 1024**2
GB = 1024**3
URL = "https://github.com/owner/repo"
ROOMY = Room(memory=8 * GB, disk=100 * GB, inodes=1_000_000, processors=8)
LAUNCHING = LaunchingSettings(keep_memory=512 * MB, keep_disk=1 * GB)
SESSION = SessionSettings(memory_reserved=256 * MB)
EMPTY = Load((), 0)


def address(provider: str, spec: str) -> RepoAddress:
    return RepoAddress(provider, spec, URL, "HEAD", "repo")


@pytest.mark.parametrize(
    ("banned", "allowed", "link", "evidence"),
    [
        pytest.param((), (), "gh/owner/repo/HEAD", "", id="no lists, everything"),
        pytest.param(("gh/spam/.*",), (), "gh/owner/repo/HEAD", "", id="another is banned"),
        pytest.param(("gh/spam/.*",), (), "gh/spam/repo/HEAD", "launching.banned", id="banned"),
        pytest.param(("gh/spam/",), (), "gh/Spam/repo/HEAD", "launching.banned", id="banned however it is written"),
        pytest.param(("spam",), (), "gh/spam/repo/HEAD", "", id="a pattern matches at the start only"),
        pytest.param(
            (".*spam",), (), "gl/group%2Fspam/HEAD", "launching.banned", id="a pattern that begins with anything"
        ),
        pytest.param((), ("gh/ours/.*",), "gh/ours/repo/HEAD", "", id="allowed"),
        pytest.param((), ("gh/ours/.*", "gl/"), "gl/any%2Fthing/HEAD", "", id="allowed by the second"),
        pytest.param((), ("gh/ours/.*",), "gh/owner/repo/HEAD", "launching.allowed", id="not allowed"),
        pytest.param(
            ("gh/ours/bad/",), ("gh/ours/",), "gh/ours/bad/HEAD", "launching.banned", id="a ban beats permission"
        ),
        pytest.param((".*",), ("gh/ours/",), "local/folder", "", id="the operator's own folder"),
    ],
)
def test_the_operators_lists_decide_which_repositories_may_be_launched(
    banned: tuple[str, ...], allowed: tuple[str, ...], link: str, evidence: str
) -> None:
    provider, _, spec = link.partition("/")
    refused = refusal(address(provider, spec), replace(LAUNCHING, banned=banned, allowed=allowed))
    assert (refused.evidence[0].where if refused else "") == evidence
    assert refused is None or refused.kind.code == "start.not-allowed"


OWN, OTHERS = (Class(ClassSettings(name, seats=3), (), frozenset({name})) for name in ("own", "others"))


@pytest.mark.parametrize(
    ("repository", "load", "room", "launching", "missing"),
    [
        pytest.param("own", Load(["own"] * 2, 0), ROOMY, LAUNCHING, "", id="a seat is free"),
        pytest.param("own", Load(["own"] * 3, 0), ROOMY, LAUNCHING, "all 3 seats of the class own", id="none is"),
        pytest.param("own", Load(["own"], 0), ROOMY, replace(LAUNCHING, per_repo_quota=1), "", id="seats beat a quota"),
        pytest.param("x", Load(["x"], 0), ROOMY, replace(LAUNCHING, per_repo_quota=1), "allows no more", id="no class"),
        pytest.param(
            "x", Load(["x"] * 2, 0), ROOMY, replace(LAUNCHING, total_quota=8), "2 sessions run, 6 seats are kept",
            id="what is left of the quota is kept",
        ),
        pytest.param(
            "x", Load(["x"] * 2, 0), ROOMY, replace(LAUNCHING, total_quota=9), "", id="a place is left beside them"
        ),
        pytest.param(
            "x", Load(["own"] * 5 + ["others"], 0), ROOMY, replace(LAUNCHING, total_quota=9), "", id="what is taken"
        ),
        pytest.param(
            "own", Load(["x"] * 5, 0), ROOMY, replace(LAUNCHING, total_quota=8), "3 seats are kept", id="of another"
        ),
        pytest.param("own", Load(["x"] * 4, 0), ROOMY, replace(LAUNCHING, total_quota=8), "", id="its own are not"),
        pytest.param(
            "x", EMPTY, replace(ROOMY, memory=(512 + 7 * 256) * MB - 1), LAUNCHING, "beside 6 seats", id="memory, kept"
        ),
        pytest.param("x", EMPTY, replace(ROOMY, memory=(512 + 7 * 256) * MB), LAUNCHING, "", id="memory for all"),
        pytest.param(
            "own", EMPTY, replace(ROOMY, memory=(512 + 4 * 256) * MB), LAUNCHING, "", id="memory for itself"
        ),
    ],
)  # fmt: skip
def test_free_seats_of_a_class_are_kept_from_all_others(
    repository: str, load: Load, room: Room, launching: LaunchingSettings, missing: str
) -> None:
    said = shortage(repository, load, room, launching, SESSION, (OWN, OTHERS))
    assert (missing in said) if missing else not said


def test_a_ban_shows_the_pattern_that_matched() -> None:
    refused = refusal(address("gh", "spam/repo/HEAD"), replace(LAUNCHING, banned=("gh/other/", "gh/spam/")))
    assert refused is not None
    assert refused.evidence[0].saw == "gh/spam/"


@pytest.mark.parametrize(
    ("load", "room", "launching", "missing"),
    [
        pytest.param(EMPTY, ROOMY, LAUNCHING, "", id="nothing runs"),
        pytest.param(Load([URL] * 50, 0), ROOMY, LAUNCHING, "", id="no quota, only the machine counts"),
        pytest.param(Load(["a", "b"], 0), ROOMY, replace(LAUNCHING, total_quota=3), "", id="below the total quota"),
        pytest.param(
            Load(["a", "b", "c"], 0),
            ROOMY,
            replace(LAUNCHING, total_quota=3),
            "3 sessions run",
            id="at the total quota",
        ),
        pytest.param(
            Load(["a", "b", "c"], 3),
            ROOMY,
            replace(LAUNCHING, total_quota=3),
            "3 sessions run",
            id="those that start count",
        ),
        pytest.param(
            Load([URL, "other", "other"], 0),
            ROOMY,
            replace(LAUNCHING, per_repo_quota=2),
            "",
            id="another repository's sessions",
        ),
        pytest.param(
            Load([URL, URL], 0),
            ROOMY,
            replace(LAUNCHING, per_repo_quota=2),
            "2 sessions of this repository",
            id="at the repository's quota",
        ),
        pytest.param(EMPTY, replace(ROOMY, memory=768 * MB), LAUNCHING, "", id="just enough memory"),
        pytest.param(
            EMPTY, replace(ROOMY, memory=768 * MB - 1), LAUNCHING, "767 MB of memory", id="a byte of memory short"
        ),
        pytest.param(
            Load([], 1),
            replace(ROOMY, memory=1024 * MB - 1),
            LAUNCHING,
            "767 MB of memory",
            id="memory is promised to one that starts",
        ),
        pytest.param(Load([], 1), replace(ROOMY, memory=1024 * MB), LAUNCHING, "", id="enough for it and for one more"),
        pytest.param(
            Load([], 9),
            replace(ROOMY, memory=100 * MB),
            LAUNCHING,
            "0 bytes of memory",
            id="too much promised",
        ),
        pytest.param(EMPTY, replace(ROOMY, disk=1 * GB), LAUNCHING, "", id="just enough disk"),
        pytest.param(EMPTY, replace(ROOMY, disk=1 * GB - 1), LAUNCHING, "1023 MB of disk", id="a byte of disk short"),
        pytest.param(EMPTY, replace(ROOMY, inodes=10_000), LAUNCHING, "", id="just enough inodes"),
        pytest.param(EMPTY, replace(ROOMY, inodes=9_999), LAUNCHING, "9999 inodes", id="too few inodes"),
        pytest.param(EMPTY, replace(ROOMY, inodes=0), LAUNCHING, "", id="a file system that does not count inodes"),
        pytest.param(Load([], 15), ROOMY, LAUNCHING, "", id="a processor carries one more start"),
        pytest.param(Load([], 16), ROOMY, LAUNCHING, "16 servers start now", id="all processors carry starts"),
        pytest.param(EMPTY, replace(ROOMY, processors=0.2), LAUNCHING, "", id="a fifth of a processor starts one"),
        pytest.param(
            Load([], 1), replace(ROOMY, processors=0.2), LAUNCHING, "1 servers start now", id="a fifth starts no second"
        ),
        pytest.param(Load([], 2), ROOMY, replace(LAUNCHING, starting=3), "", id="below the operator's number"),
        pytest.param(
            Load([], 3), ROOMY, replace(LAUNCHING, starting=3), "3 at once", id="at the operator's number of starts"
        ),
    ],
)
def test_there_is_room_or_it_is_said_what_is_missing(
    load: Load, room: Room, launching: LaunchingSettings, missing: str
) -> None:
    said = shortage(URL, load, room, launching, SESSION)
    assert (missing in said) if missing else said == ""


@pytest.mark.parametrize(
    ("memory", "disk", "quota", "running", "more"),
    [
        pytest.param(8 * GB, 100 * GB, 0, 3, 7, id="as many as memory holds beside what is kept"),
        pytest.param(8 * GB, 100 * GB, 5, 3, 2, id="as the quota allows"),
        pytest.param(8 * GB, 100 * GB, 3, 5, 0, id="a quota that was lowered"),
        pytest.param(GB // 4, 100 * GB, 0, 0, 0, id="less memory than is kept"),
        pytest.param(8 * GB, GB // 2, 0, 0, 0, id="no disk"),
        pytest.param(None, 100 * GB, 5, 3, 2, id="as the quota allows, where nobody knows the memory"),
        pytest.param(None, 100 * GB, 0, 3, None, id="nobody knows"),
        pytest.param(None, GB // 2, 0, 3, 0, id="nobody knows, and no disk to build on"),
    ],
)
def test_for_how_many_more_there_is_room(
    memory: int | None, disk: int, quota: int, running: int, more: int | None
) -> None:
    launching, session = LaunchingSettings(total_quota=quota), SessionSettings(memory_reserved=GB)
    assert room_for(running, replace(ROOMY, memory=memory, disk=disk), launching, session) == more


def test_where_nobody_knows_the_room_disk_and_quotas_alone_hold_up_a_launch() -> None:
    nobody_knows = replace(ROOMY, memory=None, processors=None)
    many = Load([URL] * 500, starting=500)
    assert shortage(URL, many, nobody_knows, LAUNCHING, SESSION) == ""
    assert "disk" in shortage(URL, many, replace(nobody_knows, disk=0), LAUNCHING, SESSION)
    assert "allows 500" in shortage(URL, many, nobody_knows, replace(LAUNCHING, total_quota=500), SESSION)
    assert "start now" in shortage(URL, many, nobody_knows, replace(LAUNCHING, starting=500), SESSION)
