"""A host's refs by one HTTP request, where git starts three programs and asks twice. Not pure.

`ls-refs` of git's protocol 2, for which hosts keep no state (gitprotocol-v2(5), gitprotocol-http(5) of git 2.39).
Whatever is not a plain answer is nobody's failure here: git asks then, and says what is wrong.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from perijove.backends.git.access import Access
from perijove.backends.git.tunnel import addresses
from perijove.launching.resolve.refs import Advertised

WITHIN = 5.0
"""Seconds for all of it; git has the rest of the time of a call."""
LONGEST = 64 * 1024**2
"""Bytes of an answer, unpacked."""
HEADERS = {
    "Accept": "application/x-git-upload-pack-result",
    "Accept-Encoding": "gzip",
    "Content-Type": "application/x-git-upload-pack-request",
    "Git-Protocol": "version=2",
    "User-Agent": "git/2.39 (Perijove)",
}
ASKED = b"0014command=ls-refs\n00010009peel\n000csymrefs\n0000"


async def advertised(access: Access, url: str, believed: ssl.SSLContext | None = None) -> Advertised | None:
    """What a host lists; None where git has to ask. `believed`: by whom, where it is not whom git believes.

    Raises Fail: `resolve.forbidden-address`, `resolve.host-unreachable`.
    """
    from perijove.backends.git.trusted import TRUSTED  # noqa: PLC0415  the service itself asks nobody

    trust, parts = believed or TRUSTED, urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.username is not None or not access.plain or trust is None:
        return None
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    reached = (host,) if access.private_addresses else await addresses(host, port)
    try:
        async with asyncio.timeout(WITHIN):
            return read(await _answer(url, reached[0], trust))
    except (TimeoutError, OSError, httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None


async def _answer(url: str, address: str, trust: ssl.SSLContext) -> bytes:
    """Raises httpx.HTTPError, and ValueError for an answer that is not what was asked for."""
    asked = httpx.URL(f"{url.rstrip('/')}/git-upload-pack")
    headers = {**HEADERS, "Host": asked.netloc.decode("ascii")}
    named = {"sni_hostname": asked.raw_host.decode("ascii")}
    async with (
        httpx.AsyncClient(verify=trust, trust_env=False, timeout=WITHIN) as client,
        client.stream("POST", asked.copy_with(host=address), headers=headers, content=ASKED, extensions=named) as said,
    ):
        if said.status_code != 200 or said.headers.get("Content-Type") != HEADERS["Accept"]:
            raise ValueError("not an answer of git's")
        whole = bytearray()
        async for piece in said.aiter_bytes():
            whole += piece
            if len(whole) > LONGEST:
                raise ValueError("too long")
        return bytes(whole)


def read(answer: bytes) -> Advertised:
    """Refs as `git ls-remote` lists them. Raises ValueError."""
    refs: dict[str, str] = {}
    head = ""
    for line in _packets(answer):
        commit, name, *more = line.decode("utf-8", "surrogateescape").rstrip("\n").split(" ")
        if len(commit) not in (40, 64) or not set(commit) <= set("0123456789abcdef"):
            raise ValueError("not a ref")
        facts = dict(one.partition(":")[::2] for one in more)
        refs[name] = facts.get("peeled", commit)
        if name == "HEAD":
            head = facts.get("symref-target", "")
    return Advertised(refs, head)


def _packets(answer: bytes) -> Iterator[bytes]:
    """Lines of an answer that is whole: four digits of length each, which count, `0000` at the end."""
    at = 0
    while size := int(answer[at : at + 4], 16):
        if size < 4 or at + size > len(answer):
            raise ValueError("broken off")
        yield answer[at + 4 : at + size]
        at += size
    if at + 4 != len(answer):
        raise ValueError("more than was asked for")
