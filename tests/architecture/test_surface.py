"""What people call is documented: endpoints, commands, dependencies, links between documents."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest
import typer.main
from typer.testing import CliRunner

from perijove.cli.main import app
from tests.architecture.commands import commands, examples, understood
from tests.architecture.sources import PACKAGE, ROOT, document, modules, nodes

DOCUMENTS = sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def endpoints() -> list[str]:
    """The paths of all rows of the URL map."""
    calls = [node for node in nodes(PACKAGE / "web" / "front.py") if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("Row", "_form")]
    return [str(call.args[0].value) for call in named if isinstance(call.args[0], ast.Constant)]


def test_every_endpoint_is_a_row_of_the_protocols_table() -> None:
    told = re.findall(r"^\| `(/[^`]*)` \|", document("protocol.md"), re.MULTILINE)
    assert sorted(set(told) - set(endpoints())) == [], "told, but not served"
    assert sorted(set(endpoints()) - set(told)) == [], "served, but not told"


def test_every_command_says_what_it_does() -> None:
    group = typer.main.get_command(app)
    commands = getattr(group, "commands")  # noqa: B009  click's Group, of which typer keeps its own copy
    assert {"up", "launch", "get", "describe", "logs", "stop", "clean", "settings"} <= set(commands)
    assert not [name for name, command in commands.items() if not (command.help or "").endswith(".")]


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_answers_to_h_and_ends_with_examples_that_are_understood(name: str) -> None:
    command = dict(commands())[name]
    told = CliRunner().invoke(app, [*name.split()[1:], "-h"])
    assert told.exit_code == 0, told.output
    lines = examples(command)
    assert lines
    assert all(line in told.output for line in lines if len(line) < 70)
    reached = [understood(line) for line in lines]
    assert [one for one in reached if not one.startswith(name)] == []


def test_every_word_of_a_command_is_explained() -> None:
    unexplained = [
        f"{name} {parameter.name}" for name, command in commands() for parameter in command.params
        if not parameter.help and not parameter.hidden
    ]  # fmt: skip
    assert not unexplained


def refusal(line: str) -> str:
    """What the parser says of a command line; `` where it understands it."""
    try:
        understood(line)
    except Exception as error:  # noqa: BLE001  whatever it is
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("name", [*DOCUMENTS, "../README.md"])
def test_every_command_line_of_the_documents_is_understood(name: str) -> None:
    text = (ROOT / "docs" / name).resolve().read_text()
    blocks = "\n".join(re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    lines = re.findall(r"^(?:\$ |/\S+/)?(perijove [^[\n]+)$", blocks.replace("\\\n", " "), re.MULTILINE)
    spoken = re.findall(r"`(perijove (?!…)[^`…\[]+)`", " ".join(text.split()))
    refused = {line: why for line in (*lines, *spoken) if (why := refusal(line))}
    merely_named = {
        line for line in spoken if re.match("Missing|NoArgsIsHelp|.*requires an arg", refused.get(line, ""))
    }
    assert refused.keys() == merely_named, refused


def test_every_command_is_in_the_readme() -> None:
    commands = getattr(typer.main.get_command(app), "commands")  # noqa: B009
    told = (ROOT / "README.md").read_text()
    assert not [name for name, command in commands.items() if not command.hidden and f"perijove {name}" not in told]


def test_every_module_is_on_the_map() -> None:
    told = set(re.findall(r"[a-z0-9_]+", document("architecture.md")))
    stems = {path.stem if path.stem != "__init__" else path.parent.name for path in modules()}
    assert sorted(stems - told - {"__main__"}) == []
    drawn = document("architecture.md").partition("\nsrc/perijove/\n")[2].partition("\n```")[0]
    assert sorted(set(re.findall(r"\b([a-z0-9_]+)\.py\b", drawn)) - stems - {"__init__"}) == [], (
        "on the map, and no more there"
    )


def test_every_dependency_is_accounted_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=~! \[]", one)[0] for one in wanted}
    told = set(re.findall(r"^\| \[?`([a-z0-9-]+)`", document("dependencies.md"), re.MULTILINE))
    assert names == told


@pytest.mark.parametrize("name", [*DOCUMENTS, "../README.md", "../CHANGELOG.md"])
def test_links_between_documents_lead_somewhere(name: str) -> None:
    here = (ROOT / "docs" / name).resolve()
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", here.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (here.parent / path).resolve() if path else here
        if not there.exists() or (anchor and anchor not in anchors(there.read_text())):
            broken.append(target)
    assert not broken


def anchors(text: str) -> set[str]:
    """The anchors that a reader of Markdown makes of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
