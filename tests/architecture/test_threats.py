"""The threats of docs/security.md name tests that are there."""

from __future__ import annotations

import ast
import re

from tests.architecture.sources import ROOT, document, modules, nodes


def rows() -> list[str]:
    """Of the one table."""
    return [line for line in document("security.md").splitlines() if line.startswith("| ")][1:]


def test_every_threat_names_tests_that_are_there() -> None:
    there = {path.name for path in modules(ROOT / "tests")} | {
        node.name
        for path in modules(ROOT / "tests")
        for node in nodes(path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    named = {row: set(re.findall(r"`(test_\w+(?:\.py)?)`", row.split("|")[-2])) for row in rows()}
    assert [row for row, names in named.items() if not names or names - there] == []


def test_every_attack_stands_for_a_threat() -> None:
    told = "\n".join(rows())
    unnamed = [
        path.name
        for path in modules(ROOT / "tests/attack")
        if path.name.startswith("test_")
        and path.name not in told
        and not any(
            node.name in told for node in nodes(path) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        )
    ]
    assert unnamed == []
