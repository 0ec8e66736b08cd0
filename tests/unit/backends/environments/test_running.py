"""How a repository's own scripts are run, whatever wrote them."""

from __future__ import annotations

import codecs
import subprocess
import sys
from pathlib import Path

import pytest

from perijove.backends.environments import running

SCRIPT = '#!/bin/bash\r\nsaid=("Größe" "$BASH")\r\necho "${said[@]}"\r\n'


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SCRIPT.replace("\r\n", "\n").encode(), id="plain"),
        pytest.param(SCRIPT.encode(), id="line ends of Windows"),
        pytest.param(codecs.BOM_UTF8 + SCRIPT.encode(), id="a mark"),
        pytest.param(codecs.BOM_UTF16_LE + SCRIPT.encode("utf-16-le"), id="PowerShell"),
        pytest.param(codecs.BOM_UTF16_BE + SCRIPT.encode("utf-16-be"), id="big endian"),
    ],
)
def test_a_script_is_run_by_what_its_first_line_asks_for_whatever_saved_it(tmp_path: Path, content: bytes) -> None:
    script = tmp_path / f"postBuild-{tmp_path.parent.name}-{tmp_path.name}"  # its copy lies in /tmp by this name
    script.write_bytes(content)
    asked = [sys.executable, running.__file__, "postBuild", str(script)]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    Path("/tmp", script.name).unlink(missing_ok=True)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("Größe /bin/bash\n", "", 0)
    assert script.read_bytes() == content
