"""The command line as it is declared: every command, and whether a line is understood. Nothing is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer.main
from typer import BadParameter

from perijove.cli.main import app

ROOT: Any = typer.main.get_command(app)


def commands(group: Any = ROOT, name: str = "perijove") -> Iterator[tuple[str, Any]]:
    """Each command and group by its words, `perijove cert renew`."""
    yield name, group
    for word, one in getattr(group, "commands", {}).items():
        yield from commands(one, f"{name} {word}")


def examples(command: Any) -> list[str]:
    """The lines that end its help."""
    return re.findall(r"^\$ (.+)$", command.epilog or "", re.MULTILINE)


def understood(line: str) -> str:
    """The words of the command that a line of a shell would run. Raises what the parser raises, but where it alone
    misses a file that the line names."""
    words = shlex.split(line, comments=True)
    if any(word in (">", "|", "&&") for word in words):
        words = words[: next(at for at, word in enumerate(words) if word in (">", "|", "&&"))]
    assert words[0] == "perijove", line
    return _descended(ROOT, "perijove", words[1:], None)


def _descended(command: Any, name: str, words: list[str], above: Any) -> str:
    # They do something as soon as they are read.
    acting = {option for one in command.params if one.callback is not None for option in one.opts}
    if {"-h", "--help", *acting} & set(words):
        return name
    try:
        context = command.make_context(name.rpartition(" ")[2], list(words), parent=above)
    except BadParameter as error:
        if "does not exist" not in str(error):
            raise
        return name
    with context:
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if not hasattr(command, "commands") or not rest:
            return name
        word, below, rest = command.resolve_command(context, rest)
        return _descended(below, f"{name} {word}", rest, context)
