"""Imports point down, and steps and backends are strangers: the contracts of pyproject.toml hold."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib

from tests.architecture.sources import PACKAGE, ROOT, modules, name_of, nodes

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_the_import_contracts_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in ran.stdout


def test_every_backend_is_held_to_be_a_stranger() -> None:
    """A backend that is added must be named in its contract, or nothing holds it."""
    stands = {path.stem for path in (PACKAGE / "backends").iterdir() if path.suffix == ".py" or path.is_dir()}
    strangers = next(one for one in CONTRACTS if one["type"] == "independence" and "backends" in str(one["modules"]))
    named = {module.rpartition(".")[2] for module in strangers["modules"]}
    assert stands - {"__init__", "__pycache__"} == named


def test_the_domain_needs_nothing_but_the_standard_library() -> None:
    strangers = []
    for path in modules(PACKAGE / "domain"):
        for node in nodes(path):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            strangers += [
                f"{name_of(path)}: {name}"
                for name in names
                if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("perijove.domain")
            ]
    assert not strangers
