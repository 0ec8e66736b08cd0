"""Every row of the catalogue is explained, raised and provoked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from perijove.domain import (
    auth_failures,
    certificate_failures,
    cluster_failures,
    cluster_ground_failures,
    cluster_session_failures,
    cluster_tls_failures,
    conda_failures,
    egress_failures,
    failures,
    front_failures,
    keeping_failures,
    people_failures,
    registry_failures,
    request_failures,
    server_failures,
    service_failures,
    site_failures,
    system_failures,
)
from perijove.domain.failures import CATALOGUE, Kind, Owner, Retry
from tests.architecture.sources import PACKAGE, ROOT, document, modules, nodes

MODULES = (
    failures, conda_failures, egress_failures, system_failures, registry_failures, request_failures, auth_failures,
    people_failures, server_failures, keeping_failures,
    certificate_failures, front_failures,
    cluster_failures, cluster_ground_failures, cluster_tls_failures, cluster_session_failures,
    service_failures,
    site_failures,
)  # fmt: skip
CATALOGUES = tuple(f"domain/{module.__name__.rpartition('.')[2]}.py" for module in MODULES)
ROWS = {name: value for module in MODULES for name, value in vars(module).items()}
NAMES = {kind.code: name for name, kind in ROWS.items() if isinstance(kind, Kind)}
OWNERS = {
    Owner.VISITOR: "the visitor",
    Owner.AUTHOR: "the repository's author",
    Owner.OPERATOR: "the operator",
    Owner.UPSTREAM: "whoever runs the other service",
    Owner.US: "Perijove's makers",
}
RETRIES = {Retry.NEVER: "no", Retry.BACKOFF: "yes, after a pause", Retry.AFTER: "after the time it names"}
AREAS = (
    *("resolve", "build", "start", "home", "session", "platform", "internal", "cert", "front", "cluster", "site"),
    "registry",
)


def used(path_names: tuple[str, ...]) -> set[str]:
    """Names and texts that stand in the code below these folders, the catalogue itself left out."""
    found: set[str] = set()
    for folder in path_names:
        for path in modules(ROOT / folder):
            if path.match("tests/architecture/*") or any(path.match(one) for one in CATALOGUES):
                continue
            for node in nodes(path):
                match node:
                    case ast.Name(id=name) | ast.Attribute(attr=name):
                        found.add(name)
                    case ast.Constant(value=str() as text):
                        found.add(text)
    return found


def raised() -> set[str]:
    """Names of rows that are called or handed to who calls them, or stand in a table from which one is."""
    found = {"BUG"}
    for path in modules():
        if any(path.match(one) for one in (*CATALOGUES, "web/statuses.py")):
            continue
        for node in nodes(path):
            inside: list[ast.expr | None] = []
            match node:
                case ast.Call():
                    inside = [node.func, *node.args[:1]]
                case ast.Tuple():
                    inside = [*node.elts]
                case ast.Dict():
                    inside = [*node.values]
                case ast.IfExp():
                    inside = [node.body, node.orelse]
            for one in inside:
                found |= (
                    {one.id} if isinstance(one, ast.Name) else {one.attr} if isinstance(one, ast.Attribute) else set()
                )
    return found


def test_every_row_has_a_name_and_a_known_area() -> None:
    assert set(NAMES) == set(CATALOGUE)
    assert not [code for code in CATALOGUE if not re.fullmatch(rf"({'|'.join(AREAS)})\.[a-z0-9-]+", code)]


def test_every_row_can_be_read_from_a_journal_by_whoever_reads_one() -> None:
    """In a process of its own: here all of them are known anyway."""
    code = "from perijove.domain import wire; from perijove.domain.failures import CATALOGUE; print(*CATALOGUE)"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    there = {path.name for path in (PACKAGE / "domain").glob("*failures.py")}
    assert there == {name.rpartition("/")[2] for name in CATALOGUES}
    assert set(NAMES) - set(known) == set()


def test_the_document_has_a_heading_a_row_and_no_other() -> None:
    headings = re.findall(r"^### (\S+)$", document("failures.md"), re.MULTILINE)
    assert headings == list(NAMES)


@pytest.mark.parametrize("code", CATALOGUE)
def test_the_document_says_what_the_row_says(code: str) -> None:
    section = document("failures.md").partition(f"### {code}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    kind = CATALOGUE[code]
    line = f"*{kind.title}.* Can be put right by {OWNERS[kind.owner]}. Tried again by itself: {RETRIES[kind.retry]}."
    opening, _, rest = section.strip().partition("\n\n")
    assert " ".join(opening.split()) == line
    assert len(rest.split()) >= 15, "it explains more than its title"


def test_every_row_is_raised_somewhere() -> None:
    found = raised()
    assert sorted(code for code, name in NAMES.items() if name not in found) == []


def test_every_row_is_named_by_a_test() -> None:
    words = (ROOT / "tests/doctor/cluster/words.txt").read_text()
    seen = used(("tests",)) | set(re.findall(r" \| ([a-z]+\.[a-z0-9-]+)", words))
    assert sorted(code for code, name in NAMES.items() if code not in seen and name not in seen) == []
