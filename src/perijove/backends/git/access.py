"""What of the operator's git configuration and credentials may one fetch use? An address in, an Access out. Not pure.

Mirrors, proxies and CA files always hold. Credentials (helpers, `.netrc`, headers, cookies, client certificates, ssh's
keys, user names in mirrors' addresses) are the operator's own: a visitor's link gets them only where the setting
`repositories.private` names it, since whoever may launch a repository can read it. A person's own token is given to
what that person launches.
"""

from __future__ import annotations

import netrc
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from perijove.backends.git.program import Call, git
from perijove.domain.failures import Fail
from perijove.domain.nouns import RepoAddress
from perijove.domain.people import HostToken
from perijove.launching.resolve.pasted import pasted

Entry = tuple[str, str]
"""A key of git's configuration, and its value."""

_SECTIONS = ("url.", "http.", "https.", "protocol.", "ssh.", "transfer.", "fetch.", "pack.")
_SINGLE = ("core.gitproxy", "core.packedgitlimit", "core.packedgitwindowsize", "core.deltabasecachelimit")
_CREDENTIALS = (
    "extraheader", "cookiefile", "savecookies", "sslcert", "sslkey", "sslcertpasswordprotected", "sslcerttype",
    "emptyauth", "delegation",
)  # fmt: skip
_VARIABLES = re.compile(
    r"(?i:https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|GIT_(SSL_|PROXY_SSL_)(CAINFO|CAPATH|NO_VERIFY|VERSION)"
    r"|GIT_SSL_CIPHER_LIST|GIT_PROXY_COMMAND|GIT_HTTP_USER_AGENT|TMPDIR|TZ"
)
CERTIFICATES = ("GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAPATH", "SSL_CERT_DIR")
"""Variables that name whom to believe: three for a file, the first of them that is set, two for a folder."""
_BARE_SSH = (
    "ssh -F /dev/null -oIdentitiesOnly=yes -oIdentityFile=/dev/null -oIdentityAgent=none -oPubkeyAuthentication=no"
    " -oGSSAPIAuthentication=no -oHostbasedAuthentication=no"
)
_ASKED = '!f() { printf "username=%s\\npassword=%s\\n" "$PERIJOVE_GIT_USER" "$PERIJOVE_GIT_PASSWORD"; }; f'


@dataclass(frozen=True, slots=True)
class Access:
    """What one fetch may use. It travels to the process that fetches, and holds secrets for named repositories only."""

    environ: Mapping[str, str]
    config: tuple[Entry, ...]
    private_addresses: bool
    """Whether visitors may name hosts that are not public."""
    private: tuple[str, ...] = ()
    """Regular expressions of the repositories that the credentials below are for; none where there are none."""
    credentials: tuple[Entry, ...] = ()
    """Configuration beside `config`."""
    secrets: Mapping[str, str] | None = None
    """Environment beside `environ`."""

    def of(self, url: str, ref: str) -> Mapping[str, str]:
        """The environment of git for a repository at a ref: what is told by it is seen by no other user."""
        named = bool(self.private) and is_private(_launches(url, ref), self.private)
        # Of two mirrors for the same addresses the first is taken.
        entries = (*(self.credentials if named else (("http.emptyAuth", "false"),)), *self.config)
        told = {"GIT_CONFIG_COUNT": f"{len(entries)}"}
        for number, (key, value) in enumerate(entries):
            told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        ssh = {} if named else {"GIT_SSH_COMMAND": _BARE_SSH}
        return {**self.environ, **told, **ssh, **((self.secrets or {}) if named else {})}

    @property
    def plain(self) -> bool:
        """Whether nothing is said of how hosts are reached, and by what right: then it need not be git who asks."""
        said = any(key.startswith(("url.", "http.", "https.")) for key, _ in (*self.config, *self.credentials))
        return not (said or self.secrets or self.environ.keys() - {"TMPDIR", "TZ", *CERTIFICATES})

    def has(self, key: str) -> bool:
        """Whether the configuration says anything under a key, which is the last part of it."""
        return any(name.endswith(f".{key}") for name, _ in (*self.config, *self.credentials))


def is_private(launches: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether one of these launches (`provider/spec`) is of a repository that credentials are for."""
    return any(re.match(pattern, launch, re.IGNORECASE) for pattern in patterns for launch in launches)


def _launches(url: str, ref: str) -> list[str]:
    """By which links this repository is launched."""
    launches = [f"git/{quote(url, safe='')}/{ref}"]
    try:
        address = pasted(f"{url.removesuffix('.git')}@{ref}").address
    except Fail:
        return launches
    return [*launches, f"{address.provider}/{address.spec}"]


async def access(cwd: Path, address: RepoAddress, private: Sequence[str], private_addresses: bool) -> Access:
    """Read the operator's configuration as it is now. `cwd` lies outside any repository."""
    entries = await _entries(cwd)
    kept = tuple(entry for entry in map(_without_secrets, entries) if entry is not None)
    environ = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}
    if not is_private((f"{address.provider}/{address.spec}",), private):
        return Access(environ, kept, private_addresses)
    secret = tuple(entry for entry in entries if _without_secrets(entry) != entry and _is_credential(entry[0]))
    login = await _login(cwd, address.url)
    if login:
        parts = urlsplit(address.url)
        secret += ((f"credential.{parts.scheme}://{parts.netloc}.helper", _ASKED),)
    secrets = _asked(*login) if login else {}
    return Access(environ, kept, private_addresses, tuple(private), secret, secrets | _ssh(entries))


def for_person(permitted: Access, url: str, token: HostToken) -> Access:
    """The same with a person's token, for this one repository: not for its submodules, which whoever wrote it chose."""
    base = url.rstrip("/").removesuffix(".git")
    helpers = tuple((f"credential.{one}.helper", _ASKED) for one in (base, f"{base}.git"))
    return replace(
        permitted,
        private=(re.escape(f"git/{quote(url, safe='')}/"),),
        credentials=(("http.emptyAuth", "false"), ("credential.useHttpPath", "true"), *helpers),
        secrets=_asked(token.user, token.secret) | {"GIT_SSH_COMMAND": _BARE_SSH},
    )


def _asked(user: str, password: str) -> dict[str, str]:
    """What `_ASKED` answers."""
    return {"PERIJOVE_GIT_USER": user, "PERIJOVE_GIT_PASSWORD": password}


async def _entries(cwd: Path) -> list[Entry]:
    ran = await git("config", "--list", "--null", cwd=cwd, call=Call(as_operator=True))
    rows = ran.out.decode("utf-8", "surrogateescape").split("\0")
    return [(key, value) for key, _, value in (row.partition("\n") for row in rows if row)]


def _is_credential(key: str) -> bool:
    return key.startswith(("url.", "http.", "https."))


def _without_secrets(entry: Entry) -> Entry | None:
    """An entry as everybody's fetches obey it; None for one that they do not."""
    key, value = entry
    last = key.rpartition(".")[2]
    if (not key.startswith(_SECTIONS) and key not in _SINGLE) or last in _CREDENTIALS:
        return None
    if key.startswith("url."):
        base = key.removeprefix("url.").rpartition(".")[0]
        scheme, found, rest = base.partition("://")
        user, at, _ = rest.partition("/")[0].rpartition("@")
        if found and at and (scheme in ("http", "https") or ":" in user):
            return f"url.{scheme}://{rest[len(user) + 1 :]}.{last}", value
    return entry


async def _login(cwd: Path, url: str) -> tuple[str, str] | None:
    """User name and password for a repository, by the operator's helpers or else `.netrc`."""
    asked = f"url={url}\n\n".encode()
    ran = await git("credential", "fill", cwd=cwd, call=Call(as_operator=True), stdin=asked)
    rows = ran.out.decode("utf-8", "replace").splitlines() if ran.status == 0 else []
    fields = dict(row.split("=", 1) for row in rows if "=" in row)
    if "password" in fields:
        return fields.get("username", ""), fields["password"]
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2]) if found and found[2] else None


def _ssh(entries: Sequence[Entry]) -> dict[str, str]:
    """The operator's ssh, with its agent."""
    configured = dict(entries).get("core.sshcommand", "")
    command = os.environ.get("GIT_SSH_COMMAND") or configured or shlex.quote(os.environ.get("GIT_SSH", "ssh"))
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    home = os.environ.get("HOME", "/nonexistent")
    return {"GIT_SSH_COMMAND": command, "HOME": home, **({"SSH_AUTH_SOCK": agent} if agent else {})}
