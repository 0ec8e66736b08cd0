"""What rattler says, and what it comes to."""

from __future__ import annotations

import pytest

from perijove.backends.environments.conda import words

CONNECT = (
    "Caused by: client error (Connect)\nCaused by: tcp connect error\nCaused by: Connection refused (os error 111)"
)


@pytest.mark.parametrize(
    ("said", "doing", "code"),
    [
        (f"error sending request for url (https://h/x)\n{CONNECT}", "solving", "build.channel-unreachable"),
        ("error sending request\nCaused by: dns error", "solving", "build.channel-unreachable"),
        ("HTTP status server error (500 Internal Server Error)", "fetching", "build.channel-unreachable"),
        ("failed to decode zstd shard from https://h/x (27 bytes received)", "solving", "build.channel-unreachable"),
        ("a.conda: HTTP status client error (404 Not Found)", "fetching", "build.channel-unreachable"),
        ("could not find subdir 'noarch' in channel 'https://h/nope/'", "solving", "build.no-such-channel"),
        ("hash mismatch when extracting a.conda: expected 1, got 2", "linking", "build.bad-package"),
        ("target prefix cannot be longer than the placeholder prefix", "linking", "build.bad-package"),
        ("failed to write: No space left on device (os error 28)", "linking", "build.disk-full"),
        ("Solve operation has been cancelled", "solving", "build.too-slow"),
        ("No candidates were found for nonesuch >=3.", "solving", "build.no-such-package"),
        ("numpy 2.4.6 would require\n   └─ python >=3.11,<3.12.0a0, for which no candidates were found.", "solving",
         "build.conflict"),
        ("something else altogether", "linking", "build.install-failed"),
    ],
)  # fmt: skip
def test_each_word_is_a_cause_of_its_own(said: str, doing: str, code: str) -> None:
    assert words.failure(said, doing).kind.code == code


def test_what_opens_a_channel_is_not_shown() -> None:
    said = "error sending request for url (https://user:secret@h/t/tk-secret/x/noarch/repodata.json)"
    assert "secret" not in words.failure(said, "solving").evidence[0].saw
