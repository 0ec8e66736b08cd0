"""How does a notebook look before anything runs? In: a checkout, a path. Out: HTML of what is saved in it.

Read in a confined process. All of it is escaped, or made by the Markdown library, with HTML shown as text, and links
and others' pictures as their words: nothing in it leads anywhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perijove.domain.bounded_log import clean
from perijove.domain.failures import Fail
from perijove.launching.build.reading import read

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

LARGEST = 4 * 1024**2
"""Bytes of a notebook that is shown."""
CELLS, OUTPUTS = 100, 5
"""Cells of it, and outputs of one cell."""
SOURCE, OUTPUT = 20_000, 5_000
"""Characters of a cell, and of an output."""
MARKDOWN = 100_000
"""Characters of Markdown that is rendered, of which the worst takes two seconds; the rest is shown as it is written."""
PICTURES = 2 * 1024**2
"""Bytes of all its pictures."""
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Preview:
    """A notebook as it can be shown."""

    html: str
    more: str = ""
    """What is not shown of it and why, in words; `` where all is."""


def preview(root: Path, path: str) -> Preview:
    """A notebook of the checkout, by its path below it."""
    try:
        told = json.loads(read(root, path, LARGEST))
        cells = _list(told, "cells")
    except Fail as fail:
        return Preview("", fail.failure.cause)
    except ValueError:
        return Preview("", f"{path} is no notebook")
    if not cells:
        return Preview("", f"{path} has no cells that are understood")
    more = f"{len(cells) - CELLS} more cells are not shown" if len(cells) > CELLS else ""
    return Preview("".join(_Rendering().cells(cells[:CELLS])), more)


class _Rendering:
    """Renders cells, within what is left for pictures."""

    def __init__(self) -> None:
        from markdown_it import MarkdownIt  # noqa: PLC0415  loaded in confined processes alone

        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        self._markdown.add_render_rule("image", _alternative)
        for rule in ("link_open", "link_close"):
            self._markdown.add_render_rule(rule, _nothing)
        self._left, self._unread = PICTURES, MARKDOWN

    def cells(self, cells: Sequence[Any]) -> Iterator[str]:
        """Each as HTML."""
        for cell in cells:
            source = _shortened(_text(_at(cell, "source")), SOURCE)
            match _at(cell, "cell_type"):
                case "markdown" if (unread := self._unread - len(source)) >= 0:
                    self._unread = unread
                    yield f'<div class="text">{self._markdown.render(source)}</div>'
                case "code":
                    outputs = "".join(map(self._output, _list(cell, "outputs")[:OUTPUTS]))
                    yield f'<pre class="code" tabindex="0"><code>{escape(source)}</code></pre>{outputs}'
                case _:
                    yield f'<pre tabindex="0">{escape(source)}</pre>'

    def _output(self, output: Any) -> str:
        if picture := self._picture(_text(_at(_at(output, "data"), "image/png"))):
            return picture
        said = _text(_at(output, "text")) or _text(_at(_at(output, "data"), "text/plain"))
        lines = _shortened(said or _text(_at(output, "traceback"), "\n"), OUTPUT).splitlines()
        shown = "\n".join(map(clean, lines))
        return f'<pre class="output" tabindex="0">{escape(shown)}</pre>' if shown else ""

    def _picture(self, text: str) -> str:
        try:
            content = base64.b64decode(text, validate=False)
        except ValueError:
            return ""
        if not content.startswith(_PNG) or len(content) > self._left:
            return ""
        self._left -= len(content)
        encoded = base64.b64encode(content).decode()
        return f'<p><img src="data:image/png;base64,{encoded}" alt="A picture that this code made"></p>'


def _alternative(_: RendererHTML, tokens: Sequence[Token], at: int, *__: object) -> str:
    """What a picture's author says in its place."""
    return escape(tokens[at].content)


def _nothing(*_: object) -> str:
    return ""


def _at(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _list(value: Any, key: str) -> list[Any]:
    found = _at(value, key)
    return found if isinstance(found, list) else []


def _text(value: Any, between: str = "") -> str:
    """A multi-line string of nbformat 4: one, or a list of them."""
    if isinstance(value, list):
        return between.join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
