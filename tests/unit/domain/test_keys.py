from __future__ import annotations

from perijove.domain.keys import Keys

KEYS = Keys(b"s" * 32)


def test_keys_are_the_same_after_a_restart_and_differ_by_purpose() -> None:
    assert KEYS.session_token("a-1") == Keys(b"s" * 32).session_token("a-1")
    made = {
        KEYS.session_token("a-1"),
        KEYS.session_token("a-2"),
        KEYS.launch_key(1),
        KEYS.solver_marker(),
        Keys(b"t" * 32).session_token("a-1"),
    }
    assert len(made) == 5


def test_a_build_token_opens_its_spec_until_it_expires() -> None:
    token = KEYS.build_token("gh/o/r/HEAD", "n1", now=1000, lifetime=300)
    assert KEYS.build_token_holds(token, "gh/o/r/HEAD", 1299)
    assert not KEYS.build_token_holds(token, "gh/o/r/HEAD", 1301)
    assert not KEYS.build_token_holds(token, "gh/o/other/HEAD", 1000)
    assert not Keys(b"t" * 32).build_token_holds(token, "gh/o/r/HEAD", 1000)
    assert not KEYS.build_token_holds(token.replace("n1", "n2"), "gh/o/r/HEAD", 1000)


def test_garbage_is_no_token() -> None:
    for garbage in ("", ".", "9" * 40, "١٢٣٤٥.x", "99999999999.é", "-1.x"):
        assert not KEYS.build_token_holds(garbage, "gh/o/r/HEAD", 1000)


def test_the_secret_is_not_shown() -> None:
    assert "sss" not in repr(KEYS)
