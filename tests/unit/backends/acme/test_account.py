"""An account's files: made once, private, and whole."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perijove.backends.acme.account import folder_name, keep, load
from perijove.domain.certificate_failures import FILE_UNREADABLE
from perijove.domain.failures import STATE_UNUSABLE, Fail

URL = "https://ca.example/dir"


@pytest.mark.parametrize(
    ("directory", "folder"),
    [
        ("https://127.0.0.1:14000/dir", "127.0.0.1-14000-dir"),
        ("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org-directory"),
        ("https://ca.example/acme/dir/", "ca.example-acme-dir"),
        ("https://ca.example", "ca.example"),
        ("https://user:word@ca.example/dir", "ca.example-dir"),
        ("https://ca.example/../../etc", "ca.example-..-..-etc"),
        ("https://[::1]:14000/dir", "1-14000-dir"),
        ("", "unnamed"),
        ("https://ca.example/" + "x" * 500, "ca.example-" + "x" * 189),
    ],
)
def test_a_directory_has_a_folder_of_its_own(directory: str, folder: str) -> None:
    assert folder_name(directory) == folder
    assert "/" not in folder


def test_a_key_is_made_once(tmp_path: Path) -> None:
    first, again = load(tmp_path / "a", URL), load(tmp_path / "a", URL)
    assert first.thumbprint == again.thumbprint
    assert len(first.thumbprint) == 43
    assert first.url == ""


def test_two_issuers_of_one_directory_make_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(lambda _: load(tmp_path / "a", URL), range(16)))
    assert len({one.thumbprint for one in kept}) == 1


def test_what_the_ca_said_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "a"
    load(folder, URL)
    keep(folder, URL, "https://ca.example/acct/1", "ada@example.org")
    kept = load(folder, URL)
    assert (kept.url, kept.email) == ("https://ca.example/acct/1", "ada@example.org")
    assert load(folder, "https://other.example/dir").url == "", "another directory's account is not ours there"
    assert {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {
        "account.key": 0o600,
        "account.json": 0o600,
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"url": 3}', b"\xff\xfe"])
def test_a_damaged_url_is_asked_for_anew(tmp_path: Path, content: bytes) -> None:
    key = load(tmp_path, URL).thumbprint
    (tmp_path / "account.json").write_bytes(content)
    kept = load(tmp_path, URL)
    assert (kept.url, kept.thumbprint) == ("", key)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff\xfe"])
def test_a_damaged_key_is_told_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "account.key").write_bytes(content)
    with pytest.raises(Fail) as told:
        load(tmp_path, URL)
    assert told.value.failure.kind is FILE_UNREADABLE
    assert (tmp_path / "account.key").read_bytes() == content


def test_a_rest_of_a_crash_is_no_hindrance(tmp_path: Path) -> None:
    for name in (".account.key.aside", ".account.json.aside"):
        (tmp_path / name).write_bytes(b"half of i")
    load(tmp_path, URL)
    keep(tmp_path, URL, "https://ca.example/acct/1", "")
    assert sorted(os.listdir(tmp_path)) == ["account.json", "account.key"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fail) as told:
        load(tmp_path / "file" / "a", URL)
    assert told.value.failure.kind is STATE_UNUSABLE
