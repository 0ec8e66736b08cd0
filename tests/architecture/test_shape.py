"""Files and functions stay small, names explain themselves, every module says what it is for."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.architecture.sources import PACKAGE, ROOT, modules, name_of, nodes, published, tree

NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager", "core"}
REPLACED = {"time.sleep", "mocker", *(f"monkeypatch.{how}" for how in ("setattr", "delattr", "setitem", "delitem"))}
INDEX = re.compile(r"https?://(?!\w+/|[^/\s]*(?:example|invalid|127\.0\.0\.1))[^\s\"'<>)]*/simple\b")
"""A package index; names that nobody can own (RFC 2606, or without a dot) stand for one in documents and tests."""


SIZED = re.compile(r" ?(?:bytes|[KMGT]i?B)\b")
"""What follows a number of bytes that is told as it is."""


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [one for one in nodes(path) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]


def test_a_file_stays_under_400_lines() -> None:
    long = {name_of(path): count for path in modules() if (count := len(path.read_text().splitlines())) >= 400}
    assert not long


def test_no_tracked_link_leads_out_of_the_tree() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no clone: nobody says what is tracked")
    listed = subprocess.run(["git", "ls-files", "-s", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    links = [ROOT / line.partition("\t")[2] for line in listed.stdout.split("\0") if line.startswith("120000 ")]
    there = {link: Path(os.path.normpath(link.parent / link.readlink())) for link in links if link.is_symlink()}
    assert there
    assert [name_of(link) for link, to in there.items() if not to.is_relative_to(ROOT)] == []


def test_a_function_stays_under_40_lines() -> None:
    """Counted below its `def` line."""
    long = {
        f"{name_of(path)}: {function.name}": count
        for path in modules()
        for function in functions(path)
        if (count := (function.end_lineno or 0) - function.lineno) >= 40
    }
    assert not long


def test_no_module_has_a_name_that_explains_nothing() -> None:
    assert not [name_of(path) for path in modules() if path.stem in NAMELESS or path.parent.name in NAMELESS]


def test_every_module_opens_with_what_it_is_for() -> None:
    silent = []
    for path in modules():
        text = ast.get_docstring(tree(path)) or ""
        if not text.endswith((".", ".`", ".)")) or "TODO" in text or not 1 <= len(text.splitlines()) <= 8:
            silent.append(name_of(path))
    assert not silent


def test_no_package_is_empty() -> None:
    folders = {path.parent for path in modules()}
    empty = [
        name_of(folder)
        for folder in folders
        if folder != PACKAGE
        and not any(one.suffix == ".py" and one.name != "__init__.py" for one in folder.iterdir())
        and not any(other != folder and other.is_relative_to(folder) for other in folders)
    ]
    assert not empty


def test_sizes_are_told_in_one_way() -> None:
    """By `sizes.size`: nobody reads 1073741824 bytes, and no two places round differently."""
    found = [
        f"{name_of(path)}:{text.lineno}"
        for path in modules()
        if path != PACKAGE / "domain" / "sizes.py"
        for text in nodes(path)
        if isinstance(text, ast.JoinedStr)
        for number, after in itertools.pairwise(text.values)
        if isinstance(number, ast.FormattedValue) and isinstance(after, ast.Constant) and SIZED.match(str(after.value))
    ]
    assert not found


def test_tests_wait_for_conditions_and_use_real_parts() -> None:
    """No fixed pauses, no mocks, nothing of ours replaced; the process's own variables may be set for a while."""
    found = []
    for path in modules(ROOT / "tests"):
        for node in nodes(path):
            name = ""
            if isinstance(node, ast.Import):
                name = ".".join(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                name = f"{node.module}.{'.'.join(alias.name for alias in node.names)}"
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name = f"{node.value.id}.{node.attr}"
            elif isinstance(node, ast.arg):
                name = node.arg
            if name in REPLACED or "mock" in name.split("."):
                found.append(f"{name_of(path)}:{getattr(node, 'lineno', '?')}: {name}")
    assert not found


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        pytest.param(INDEX, "whoever installs decides where packages come from", id="package index"),
        pytest.param(re.compile(r"(?<![\w.])/(?:work|tmp/brief)/"), "a path of one machine", id="somebody's folder"),
        pytest.param(re.compile(r"BEGIN (?:[A-Z]+ )?PRIVATE KEY"), "a secret", id="private key"),
    ],
)
def test_nothing_is_published_that_belongs_to_one_machine(pattern: re.Pattern[str], why: str) -> None:
    found = []
    for path in published():
        if path.suffix in {".png", ".ico", ".gz"} or path == ROOT / "tests/architecture/test_shape.py":
            continue
        found += [f"{name_of(path)}: {match[0]}" for match in pattern.finditer(path.read_text(errors="replace"))]
    assert not found, why


CONFINED = {"backends/git/lfs.py", "backends/environments/system/registry.py"}
"""What runs in a process of its own, where nobody else waits for the event loop."""


def test_no_authorities_are_read_on_the_event_loop() -> None:
    """That takes 30 ms and more; httpx does it for every client and transport that is not told otherwise."""
    found = [
        f"{name_of(path)}:{call.lineno}"
        for path in modules()
        if str(path.relative_to(PACKAGE)) not in CONFINED
        for call in [*filter(_reads_authorities, nodes(path)), *_made_at_once(path)]
    ]
    assert not found


def _made_at_once(path: Path) -> Iterator[ast.Call]:
    making = ("create_default_context", "create_ssl_context")
    for function in functions(path):
        for call in ast.walk(function) if isinstance(function, ast.AsyncFunctionDef) else ():
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(making):
                yield call


def _reads_authorities(call: ast.AST) -> TypeGuard[ast.Call]:
    """Whether httpx would, or an operator's socket is asked by TLS, which it does not speak."""
    if not isinstance(call, ast.Call):
        return False
    name, given = ast.unparse(call.func), {one.arg: one.value for one in call.keywords}
    if name not in {"httpx.AsyncClient", "httpx.AsyncHTTPTransport", "httpx.HTTPTransport"}:
        return False
    if "uds" in given:
        return "verify" not in given or ast.unparse(given["verify"]) != "False"
    return not {"verify", "transport"} & given.keys()
