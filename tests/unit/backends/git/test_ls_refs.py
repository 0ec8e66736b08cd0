"""What a host says of its refs is read whole or not at all."""

from __future__ import annotations

import pytest

from perijove.backends.git.access import CERTIFICATES, Access
from perijove.backends.git.ls_refs import advertised, read
from perijove.backends.git.trusted import trusted
from perijove.launching.resolve.refs import Advertised

A, B, LONG = "a" * 40, "b" * 40, "c" * 64


def answer(*lines: str) -> bytes:
    said = [line.encode() for line in lines]
    return b"".join(b"%04x" % (len(line) + 4) + line for line in said) + b"0000"


@pytest.mark.parametrize(
    ("lines", "listed"),
    [
        pytest.param((), Advertised({}, ""), id="an empty repository"),
        pytest.param(
            (f"{A} HEAD symref-target:refs/heads/main\n", f"{A} refs/heads/main\n"),
            Advertised({"HEAD": A, "refs/heads/main": A}, "refs/heads/main"),
            id="a branch",
        ),
        pytest.param((f"{A} HEAD\n",), Advertised({"HEAD": A}, ""), id="a detached head"),
        pytest.param((f"{A} refs/tags/v1 peeled:{B}\n",), Advertised({"refs/tags/v1": B}, ""), id="an annotated tag"),
        pytest.param((f"{LONG} refs/heads/main\n",), Advertised({"refs/heads/main": LONG}, ""), id="sha256"),
        pytest.param((f"{A} refs/heads/märz",), Advertised({"refs/heads/märz": A}, ""), id="no line's end"),
    ],
)
def test_refs_are_listed(lines: tuple[str, ...], listed: Advertised) -> None:
    assert read(answer(*lines)) == listed


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"000",
        b"<html>",
        answer(f"{A} HEAD\n")[:-4],
        answer(f"{A} HEAD\n")[:-6],
        answer(f"{A} HEAD\n") + b"x",
        b"0001" + answer(f"{A} HEAD\n"),
        b"-001",
        b"ffff",
        answer("ERR upload-pack: not our ref\n"),
        answer(A),
        answer(f"{A[:-1]} HEAD\n"),
        answer(f"{A.upper()} HEAD\n"),
    ],
)
def test_what_is_no_whole_answer_is_left_to_git(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|not enough values|not a ref|broken off|more than"):
        read(said)


@pytest.mark.parametrize(
    "access",
    [
        pytest.param(Access({}, (("url.https://mirror/.insteadof", "https://"),), True), id="a mirror"),
        pytest.param(Access({}, (("http.https://a.test.proxy", "http://p"),), True), id="a proxy"),
        pytest.param(Access({"https_proxy": "http://p"}, (), True), id="a proxy of the environment"),
        pytest.param(Access({"GIT_SSL_NO_VERIFY": "1"}, (), True), id="whom to believe"),
        pytest.param(Access({}, (), True, (".*",), (("http.extraheader", "x"),)), id="credentials"),
        pytest.param(Access({}, (), True, (".*",), (), {"HOME": "/home/x"}), id="secrets"),
    ],
)
async def test_where_the_operator_says_how_hosts_are_reached_git_asks(access: Access) -> None:
    assert not access.plain
    assert await advertised(access, "https://127.0.0.1:9/x") is None


def test_certificates_that_are_named_are_those_that_are_believed() -> None:
    for name in CERTIFICATES[:3]:
        assert trusted({name: "/nowhere"}) is None, name
    assert Access(dict.fromkeys(CERTIFICATES, "x"), (), True).plain
