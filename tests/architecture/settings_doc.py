"""docs/settings.md, made from the settings' own docstrings. `python -m tests.architecture.settings_doc` writes it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from perijove.domain.settings_layers import names
from tests.architecture.sources import ROOT

PATH = ROOT / "docs" / "settings.md"
OPENING = """# Settings

Values come in layers, and the later wins: the defaults below, then `perijove.toml` (`/etc/perijove/perijove.toml` for
root and the systemd unit, else `$XDG_CONFIG_HOME/perijove/perijove.toml`, or the file that `--config` or
`PERIJOVE_CONFIG` names), then environment variables, then the command line's flags. `perijove settings` shows every
value and where it came from.

- A size is a number of bytes, or has a unit of 1024: `512M`, `2G`, `1.5T`.
- A time is a number of seconds, or has a unit: `30s`, `10m`, `6h`, `2d`.
- In an environment variable a list is separated by commas, and a table is `key=value,key=value`.

A setting that does not exist, or a value that cannot be read, keeps the service from starting
(`platform.bad-settings`). SIGHUP reads everything again; bad settings are then logged and the old ones stay.
They take effect at once, for launches and sessions that begin afterwards; `build.concurrent` and `session.isolation`
need a restart.

This page is made from `src/perijove/domain/settings.py`: `python -m tests.architecture.settings_doc` writes it, and a
test holds it to what the program does.
"""
EXAMPLES: Mapping[str, tuple[str, str]] = {
    "engine.pull_secrets": ('["registry"]', "registry"),
    "engine.registry": ('"registry.example.org/perijove"', "registry.example.org/perijove"),
    "engine.registry_credentials": ('"/etc/perijove/registry.json"', "/etc/perijove/registry.json"),
    "engine.priority_class": ('"sessions"', "sessions"),
    "engine.runtime_class": ('"gvisor"', "gvisor"),
    "conda.mirrors": (
        '{ "conda-forge" = "https://mirror.example.org/conda-forge" }',
        "conda-forge=https://mirror.example.org/conda-forge",
    ),
    "conda.virtual_packages": ('["__cuda=12.4"]', "__cuda=12.4"),
    "service.http": ('["0.0.0.0:80", "[::]:80"]', "0.0.0.0:80,[::]:80"),
    "service.https": ('["0.0.0.0:443", "[::]:443"]', "0.0.0.0:443,[::]:443"),
    "service.behind": ('["10.0.0.7"]', "10.0.0.7"),
    "service.hosts": ('["binder.example.org"]', "binder.example.org"),
    "service.session_hosts": ('["*.run.example.org"]', "*.run.example.org"),
    "service.base": ('"/binder/"', "/binder/"),
    "service.cors_allow_origin": ('["https://book.example.org"]', "https://book.example.org"),
    "session.lab_disabled": ('["@jupyterlab/toc-extension"]', "@jupyterlab/toc-extension"),
    "service.frame_ancestors": ('["https://course.example.org"]', "https://course.example.org"),
    "service.title": ('"Binder of the Institute"', "Binder of the Institute"),
    "page.text": ('"Run by the library, for everybody at Example."', "Run by the library, for everybody at Example."),
    "page.banner": ('"Down for an upgrade on Friday at 18:00"', "Down for an upgrade on Friday at 18:00"),
    "page.example": ('"gh/octo/simple/main"', "gh/octo/simple/main"),
    "page.help": ('"https://example.org/help"', "https://example.org/help"),
    "page.privacy": ('"https://example.org/privacy"', "https://example.org/privacy"),
    "page.contact": ('"help@example.org"', "help@example.org"),
    "certificates.email": ('"me@example.org"', "me@example.org"),
    "certificates.issuers": ('["letsencrypt", "zerossl"]', "letsencrypt,zerossl"),
    "certificates.acme_ca": ('"/etc/perijove/ca.pem"', "/etc/perijove/ca.pem"),
    "certificates.profile": ('"tlsserver"', "tlsserver"),
    "certificates.eab_kid": ('"kid-1"', "kid-1"),
    "certificates.eab_key_file": ('"/etc/perijove/eab.key"', "/etc/perijove/eab.key"),
    "certificates.challenges": ('["dns-01"]', "dns-01"),
    "certificates.dns": ('"rfc2136"', "rfc2136"),
    "certificates.dns_options": ('{ server = "192.0.2.53" }', "server=192.0.2.53"),
    "certificates.on_renewed": ('["/usr/local/bin/copy-to-mail-server"]', "/usr/local/bin/copy-to-mail-server"),
    "certificates.resolvers": ('["192.0.2.53"]', "192.0.2.53"),
    "certificates.public_addresses": ('["192.0.2.10"]', "192.0.2.10"),
    "certificates.public_roots": ('"/etc/perijove/campus-root.pem"', "/etc/perijove/campus-root.pem"),
    "repositories.private": ("['gh/our-group/']", "gh/our-group/"),
    "platform.base": (
        f'"docker.io/library/debian@sha256:{"0123456789abcdef" * 4}"',
        f"docker.io/library/debian@sha256:{'0123456789abcdef' * 4}",
    ),
    "platform.suite": ('"bookworm"', "bookworm"),
    "platform.mirror": ('"http://mirror.example.org/debian"', "http://mirror.example.org/debian"),
    "platform.security_mirror": ('"http://mirror.example.org/security"', "http://mirror.example.org/security"),
    "platform.packages": ('["ca-certificates", "git", "python3"]', "ca-certificates,git,python3"),
    "build.hosts": ('["packages.example.org:443"]', "packages.example.org:443"),
    "build.pythons": ('["/opt/python3.10/bin/python3.10"]', "/opt/python3.10/bin/python3.10"),
    "auth.method": ('"password"', "password"),
    "auth.allowed": ('["@staff", "ada"]', "@staff,ada"),
    "auth.admins": ('["eve"]', "eve"),
    "auth.repositories": ("{ 'gh/our-group/' = \"@staff ada\" }", "gh/our-group/=@staff ada"),
    "auth.password_file": ('"/etc/perijove/people"', "/etc/perijove/people"),
    "auth.oidc_issuer": ('"https://login.example.org/realms/campus"', "https://login.example.org/realms/campus"),
    "auth.oidc_client_id": ('"binder"', "binder"),
    "auth.oidc_client_secret_file": ('"/etc/perijove/oidc-secret"', "/etc/perijove/oidc-secret"),
    "auth.oidc_scopes": ('["openid", "email"]', "openid,email"),
    "auth.oidc_name": ('"preferred_username"', "preferred_username"),
    "auth.oidc_groups": ('"roles"', "roles"),
    "auth.header": ('"Remote-User"', "Remote-User"),
    "auth.groups_header": ('"Remote-Groups"', "Remote-Groups"),
    "home.path": ('"/srv/homes"', "/srv/homes"),
    "home.quota": ('"5G"', "5G"),
    "launching.banned": ("['gh/spammer/.*']", "gh/spammer/.*"),
    "launching.allowed": ("['gh/our-university/.*', 'gl/.*']", "gh/our-university/.*,gl/.*"),
    "launching.banned_networks": ('{ "192.0.2.0/24" = "the example lab" }', "192.0.2.0/24=the example lab"),
    "launching.push_secret_file": ('"/etc/perijove/push-secret"', "/etc/perijove/push-secret"),
    "session.egress_allowed": ('["mirror.example.org:443", "192.0.2.0/24:5432"]', "mirror.example.org:443"),
}
"""As TOML and as a variable; the others follow from their type."""
ARRAYS = {"launching.classes": "[[class]]"}
"""How settings are written that are several tables."""
UNITS = {"size": ("T", "G", "M", "K"), "seconds": ("d", "h", "m", "s")}
FACTORS = {"T": 1024**4, "G": 1024**3, "M": 1024**2, "K": 1024, "d": 86400, "h": 3600, "m": 60, "s": 1}


@cache
def docstrings(of: type) -> dict[str, str]:
    """The text below each field of a class, and below each member of an enumeration."""
    found = {}
    (definition,) = ast.parse(inspect.getsource(of)).body
    assert isinstance(definition, ast.ClassDef)
    for node, text in zip(definition.body, definition.body[1:], strict=False):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[target.id] = " ".join(str(text.value.value).split())
    return found


def shown(hint: Any, value: Any) -> str:
    """A value as it stands in the file."""
    if get_origin(hint) is Annotated and value:
        unit = next(unit for unit in UNITS[get_args(hint)[1]] if value % FACTORS[unit] == 0)
        return f'"{value / FACTORS[unit]:g}{unit}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{key}" = "{one}"' for key, one in value.items()) + " }" if value else "{}"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def example(name: str, hint: Any, default: Any) -> tuple[str, str]:
    """A value that is not the default, as TOML and as a variable."""
    if name in EXAMPLES:
        return EXAMPLES[name]
    if isinstance(default, bool):
        return str(not default).lower(), str(not default).lower()
    if isinstance(default, StrEnum):
        other = list(type(default))[-1 if default is not list(type(default))[-1] else 0]
        return f'"{other}"', str(other)
    assert not isinstance(default, str) or default, f"{name}: a text wants a text for its example"
    told = shown(hint, default * 2 if default else 4)
    return told, told.strip('"')


def inner_table(hint: Any) -> type | None:
    """The class of a setting's own tables, where it has such."""
    inner = get_args(hint)[{Mapping: 1, tuple: 0}[origin]] if (origin := get_origin(hint)) in (Mapping, tuple) else None
    return inner if isinstance(inner, type) and is_dataclass(inner) else None


def keys(hint: Any) -> list[str]:
    """The keys of a setting's own tables."""
    inner = inner_table(hint)
    return [f"- `{key}`: {told}" for key, told in docstrings(inner).items()] if inner else []


def choices(hint: Any) -> list[str]:
    """What each choice of an enumeration means, where it says so."""
    if not (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return []
    told = docstrings(hint)
    return [f"- `{one}`" + (f": {told[one.name]}" if one.name in told else "") for one in hint]


def section(name: str, table: type, field: str, hint: Any) -> str:
    """One setting."""
    if inner_table(hint):
        written = f"[{name}.NAME]" if get_origin(hint) is Mapping else ARRAYS[name]
        about = [docstrings(table)[field], "", f"In the file alone: `{written}`, with the keys", ""]
        return "\n".join([f"### {name}", "", *about, *keys(hint)])
    declared = next(one for one in fields(table) if one.name == field)
    default = declared.default_factory() if declared.default_factory is not MISSING else declared.default
    toml, variable = example(name, hint, default)
    lines = [f"### {name}", "", docstrings(table)[field], ""]
    lines += [*told, ""] if (told := choices(hint)) else []
    lines += ["| default | in the file | in the environment |", "|---|---|---|"]
    key = f"[{name.partition('.')[0]}] {field}"
    lines += [
        f"| `{shown(hint, default)}` | `{key} = {toml}` | `PERIJOVE_{name.replace('.', '_').upper()}='{variable}'` |"
    ]
    return "\n".join(lines)


def text() -> str:
    """The whole document."""
    parts, before = [OPENING], ""
    for name, (table, field, hint) in names().items():
        if (head := name.partition(".")[0]) != before:
            parts.append(f"## [{head}]\n")
            before = head
        parts.append(section(name, table, field, hint) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(text())
