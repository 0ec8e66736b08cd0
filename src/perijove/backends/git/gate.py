"""May git talk to this host, and by which way? A URL in, a Route out: git's options for calls about it. Not pure.

Where visitors may not name private addresses, git's HTTP goes through a SOCKS proxy of this process, on loopback, that
looks up each name itself, refuses addresses that are not public, and connects to the very address it judged: this
holds for redirects, for LFS servers and for names that change their address meanwhile. What the operator's own
configuration rewrites to another host (`url.*.insteadOf`) is the operator's wish and passes.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from perijove.backends.git import words
from perijove.backends.git.access import Access
from perijove.backends.git.program import Call, git
from perijove.backends.git.tunnel import Tunnel, addresses
from perijove.domain.failures import Failure
from perijove.domain.parsing import bracketed
from perijove.domain.ports import Tell
from perijove.launching.resolve import giturl

_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")
_MIRROR = ("--upload-pack=git -c safe.directory=* -c uploadpack.allowFilter=true upload-pack",)
"""A mirror on this machine may belong to somebody else; and its history is had without its files."""
_FOLLOW = "http.followRedirects=initial"


@dataclass(frozen=True, slots=True)
class Route:
    """How git reaches one repository."""

    url: str
    """What to give to git."""
    cwd: Path
    call: Call
    refused: list[Failure] = field(default_factory=list)
    """What the proxy refused so far."""
    own_server: bool = False
    """Whether LFS may ask no other server than the one that belongs to `url`."""
    proxy: str = ""
    """What LFS connects through: our own proxy, which judges, or the operator's; `` for what the environment says."""
    only_public: bool = False
    """Whether LFS must itself see to it that it asks public hosts only, since the proxy does not."""
    options: tuple[str, ...] = ()
    """Of `git fetch` and `git ls-remote`."""
    mirror: tuple[tuple[str, str], ...] = ()
    """What git says where the operator's configuration led it elsewhere, and what visitors know that by."""

    def failure(self, said: Sequence[str]) -> Failure:
        """Why a call by this route failed."""
        return self.refused[-1] if self.refused else words.meant([self.as_asked(line) for line in said])

    def as_asked(self, line: str) -> str:
        """A line of git's in the words of whoever asked: where the operator's mirrors are is not theirs to know."""
        for there, asked in self.mirror:
            line = line.replace(there, asked)
        return line

    def telling(self, tell: Tell | None) -> Tell | None:
        """Tells lines as they were asked for."""
        return tell and (lambda line: tell(self.as_asked(line)))


class Gate:
    """Opens routes. `cwd` is a folder outside any repository."""

    def __init__(self, cwd: Path, access: Access) -> None:
        self._cwd = cwd
        self._access = access
        self._private = access.private_addresses

    @asynccontextmanager
    async def route(self, url: str, ref: str) -> AsyncIterator[Route]:
        """The way to a repository, which is wanted at `ref`, for as long as the context is open.

        Raises Fail: `resolve.forbidden-address`, `resolve.host-unreachable`.
        """
        told = self._access.of(url, ref)
        effective = await self._effective(url, told)
        if effective != url and _is_path(effective):
            call = Call(environ=told, protocols="file")
            yield Route(url, self._cwd, call, own_server=True, options=_MIRROR, mirror=_mirror(url, effective))
        elif self._private or await self._rewritten(url, effective, told):
            call = Call((_FOLLOW,), {**told, **_ssh(told)})
            proxy = await self._operators_proxy(effective, told)
            mirror = _mirror(url, effective)
            yield Route(url, self._cwd, call, own_server=not self._private, proxy=proxy, mirror=mirror)
        elif _scheme(effective) in ("https", "http") and (proxy := await self._operators_proxy(effective, told)):
            yield await self._by_their_proxy(url, effective, proxy, told)
        else:
            async with Tunnel.opened() as tunnel:
                yield await self._judged(url, effective, tunnel, told)

    async def _judged(self, url: str, effective: str, tunnel: Tunnel, told: Mapping[str, str]) -> Route:
        """HTTP by our proxy; the others to the address that was judged, with our proxy for their LFS servers."""
        config = (_FOLLOW, f"http.proxy=socks5h://127.0.0.1:{tunnel.port}")
        proxy = f"socks5://127.0.0.1:{tunnel.port}"
        environ = {**told, "NO_PROXY": "", "no_proxy": ""}
        scheme, host = _scheme(effective), _host(effective)
        if scheme in ("ssh", "git"):
            address = (await addresses(host, _port(effective)))[0]
            if scheme == "git":
                parts = urlsplit(effective)
                url = parts._replace(netloc=f"{bracketed(address)}:{_port(effective)}").geturl()
                environ["GIT_OVERRIDE_VIRTUAL_HOST"] = parts.netloc
            else:
                environ |= _ssh(told, f"-oHostName={address} -oHostKeyAlias={shlex.quote(host)}")
        return Route(url, self._cwd, Call(config, environ), tunnel.refused, proxy=proxy)

    async def _by_their_proxy(self, url: str, effective: str, proxy: str, told: Mapping[str, str]) -> Route:
        """Their proxy looks names up itself: what can be known from here is held, redirects are not followed."""
        host, port = _host(effective), _port(effective)
        found = await addresses(host, port, unknown=True)
        pins = (f"http.curloptResolve={host}:{port}:{','.join(map(bracketed, found))}",) if found else ()
        call = Call(("http.followRedirects=false", *pins), told)
        return Route(url, self._cwd, call, own_server=True, proxy=proxy, only_public=True)

    async def _effective(self, url: str, told: Mapping[str, str]) -> str:
        """What git makes of a URL by the operator's configuration; it may hold the operator's secrets."""
        if not self._access.has("insteadof"):
            return url
        ran = await git("ls-remote", "--get-url", "--", url, cwd=self._cwd, call=Call(environ=told))
        return ran.out.decode("utf-8", "replace").strip() if ran.status == 0 else url

    async def _rewritten(self, url: str, effective: str, told: Mapping[str, str]) -> bool:
        """Whether the operator's configuration leads to another host that it names whole.

        `insteadOf = https://a.org` without its last slash makes `https://a.org.evil.org` a host that nobody named.
        """
        host = _host(effective)
        if host == giturl.host_of(url):
            return False
        listing = ("config", "--null", "--name-only", "--get-regexp", r"^url\..*\.insteadof$")
        ran = await git(*listing, cwd=self._cwd, call=Call(environ=told))
        keys = ran.out.decode("utf-8", "replace").split("\0")
        return host in {_host(key.removeprefix("url.").rpartition(".")[0]) for key in keys if key}

    async def _operators_proxy(self, url: str, told: Mapping[str, str]) -> str:
        """The proxy that git would take for a URL; `` for none."""
        if self._access.has("proxy"):
            call = Call(environ=told)
            ran = await git("config", "--get-urlmatch", "http.proxy", url, cwd=self._cwd, call=call)
            if configured := ran.out.decode("utf-8", "replace").strip():
                return configured if "://" in configured else f"http://{configured}"
        if _bypassed(_host(url), told.get("no_proxy") or told.get("NO_PROXY", "")):
            return ""
        return next((told[name] for name in _PROXY_VARIABLES if told.get(name)), "")


def _mirror(url: str, effective: str) -> tuple[tuple[str, str], ...]:
    """What git may say of another place than the one that was asked for, the longest first."""
    if effective == url:
        return ()
    whole, asked = effective.rstrip("/"), url.rstrip("/")
    parts = urlsplit(effective) if "://" in effective else None
    if parts is None or not parts.hostname:
        return ((whole, asked), (whole.removeprefix("file://"), asked))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")  # git leaves out passwords
    host, port = giturl.host_of(url), f":{parts.port}" if parts.port else ""
    alone = ((parts.hostname, host),) if parts.hostname != host and "." in parts.hostname else ()
    return ((whole, asked), (bare, asked), *(((f"{parts.hostname}{port}", host),) if port else ()), *alone)


def _ssh(told: Mapping[str, str], options: str = "") -> dict[str, str]:
    """The ssh command, unable to ask questions."""
    command = f"{told['GIT_SSH_COMMAND']} -oBatchMode=yes -oConnectTimeout=10 {options}"
    return {"GIT_SSH_COMMAND": command.rstrip()}


def _bypassed(host: str, no_proxy: str) -> bool:
    """Whether a host is reached without the proxy, as curl understands `no_proxy`."""
    names = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
    return any(name == "*" or (name and (host == name or host.endswith(f".{name}"))) for name in names)


def _is_path(url: str) -> bool:
    return url.startswith("file://") or ("://" not in url and ":" not in url.partition("/")[0])


def _scheme(url: str) -> str:
    return urlsplit(url).scheme if "://" in url else "ssh"


def _host(url: str) -> str:
    """The host of what git makes of a URL, of which `user@host:path` is one."""
    if "://" in url:
        return urlsplit(url).hostname or ""
    return url.partition(":")[0].rpartition("@")[2].lower()


def _port(url: str) -> int:
    return (urlsplit(url).port if "://" in url else None) or _PORTS[_scheme(url)]
