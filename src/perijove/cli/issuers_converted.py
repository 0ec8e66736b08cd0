"""`perijove convert issuer`: objects to standard output, what was changed to standard error; the exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from perijove.cli import printing
from perijove.doctor.cluster import convert as converting


def convert(file: Path) -> int:
    """0 where all was rewritten, 1 where something is left to do by hand, 2 where the file cannot be read."""
    try:
        content = sys.stdin.read() if str(file) == "-" else file.read_text()
        documents = [one for one in yaml.safe_load_all(content) if one is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        printing.err.print(printing.plain(f"✗ {file} cannot be read: {why}"), markup=False)
        return 2
    done = converting.convert(documents)
    text = yaml.safe_dump_all(done.documents, sort_keys=False, allow_unicode=True, width=10_000)
    if done.documents:
        printing.out.print(text, markup=False, end="")
    for line in done.changed:
        printing.err.print(printing.plain(f"✓ {line}"), markup=False)
    for line in done.hints:
        printing.err.print(printing.plain(f"· {line}"), markup=False)
    for line in done.left:
        printing.err.print(printing.plain(f"! {line}"), markup=False)
    return 1 if done.left or not done.documents else 0
