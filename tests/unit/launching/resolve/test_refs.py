"""Which commit a ref means among those a host lists."""

from __future__ import annotations

import pytest

from perijove.launching.resolve.refs import (
    Chosen,
    Missing,
    Unlisted,
    choose,
    default_branch_taken,
    is_full_commit,
    listed,
)

A, B, C, D, E = ("a1b2c3d4" * 5, "b" * 40, "c" * 40, "a1b2ffff" * 5, "e" * 40)
OUTPUT = f"""ref: refs/heads/trunk\tHEAD
{A}\tHEAD
{B}\trefs/heads/feature/main
{A}\trefs/heads/trunk
{C}\trefs/heads/v1
{D}\trefs/heads/größe
{C}\trefs/pull/7/head
{E}\trefs/tags/annotated
{B}\trefs/tags/annotated^{{}}
{B}\trefs/tags/v1
{E}\trefs/tags/v2
warning: something else
"""


@pytest.mark.parametrize(
    ("ref", "choice"),
    [
        pytest.param("trunk", Chosen(A, "refs/heads/trunk"), id="a branch"),
        pytest.param("v1", Chosen(C, "refs/heads/v1"), id="a branch before a tag of its name"),
        pytest.param("v2", Chosen(E, "refs/tags/v2"), id="a light tag"),
        pytest.param("annotated", Chosen(B, "refs/tags/annotated"), id="an annotated tag means its commit"),
        pytest.param("HEAD", Chosen(A, "refs/heads/trunk"), id="HEAD is the default branch"),
        pytest.param("main", Chosen(A, "refs/heads/trunk"), id="main is never feature/main but the default branch"),
        pytest.param("master", Chosen(A, "refs/heads/trunk"), id="master is the default branch where there is none"),
        pytest.param("größe", Chosen(D, "refs/heads/größe"), id="a name that is not ASCII"),
        pytest.param("refs/pull/7/head", Chosen(C, "refs/pull/7/head"), id="a full ref name"),
        pytest.param("refs/tags/v1", Chosen(B, "refs/tags/v1"), id="a tag by its full name"),
        pytest.param(A, Chosen(A, ""), id="a full commit that is listed"),
        pytest.param(A.upper(), Chosen(A, ""), id="a full commit in capitals"),
        pytest.param("f" * 40, Unlisted("f" * 40), id="a full commit that is not listed"),
        pytest.param("f" * 64, Unlisted("f" * 64), id="a full SHA-256 commit"),
        pytest.param("a1b2c3", Chosen(A, ""), id="a short commit"),
        pytest.param("A1B2C", Chosen(A, ""), id="a short commit in capitals"),
        pytest.param("a1b2", Missing((), (A, D)), id="a short commit that is two"),
        pytest.param("ffff", Unlisted("ffff"), id="a short commit that is not listed"),
        pytest.param("a1b", Missing(()), id="too short for a commit"),
        pytest.param("ture/main", Missing(("feature/main",)), id="nothing matches by its end"),
        pytest.param("tronk", Missing(("trunk",)), id="a slip of the pen finds similar names"),
        pytest.param("feature", Missing(("feature/main",)), id="the first part of a name with a slash finds it"),
    ],
)
def test_a_ref_means(ref: str, choice: object) -> None:
    assert choose(listed(OUTPUT), ref) == choice


def test_a_branch_that_looks_like_a_commit_is_a_branch() -> None:
    assert choose(listed(f"{B}\trefs/heads/deadbeef\n"), "deadbeef") == Chosen(B, "refs/heads/deadbeef")


def test_a_detached_default_has_no_branch() -> None:
    assert choose(listed(f"{A}\tHEAD\n"), "main") == Chosen(A, "")


def test_an_empty_repository_has_no_refs() -> None:
    assert choose(listed(""), "HEAD") == Missing(())


def test_a_commit_must_be_whole_to_be_full() -> None:
    assert [is_full_commit(ref) for ref in ("a" * 40, "A" * 64, "a" * 39, "a" * 41, "a" * 40 + "x", "g" * 40)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("ref", "found", "told"),
    [
        ("master", "refs/heads/main", "There is no branch master here; main, the default, is taken."),
        ("main", "", "There is no branch main here; HEAD, the default, is taken."),
        ("master", "refs/heads/master", ""),
        ("master", "refs/tags/master", ""),
        ("HEAD", "refs/heads/main", ""),
        ("dev", "refs/heads/dev", ""),
    ],
)
def test_taking_the_default_branch_for_another_is_told(ref: str, found: str, told: str) -> None:
    line = default_branch_taken(ref, found)
    assert line.startswith(told)
    assert bool(line) == bool(told)
