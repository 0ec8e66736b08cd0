"""What uv asks in the place of an interpreter that never runs outside a sandbox: conda's, a base's. Synchronous."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.environments import interpreter_stub
from perijove.domain.build_inputs import Interpreter

SOURCE = Path(interpreter_stub.__file__).read_bytes()


@dataclass(frozen=True, slots=True)
class Described:
    """An environment, as it would describe itself."""

    at: Path
    """Where it lies now."""
    interpreter: Interpreter
    virtual: bool
    """Whether it is a virtual environment of the interpreter's."""


def stand_in(work: Path, described: Described, trusted: Path) -> Path:
    """Write it, in a folder beside the environment; its path."""
    about, script, program = work / "about.json", work / "interpreter_stub.py", work / "python"
    interpreter, at = described.interpreter, str(described.at)
    told = {
        "version": interpreter.version,
        "minor": interpreter.minor,
        "at": at,
        "base": str(interpreter.prefix) if described.virtual else at,
        "executable": f"{at}/bin/python" if described.virtual else str(interpreter.executable),
        "base_executable": str(interpreter.executable),
        "glibc": [int(part) for part in interpreter.glibc.split(".")[:2]] if interpreter.glibc else [],
    }
    about.write_text(json.dumps(told))
    script.write_bytes(SOURCE)
    program.write_text(f'#!/bin/sh\nexec "{trusted}" -I "{script}" "{about}" "$@"\n')
    program.chmod(0o755)
    return program


def virtual_environment(at: Path, interpreter: Interpreter) -> None:
    """An empty one that can be renamed, as the interpreter would make it."""
    packages = at / "lib" / f"python{interpreter.minor}" / "site-packages"
    packages.mkdir(parents=True)
    programs = at / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(interpreter.executable)
    for name in ("python3", f"python{interpreter.minor}"):
        (programs / name).symlink_to("python")
    about = {
        "home": str(interpreter.executable.parent),
        "implementation": "CPython",
        "version_info": interpreter.version,
        "include-system-site-packages": "false",
        "relocatable": "true",
    }
    (at / "pyvenv.cfg").write_text("".join(f"{name} = {value}\n" for name, value in about.items()))
