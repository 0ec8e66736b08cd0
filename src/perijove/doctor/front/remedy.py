"""Texts of files that pass the challenge on, for good, and keep the redirect for all else. Pure.

In: the server that answers, and to whom the challenge shall go. Out: changed texts, as a unified diff too.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from perijove.doctor.front.matching import parts
from perijove.doctor.front.phases import CODES
from perijove.doctor.front.requests import CHALLENGE, Hop, Redirects
from perijove.doctor.front.servers import Front, Listen
from perijove.doctor.front.spans import Span, spans
from perijove.domain.web_servers import Configuration, Directive


@dataclass(frozen=True, slots=True)
class Patch:
    """Files as they shall be, by their paths."""

    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def diff(self) -> str:
        """For `patch -d / -p1`."""
        lines: list[str] = []
        for path, text in self.after.items():
            old, new = self.before[path].splitlines(keepends=True), text.splitlines(keepends=True)
            lines += difflib.unified_diff(old, new, f"a{path}", f"b{path}")
        ended = [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
        return "".join(ended).rstrip("\n")


@dataclass
class _Edits:
    """What to put in the place of what, in several files."""

    configuration: Configuration
    found: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)

    def span(self, one: Directive) -> Span | None:
        """Where a directive stands; None where its text is not as it was parsed."""
        if one.number < 0:
            return None
        there = spans(self.configuration.texts[one.file])
        fits = one.number < len(there) and there[one.number].name == one.name and there[one.number].end
        return there[one.number] if fits else None

    def put(self, file: str, start: int, end: int, text: str) -> None:
        self.found.setdefault(file, []).append((start, end, text))

    def indent(self, file: str, at: int) -> str | None:
        """The white space before it on its line; None where it does not begin its line."""
        before = self.configuration.texts[file][:at].rpartition("\n")[2]
        return before if not before.strip() else None

    def patch(self) -> Patch | None:
        before = {path: self.configuration.texts[path] for path in self.found}
        after = dict(before)
        for path, edits in self.found.items():
            for start, end, text in sorted(edits, reverse=True):
                after[path] = after[path][:start] + text + after[path][end:]
        return Patch(before, after) if after != before else None


def challenge_passed(front: Front, hop: Hop, to: str) -> Patch | None:
    """Have this hop's server pass the challenge on to `to` (`http://10.0.1.61:80`), or answer it from files below `to`
    (`/srv/acme`); None where nobody can edit it.
    """
    server = hop.server
    edits = _Edits(front.configuration)
    whole = edits.span(server) if server is not None else None
    if server is None or whole is None or not whole.opened:
        return None
    lines = _location(front, server, to)
    old = next(
        (one for one in server.all("location") if parts(one)[0] in ("", "^~") and parts(one)[1] == CHALLENGE), None
    )
    codes = [one for one in server.block or () if one.name in CODES]
    simple = len(codes) == 1 and codes[0].name == "return" and not any(server.all("location"))
    if old is not None:
        if (there := edits.span(old)) is None:
            return None
        edits.put(old.file, there.start, there.end, _set(lines, edits.indent(old.file, there.start)))
    if simple and codes[0].file == server.file and (there := edits.span(codes[0])):
        indent = edits.indent(server.file, there.start)
        text = front.configuration.texts[server.file][there.start : there.end].replace("$server_name", "$host")
        kept = ["location / {", f"    {text}", "}"] if indent is not None else [f"location / {{ {text} }}"]
        edits.put(server.file, there.start, there.end, _set([*lines, *kept], indent))
        return edits.patch()
    if codes:
        _corrected(edits, hop)
        # Ends the server's own rewrites for this path alone; whatever they do, they do for all else.
        lines = [f'if ($uri ~ "^{CHALLENGE.replace(".", chr(92) + ".")}") {{ break; }}', *([] if old else lines)]
    if codes or old is None:
        _opened(edits, server, whole, lines)
    return edits.patch()


def _corrected(edits: _Edits, hop: Hop) -> None:
    """`$host` for `$server_name` in the redirect that was met."""
    if not isinstance(hop.outcome, Redirects) or not hop.outcome.rewrites_host:
        return
    there = edits.span(hop.outcome.by)
    if there is not None:
        file = hop.outcome.by.file
        text = edits.configuration.texts[file][there.start : there.end]
        edits.put(
            file, there.start, there.end, text.replace("$server_name", "$host").replace("${server_name}", "$host")
        )


def _opened(edits: _Edits, server: Directive, whole: Span, lines: list[str]) -> None:
    """Lines at the beginning of a block: below its listeners and names, but above whatever rewrites."""
    file, at = server.file, whole.opened
    for one in server.block or ():
        there = edits.span(one) if one.file == file else None
        if one.name not in ("listen", "server_name") or there is None:
            break
        at = there.end
    text = edits.configuration.texts[file]
    inside = text[whole.opened : whole.closed]
    if "\n" not in inside:
        edits.put(file, at, at, f" {' '.join(line.strip() for line in lines)}")
        return
    first = next((line for line in inside.split("\n")[1:] if line.strip()), "    ")
    indent = first[: len(first) - len(first.lstrip())]
    edits.put(file, at, at, "\n" + indent + _set(lines, indent))


def _set(lines: list[str], indent: str | None) -> str:
    """Lines below one another as their place is set, or behind one another where it is one line."""
    return " ".join(line.strip() for line in lines) if indent is None else f"\n{indent}".join(lines)


def _location(front: Front, server: Directive, to: str) -> list[str]:
    """The location, with what opens it where the blocks around it are closed."""
    around = (server, *front.configuration.main.all("http"))
    opening = ["    allow all;"] if any(one.last("deny") for one in around) else []
    opening += [f"    {name} off;" for name in ("auth_basic", "auth_request") if any(one.last(name) for one in around)]
    passing = [f"    proxy_pass {to};", "    proxy_set_header Host $host;"]
    if to.startswith("/"):
        passing = [f"    root {to};", "    default_type text/plain;", "    try_files $uri =404;"]
    return [f"location ^~ {CHALLENGE} {{", *opening, *passing, "}"]


def listener_removed(front: Front, listen: Listen) -> Patch | None:
    """Take one `listen` out, with its whole server where it has no other; None where nobody can edit it."""
    servers = [one.block for one in front.http if listen in one.listens]
    servers += [one.block for one in front.streams if listen in one.listens]
    others = [one for server in servers for one in server.all("listen") if one is not listen.by]
    goes = listen.by if others else servers[0]
    edits = _Edits(front.configuration)
    there = edits.span(goes)
    if there is None or sum(one.by is listen.by for one in front.listens) > 1:
        return None
    text, (start, end) = front.configuration.texts[goes.file], (there.start, there.end)
    indent = edits.indent(goes.file, start)
    if indent is not None and text[end:].partition("\n")[0].strip() == "":
        start, end = start - len(indent), end + text[end:].find("\n") + 1 if "\n" in text[end:] else len(text)
    edits.put(goes.file, start, end, "")
    return edits.patch()


def server_added(front: Front, listen: str, host: str, to: str) -> Patch | None:
    """A server of its own for port 80: it passes the challenge on and redirects all else."""
    configuration = front.configuration
    main = configuration.main
    name = f"    server_name {host};"
    lines = ["server {", f"    listen {listen};", name, *(f"    {line}" for line in _location(front, main, to))]
    lines += ["    location / {", "        return 301 https://$host$request_uri;", "    }", "}"]
    edits = _Edits(configuration)
    http = next(main.all("http"), None)
    if http is None:
        text = configuration.texts[main.file]
        new = "".join(f"    {line}\n" for line in lines)
        edits.put(main.file, len(text), len(text), f"{'' if text.endswith(chr(10)) else chr(10)}http {{\n{new}}}\n")
        return edits.patch()
    whole = edits.span(http)
    if whole is None or not whole.opened:
        return None
    own = edits.indent(http.file, whole.start) or ""
    closing = edits.indent(http.file, whole.closed)
    new = "".join(f"{own}    {line}\n" for line in lines)
    at = whole.closed - len(closing or "")
    edits.put(http.file, at, at, new if closing is not None else f"\n{new}{own}")
    return edits.patch()
