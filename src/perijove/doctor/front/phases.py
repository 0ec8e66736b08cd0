"""What does one `server` of nginx do with a request: answer, redirect, pass on? In its own order of phases. Pure.

Facts: nginx's documentation of its core, rewrite, proxy, access and auth_request modules, its development guide
("phases": the server's rewrites, the location, the location's rewrites, access, try_files, content, error_page), and of
version 1.22 `ngx_http_core_access_phase` (`satisfy`, subrequests) and `ngx_http_send_error_page` (`=`).
"""

from __future__ import annotations

from dataclasses import replace

from perijove.doctor.front.matching import PASSING, lacks_slash, location, normal, parts, regex, unreadable
from perijove.doctor.front.proxying import passed
from perijove.doctor.front.requests import USUAL_PORTS, Files, Hop, Outcome, Redirects, Request, Responds, Unknown, step
from perijove.doctor.front.servers import Front, HttpServer
from perijove.doctor.front.variables import Variables, stranger_in
from perijove.domain.failures import Evidence
from perijove.domain.web_servers import Directive

MOST = 10
"""How often nginx looks for another location before it gives up."""
ASSUMED = "cannot be told from here, taken as not so"
CODES = ("return", "rewrite", "if", "set", "break")
ANSWERS = ("proxy_pass", "try_files", "deny", "auth_basic", "error_page", "root", "alias")
"""What decides in a block who answers, beside its codes and handlers."""
HANDLERS = (*PASSING, "stub_status", "echo")


def answer(front: Front, server: HttpServer, request: Request, *, plain: Directive | None = None) -> Hop:
    """What comes of the request at this server; `plain`: the listener of TLS that http was spoken to."""
    run = _Run(front, server, request)
    outcome = run.answered() if plain is None else run.spoken_plainly(plain)
    return Hop(request, tuple(run.steps), outcome, server.block, run.assumed, run.files)


class _Run:
    """One request in one server."""

    def __init__(self, front: Front, server: HttpServer, request: Request) -> None:
        self.server = server
        path, _, args = request.path.partition("?")
        merged = not _flagged((server.http, server.block), "merge_slashes", "off")
        path = normal(path, merged=merged)
        self.variables = Variables(front, request, "http", server.names[0].removeprefix("."), path, path, args)
        self.scopes = self._outer()
        """The blocks whose settings count by now."""
        self.steps: list[Evidence] = []
        self.assumed = False
        self.broken = False
        """Whether a `rewrite … break` made the path that is passed on."""
        self.moved = False
        """Whether a rewrite has just said which path it is, though it be the same."""
        self.cycles = 0
        self.files = ""
        """Below which folder a file would have been the answer."""
        self.internal = False
        """Whether it is nginx's own by now: what is `internal` is open to it."""
        self.paged = False
        """Whether an error_page was taken: without recursive_error_pages one is all."""
        self.tried: Directive | None = None
        """The `try_files` that it came by last."""
        self.sub = False
        """Whether auth_request asks: nobody is refused there."""
        for name in server.names:
            if name.startswith("~"):
                self._captured(name[1:], request.host, insensitive=True)

    def answered(self) -> Outcome:
        """From the server's rewrites on."""
        self.scopes = self._outer()
        outcome, ended, _ = self._codes(self.server.block)
        self.broken = self.moved and ended == "break"
        return self._paged(outcome, self._outer()) if outcome else self._located()

    def spoken_plainly(self, by: Directive) -> Outcome:
        """Where http is spoken to a listener of TLS: nginx's own 497, which is 400 outside."""
        outcome = self._paged(Responds(497, by), self._outer())
        return replace(outcome, status=400) if outcome == Responds(497, by) else outcome

    def _located(self) -> Outcome:
        """Find the location and run it, until no rewrite sends it on."""
        while self.cycles < MOST:
            self.cycles += 1
            chain = location(self.server.block, self.variables.path)
            unread = unreadable(self.server.block)
            if unread is not None and (not chain or parts(chain[0])[0] not in ("=", "^~")):
                self.assumed = True
                self.steps.append(step(unread, f"{unread.words}: {ASSUMED}"))
            self.moved = False
            self.scopes = (*self._outer(), *chain)
            if chain and lacks_slash(chain[-1], self.variables.path):
                args = f"?{self.variables.args}" if self.variables.args else ""
                self.steps.append(step(chain[-1]))
                return self._redirect(chain[-1], 301, f"{self.variables.path}/{args}")
            if chain and not self.internal and (closed := chain[-1].last("internal")):
                self.steps += [step(chain[-1]), step(closed)]
                return self._paged(Responds(404, closed), (*self._outer(), *chain))
            outcome, ended, inside = self._into(chain)
            if outcome is not None:
                return self._paged(outcome, (*self._outer(), *chain))
            if self.moved and ended != "break":
                continue
            self.broken = self.broken or self.moved
            return self._content((*self._outer(), *chain, *inside), chain)
        return Responds(500, self.server.block)

    def _outer(self) -> tuple[Directive, ...]:
        return (self.server.http, self.server.block)

    def _into(self, chain: tuple[Directive, ...]) -> tuple[Outcome | None, str, tuple[Directive, ...]]:
        """The rewrites of the location; those of the locations around it do not count."""
        if not chain:
            return None, "", ()
        self.steps.append(step(chain[-1]))
        kind, pattern = parts(chain[-1])
        if kind in ("~", "~*"):
            self._captured(pattern, self.variables.path, insensitive=kind == "~*")
        return self._codes(chain[-1])

    def _captured(self, pattern: str, text: str, *, insensitive: bool) -> None:
        found = regex(pattern, insensitive=insensitive)
        match = found.search(text) if found is not None else None
        if match is not None:
            self.variables.capture(match)

    def _codes(self, block: Directive) -> tuple[Outcome | None, str, tuple[Directive, ...]]:
        """Run a block's rewrites: what they answer, the flag that ended them, the `if` whose block counts."""
        inside: tuple[Directive, ...] = ()
        for one in block.all(*CODES):
            if one.name == "break":
                self.steps.append(step(one))
                return None, "break", inside
            if one.name == "set" and len(one.args) == 2:
                self.variables.own[one.args[0].removeprefix("$")] = self.variables.filled(one.args[1])
            elif one.name == "return":
                return self._returned(one), "", inside
            elif one.name == "rewrite":
                outcome, ended = self._rewritten(one)
                if outcome is not None or ended:
                    return outcome, ended, inside
            elif one.name == "if" and self._met(one):
                outcome, ended, _ = self._codes(one)
                inside = (one,)
                if outcome is not None or ended:
                    return outcome, ended, inside
        return None, "", inside

    def _returned(self, one: Directive) -> Outcome:
        self.steps.append(step(one))
        first = one.args[0] if one.args else ""
        if not first.isdigit():
            return self._redirected(one, 302, first)
        status = int(first)
        if status in (301, 302, 303, 307, 308) and len(one.args) > 1:
            return self._redirected(one, status, one.args[1])
        return Responds(status, one)

    def _redirected(self, one: Directive, status: int, to: str) -> Outcome:
        path, mark, query = to.partition("?")
        there, known = self.variables.filled(path), self.variables.filled(query)
        if there is None:
            return Unknown(f"what {to} is stands not in the configuration", one)
        there += mark + (query if known is None else known)  # it leads there, whatever it says beside
        return self._redirect(one, status, there, named="$server_name" in to.replace("${server_name}", "$server_name"))

    def _redirect(self, by: Directive, status: int, there: str, *, named: bool = False) -> Redirects:
        """Of a path nginx makes a whole address (1.22, `ngx_http_header_filter`)."""
        asked = self.variables.request
        if not there.startswith("/") or _flagged(self.scopes, "absolute_redirect", "off"):
            return Redirects(status, there, by, named)
        name = self.variables.server_name
        own = _flagged(self.scopes, "server_name_in_redirect", "on") and bool(name)
        usual = asked.port == USUAL_PORTS[asked.scheme] or _flagged(self.scopes, "port_in_redirect", "off")
        host = name if own else asked.host
        return Redirects(status, f"{asked.scheme}://{host}{'' if usual else f':{asked.port}'}{there}", by, own)

    def _rewritten(self, one: Directive) -> tuple[Outcome | None, str]:
        if len(one.args) < 2:
            return None, ""
        pattern, to, flag = one.args[0], one.args[1], (*one.args, "")[2]
        found = regex(pattern, insensitive=False)
        match = found.search(self.variables.path) if found else None
        if match is None:
            return None, ""
        self.steps.append(step(one))
        self.variables.capture(match)
        if to.startswith(("http://", "https://", "$scheme")) or flag in ("redirect", "permanent"):
            return self._redirected(one, 301 if flag == "permanent" else 302, self._with_args(to)), ""
        there = self.variables.filled(self._with_args(to))
        if there is None:
            return Unknown(f"what {to} is stands not in the configuration", one), ""
        self.variables.path, _, self.variables.args = there.partition("?")
        self.internal = self.moved = True
        return None, flag

    def _with_args(self, to: str) -> str:
        """A "?" at its end says that what was asked behind one is not to be added."""
        if to.endswith("?") or not self.variables.args:
            return to.removesuffix("?")
        return f"{to}{'&' if '?' in to else '?'}$args"

    def _met(self, one: Directive) -> bool:
        """Whether an `if` holds. What nobody can say is taken not to hold; no file is there under a new name."""
        held = self._holds(one.args)
        if held is None and any(one.all(*CODES, *ANSWERS, *HANDLERS)):
            self.assumed = True
            self.steps.append(step(one, f"{one.words}: {ASSUMED}"))
        elif held:
            self.steps.append(step(one))
        return bool(held)

    def _holds(self, args: tuple[str, ...]) -> bool | None:
        if len(args) == 2 and args[0].lstrip("!") in ("-f", "-d", "-e", "-x"):
            return args[0].startswith("!")
        value = self.variables.filled(args[0]) if args else None
        if value is None or len(args) not in (1, 3):
            return None
        if len(args) == 1:
            return value not in ("", "0")
        sign, other = args[1], args[2]
        if sign in ("=", "!="):
            compared = self.variables.filled(other)
            return None if compared is None else (value == compared) == (sign == "=")
        found = regex(other, insensitive=sign.endswith("*"))
        if found is None:
            return None
        match = found.search(value)
        if match is not None:
            self.variables.capture(match)
        return (match is not None) != sign.startswith("!")

    def _content(self, scopes: tuple[Directive, ...], chain: tuple[Directive, ...]) -> Outcome:
        """Access, try_files, then whoever makes the content; what is an error is paged, once."""
        here = scopes[-1]
        if refused := self._refused(scopes):
            return self._paged(refused, scopes)
        if lua := next((one for one in here.block or () if "_by_lua" in one.name), None):
            return Unknown("a program decides", lua)
        if (tried := here.last("try_files")) and tried.args:
            if self.tried is tried:
                return self._files(scopes, chain)  # what it falls back to itself is taken to be there
            self.tried = tried
            self.steps.append(step(tried))
            if any("$uri" in one or "$request_uri" in one for one in tried.args[:-1]):
                self._files(scopes, chain)
            there = self._fallback(tried, tried.args[-1])
            return self._paged(there, scopes) if tried.args[-1].startswith("=") else there
        return self._paged(self._made(scopes, chain), scopes)

    def _made(self, scopes: tuple[Directive, ...], chain: tuple[Directive, ...]) -> Outcome:
        """By whoever has the content: another server, a module, the disk."""
        here = scopes[-1]
        # A location's handler counts in its `if` blocks, and in no location within it.
        holders = [here, scopes[-2]] if here.name == "if" else [here]
        for holder in holders:
            if (onward := holder.last("proxy_pass")) and onward.args:
                self.steps.append(step(onward))
                return passed(self.variables, onward, scopes, chain, rewritten=self.broken)
            if other := next(holder.all(*HANDLERS), None):
                self.steps.append(step(other))
                return Unknown(f"{other.words} answers", other)
        return self._files(scopes, chain)

    def _files(self, scopes: tuple[Directive, ...], chain: tuple[Directive, ...]) -> Files:
        """From the disk: `root` and `alias` are inherited."""
        root = next((found for one in reversed(scopes) if (found := one.last("root") or one.last("alias"))), None)
        said = root.args[0] if root is not None and root.args else "html"
        self.files = self.variables.filled(said) or said
        return Files(self.files, root or scopes[-1], parts(chain[-1])[1] if chain else "")

    def _refused(self, scopes: tuple[Directive, ...]) -> Responds | None:
        """Whether a stranger from anywhere is refused before anything is answered."""
        if self.sub:
            return None
        limited = scopes[-1].last("limit_except")
        if limited is not None and "GET" not in limited.args:
            scopes = (*scopes, limited)  # a CA and a browser ask by GET
        asked = [one for one in (_by_address(scopes), self._by_password(scopes), self._by_request(scopes)) if one]
        any_will_do = _flagged(scopes, "satisfy", "any")
        if any_will_do and any(one.status < 300 for one in asked):
            return None
        # Where any would do, nginx rather asks for a login than forbids.
        ranked = sorted(asked, key=lambda one: one.status != 401) if any_will_do else asked
        refused = next((one for one in ranked if one.status >= 300), None)
        if refused is not None:
            self.steps.append(step(refused.by))
        return refused

    def _by_password(self, scopes: tuple[Directive, ...]) -> Responds | None:
        """What auth_basic says of somebody who has none."""
        basic = next((found for one in reversed(scopes) if (found := one.last("auth_basic"))), None)
        realm = self.variables.filled(basic.args[0]) if basic is not None and basic.args else "off"
        return Responds(401, basic) if basic is not None and realm != "off" else None

    def _by_request(self, scopes: tuple[Directive, ...]) -> Responds | None:
        """What auth_request's location says of somebody who has no login."""
        by = next((found for one in reversed(scopes) if (found := one.last("auth_request"))), None)
        there = self.variables.filled(by.args[0]) if by is not None and by.args else None
        if by is None or there is None or there == "off":
            return None
        asked = _Run(self.variables.front, self.server, replace(self.variables.request, path=there))
        asked.internal = asked.sub = True
        match asked.answered():
            case Responds(status=status) if status < 300 or status in (401, 403):
                return Responds(status, by)
            case Responds() | Files() | Redirects():
                return Responds(500, by)
            case _:
                self.assumed = True
                return Responds(401, by)

    def _fallback(self, by: Directive, to: str) -> Outcome:
        """Where try_files or error_page lead: a status, a named location, another path."""
        self.internal = True
        if to.startswith("="):
            return Responds(int(to[1:]), by) if to[1:].isdigit() else Unknown(f"{by.words} answers", by)
        if to.startswith("@"):
            named = next((one for one in self.server.block.all("location") if one.args[:1] == (to,)), None)
            if named is None:
                return Responds(500, by)
            self.scopes = (*self._outer(), named)
            outcome, _, inside = self._into((named,))
            scopes = (*self.scopes, *inside)
            return self._paged(outcome, scopes) if outcome else self._content(scopes, (named,))
        there = self.variables.filled(to)
        if there is None:
            return Unknown(f"what {to} is stands not in the configuration", by)
        if there.startswith(("http://", "https://")):
            return Redirects(302, there, by)
        self.variables.path, _, self.variables.args = there.partition("?")
        return self.answered() if self.cycles < MOST else Responds(500, by)

    def _paged(self, outcome: Outcome, scopes: tuple[Directive, ...]) -> Outcome:
        """error_page sends what would be an error elsewhere."""
        status = 404 if isinstance(outcome, Files) else 0
        if isinstance(outcome, (Responds, Redirects)):
            status = outcome.status
        if status < 300:
            return outcome
        level = next((one for one in reversed(scopes) if one.last("error_page")), None)
        pages = level.all("error_page") if level is not None else iter(())
        page = next((one for one in pages if str(status) in one.args[:-1]), None)
        if page is None or self.paged:
            return outcome
        self.paged, self.cycles = not _flagged(scopes, "recursive_error_pages", "on"), self.cycles + 1
        if self.cycles > MOST:
            return Responds(500, page)
        before, files, assumed = len(self.steps), self.files, self.assumed
        self.steps.append(step(page))
        there = self._fallback(page, page.args[-1])
        code = next((one[1:] for one in page.args[:-1] if one.startswith("=")), None)
        if (
            code is None
            and not isinstance(there, Redirects)
            and not (isinstance(there, Responds) and there.status > 299)
        ):
            del self.steps[before:]
            self.files, self.assumed = files, assumed
            return outcome  # another page, and the same status
        return _with_status(there, code or "")


def _with_status(outcome: Outcome, code: str) -> Outcome:
    """The page's answer by the status that error_page gives it; `` for its own."""
    match outcome:
        case Responds(status=status) if code.isdigit() and status < 300:
            return replace(outcome, status=int(code))
        case Redirects() if code in ("301", "303", "307", "308"):
            return replace(outcome, status=int(code))
        case _:
            return outcome


def _by_address(scopes: tuple[Directive, ...]) -> Responds | None:
    """What allow and deny say of an address that they do not name; None where they say nothing."""
    level = next((one for one in reversed(scopes) if any(one.all("allow", "deny"))), None)
    for one in level.all("allow", "deny") if level is not None else ():
        if one.args[:1] == ("all",) or any(stranger_in(network) for network in one.args):
            return Responds(403 if one.name == "deny" else 200, one)
    return None


def _flagged(scopes: tuple[Directive, ...], name: str, value: str) -> bool:
    found = next((found for one in reversed(scopes) if (found := one.last(name))), None)
    return found is not None and found.args == (value,)
