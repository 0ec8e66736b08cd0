"""The operator's day on the command line: how the service is, and whether it takes launches."""

from __future__ import annotations

import json
from dataclasses import replace

from perijove.domain.failures import PAD_DOWN, Failure
from tests.unit.cli.conftest import Shell


def test_status_says_where_how_many_and_for_how_many_more(perijove: Shell) -> None:
    ran = perijove("status")
    assert ran.status == 0
    assert ran.lines[0].startswith("✓ Perijove 0.")
    assert "is up at https://wiki.example.org/ since 20" in ran.lines[0]
    said = {line[:19].strip(): line[20:] for line in ran.lines[1:]}
    assert said["State directory"] == str(perijove.state.root)
    assert said["Sessions"] == "0 (0 bytes), 0 held ready"
    assert said["Launches"] == "0 in progress"
    assert said["New launches"] == "taken"
    told = json.loads(perijove("status", "--json").out)
    assert said["Room"].startswith(f"for {told['room']} more: ")
    assert told["room"] > 0


def test_status_says_that_room_is_not_known_where_nobody_knows_it(perijove: Shell) -> None:
    world = perijove.hall.office.world
    world.sandboxes.left = replace(world.sandboxes.left, memory=None, processors=None)
    (room,) = (line for line in perijove("status").lines if line.startswith("  Room"))
    assert "for how many more is not known: memory not known, " in room
    told = json.loads(perijove("status", "--json").out)
    assert (told["room"], told["free"]["memory"]) == (None, None)


def test_status_of_a_service_whose_sandboxes_do_not_answer_is_not_well(perijove: Shell) -> None:
    perijove.hall.office.world.sandboxes.unanswered = PAD_DOWN("it ended")
    ran = perijove("status")
    assert ran.status == 1
    assert ran.lines[0].startswith("✗ Perijove")
    assert any("Sandboxes" in line and "it ended" in line for line in ran.lines)


def closed(perijove: Shell) -> Failure | None:
    return perijove.hall.office.world.launches.closed


def test_drain_takes_no_launches_until_it_is_off(perijove: Shell) -> None:
    assert "No new launches are taken: back at [18:00]." in perijove("drain", "back at\n[18:00]").out
    failure = closed(perijove)
    assert failure is not None
    assert failure.cause == "back at [18:00]"
    assert "not taken: back at [18:00]" in perijove("status").out
    refused = perijove("launch", "gh/octo/hello/HEAD")
    assert (refused.status, "platform.drained" in refused.err) == (1, True)
    assert perijove("drain", "--off").out == "Launches are taken again.\n"
    assert closed(perijove) is None


def test_drain_has_words_of_its_own_and_a_bound(perijove: Shell) -> None:
    perijove("drain")
    failure = closed(perijove)
    assert failure is not None
    assert failure.cause == "its operator takes no new launches for a while"
    perijove("drain", "x" * 5000)
    failure = closed(perijove)
    assert failure is not None
    assert len(failure.cause) == 300


def test_drain_off_has_no_words(perijove: Shell) -> None:
    assert perijove("drain", "--off", "why").status == 2


def test_a_message_is_told_for_a_while_shown_and_taken_back(perijove: Shell) -> None:
    assert perijove("message").out == "All pages say nothing.\n"
    assert perijove("message", "tests at\n[10]", "--for", "30m").out.endswith(": tests at [10]\n")
    assert perijove("message").out.startswith("All pages say until 20")
    assert "All pages say: tests at [10]" in perijove("get", "events").out
    assert perijove("message", "--clear").out == "All pages say nothing.\n"
    assert perijove("message", "--clear", "x").status == 2
    assert perijove("message", "x", "--for", "soon").status == 2
    assert perijove("message", "x", "--for", "31d").status == 1
    assert perijove("message", "x", "--for", "0").status == 1
    assert perijove.hall.office.world.sessions.announcing.now is None
