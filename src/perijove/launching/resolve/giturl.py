"""Is this text an address that git may be given, and is it safe to keep? A text in, a URL or a Fail out. Pure.

What passes has an allowed scheme and a host, no option, no control character and no secret: addresses are kept in
the journal and shown on pages.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urljoin, urlsplit

from perijove.domain.failures import BAD_LINK, FORBIDDEN_ADDRESS, Evidence, Fail

SCHEMES = ("https", "http", "ssh", "git")
LONGEST = 2000
"""Characters of a link; browsers and servers cut longer ones."""

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_SECRET = re.compile(r"(?i)(https?://|://(?=[^/@\s]*:))[^/@\s]+@")
_SCP = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\]):(?P<path>[^:].*)", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_]([\w.-]*[\w.])?|[0-9A-Fa-f:.]+", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[-./]|[/.]$|\.lock(/|$)|^@$")


def shown(text: str, longest: int = 200) -> str:
    """A text from outside as evidence: printable, bounded, without what may be an address's secret."""
    open_text = _SECRET.sub(r"\1…@", text[: 2 * LONGEST])
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in open_text[: longest + 1])
    return plain if len(plain) <= longest else plain[:longest] + "…"


def bad(cause: str, text: str, remedy: str = "") -> Fail:
    """The failure of a link that cannot be read; `text` is shown as evidence."""
    return Fail(BAD_LINK(cause, Evidence("link", shown(text)), remedy=remedy))


def checked_text(text: str) -> str:
    """The text, if it is of a length and of characters that a link may have."""
    if len(text) > LONGEST:
        raise bad(f"it is longer than {LONGEST} characters", text)
    if _UNPRINTABLE.search(text):
        raise bad("it holds spaces or control characters", text)
    return text


def checked_ref(ref: str) -> str:
    """The ref, if git could have a ref or commit of this name."""
    if not can_be_ref(ref):
        raise bad("no branch, tag or commit can have this name", ref, "Use HEAD, a branch, a tag or a commit.")
    return ref


def can_be_ref(ref: str) -> bool:
    """Whether git could have a ref or commit of this name."""
    return bool(ref) and len(ref) <= 250 and not _BAD_REF.search(ref)


def checked_url(text: str) -> str:
    """The URL that git may fetch from; `user@host:path` becomes `ssh://user@host/path`.

    Raises Fail: `resolve.bad-link`, `resolve.forbidden-address`.
    """
    url = checked_text(text)
    if "://" not in url and (scp := _SCP.fullmatch(url)):
        url = f"ssh://{scp['user']}@{scp['host']}/{scp['path'].lstrip('/')}"
    parts, port = split(url)
    if parts.scheme not in SCHEMES:
        cause = (
            f"git may not use {parts.scheme or 'a path'}" if "://" in url or "::" in url else "it is not a web address"
        )
        raise Fail(FORBIDDEN_ADDRESS(cause, Evidence("link", shown(url)), remedy="Use an https address."))
    _refuse_secrets(parts)
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise bad("it names no host", url)
    if parts.query or parts.fragment or "\\" in url:
        raise bad("a repository's address has no ?, # or backslash", url)
    if not parts.path.strip("/") or "/../" in parts.path + "/":
        raise bad("it names no repository on that host", url)
    return url.rstrip("/")


def split(url: str) -> tuple[SplitResult, int | None]:
    """The parts of an address, and its port. Raises Fail: `resolve.bad-link`."""
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError as error:
        raise bad("it is not an address", url) from error


def _refuse_secrets(parts: SplitResult) -> None:
    user_may_stand = parts.scheme == "ssh" and parts.password is None and _USER.fullmatch(parts.username or "_")
    if "@" in parts.netloc and not user_may_stand:
        raise Fail(
            FORBIDDEN_ADDRESS(
                "it holds a user name or password, which would be kept and shown to others",
                Evidence("link", f"{parts.scheme}://…@{shown(parts.hostname or '')}"),
                remedy="Remove it, and change the password; the operator can give credentials to git's configuration.",
            )
        )


def host_of(url: str) -> str:
    """The host of a checked URL, in lower case."""
    return urlsplit(url).hostname or ""


def submodule_url(parent: str, url: str) -> str:
    """A submodule's URL, which may be relative to its parent's; not yet checked."""
    if not url.startswith(("./", "../")):
        return url
    parts = urlsplit(parent)
    return parts._replace(path=urljoin(parts.path.rstrip("/") + "/", url)).geturl()
