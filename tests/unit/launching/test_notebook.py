"""A notebook as it was saved, as HTML."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from perijove.launching.notebook import CELLS, LARGEST, MARKDOWN, OUTPUT, PICTURES, SOURCE, Preview, preview

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 30).decode()


def shown(root: Path, *cells: Any) -> Preview:
    (root / "a.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells}))
    return preview(root, "a.ipynb")


def code(source: str, *outputs: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def test_text_code_and_what_it_made_are_shown(tmp_path: Path) -> None:
    found = shown(
        tmp_path,
        {"cell_type": "markdown", "source": ["# One\n", "| a |\n", "|---|\n", "| **b** |"]},
        code("print(1 < 2)", {"output_type": "stream", "text": ["True\n", "x"]}),
        code("f()", {"data": {"image/png": PNG, "text/plain": "<Figure>"}}, {"data": {"text/plain": "3"}}),
        code("g()", {"output_type": "error", "traceback": ["\x1b[0;31mE\x1b[0m", "line"]}),
        {"cell_type": "raw", "source": "<raw>"},
    )
    assert "<h1>One</h1>" in found.html
    assert "<td><strong>b</strong></td>" in found.html
    assert "<code>print(1 &lt; 2)</code>" in found.html
    assert ">True\nx</pre>" in found.html
    assert f'src="data:image/png;base64,{PNG}"' in found.html
    assert "Figure" not in found.html
    assert ">3</pre>" in found.html
    assert ">E\nline</pre>" in found.html
    assert "&lt;raw&gt;" in found.html
    assert found.more == ""


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '[a](javascript:alert(1)) [b](https://x.test/ "t") <https://x.test/>',
    "![<b>](https://x.test/p.png) ![c](data:image/svg+xml,<svg>)",
    "[a]: https://x.test/\n\n[a]",
    '```"><script>\n</code><script>\n```',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_it_runs_or_leads_anywhere(tmp_path: Path, text: str) -> None:
    found = shown(tmp_path, {"cell_type": "markdown", "source": text}, code(text, {"text": text}))
    html = found.html.replace("&lt;script&gt;", "").replace("&lt;img src=x", "")
    for bad in ("<script", "<img", "<a ", "href=", "<svg", "<b>"):
        assert bad not in html


@pytest.mark.parametrize(
    "picture", [base64.b64encode(b"<svg onload=x>").decode(), "%%%", PNG[:5], ["x", 3], {"a": 1}], ids=str
)
def test_only_pngs_are_pictures(tmp_path: Path, picture: Any) -> None:
    found = shown(tmp_path, code("f()", {"data": {"image/png": picture, "text/plain": "words"}}))
    assert "<img" not in found.html
    assert "words" in found.html


def test_much_is_shown_in_part(tmp_path: Path) -> None:
    large = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * (PICTURES // 2)).decode()
    found = shown(
        tmp_path,
        code("f()", {"data": {"image/png": large}}, {"data": {"image/png": large}}, {"text": "y" * 2 * OUTPUT}),
        *[code("1")] * CELLS,
    )  # fmt: skip
    assert found.more == "1 more cells are not shown"
    assert found.html.count("<img") == 1
    assert len(found.html) < 2 * PICTURES + 100 * CELLS


def test_markdown_beyond_what_is_rendered_is_shown_as_it_is_written(tmp_path: Path) -> None:
    cell = {"cell_type": "markdown", "source": f"*a*{'b' * (SOURCE - 3)}"}
    found = shown(tmp_path, *[cell] * 6)
    assert found.html.count("<em>a</em>") == MARKDOWN // SOURCE
    assert found.html.count(">*a*b") == 1


NO_NOTEBOOKS = [
    pytest.param("[1]", "a.ipynb has no cells that are understood", id="a list"),
    pytest.param('{"worksheets": []}', "a.ipynb has no cells that are understood", id="nbformat 3"),
    pytest.param("{", "a.ipynb is no notebook", id="no JSON"),
    pytest.param(" " * (LARGEST + 1), "a.ipynb cannot be read: it is larger than 4 MB", id="large"),
]


@pytest.mark.parametrize(("text", "why"), NO_NOTEBOOKS)
def test_what_cannot_be_shown_says_why(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    assert preview(tmp_path, "a.ipynb") == Preview("", why)


def test_nothing_outside_of_the_checkout_is_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.ipynb").write_text('{"cells": [{"cell_type": "raw", "source": "secret"}]}')
    (root / "a.ipynb").symlink_to(tmp_path / "secret.ipynb")
    for path in ("a.ipynb", "../secret.ipynb"):
        assert preview(root, path).html == ""


def test_odd_cells_are_passed_over(tmp_path: Path) -> None:
    found = shown(tmp_path, 1, None, [], {}, {"cell_type": "code", "source": 7, "outputs": [1, None, {"data": []}]})
    assert found.more == ""
    assert "<img" not in found.html
