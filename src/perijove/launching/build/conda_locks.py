"""conda-lock.yml, pixi.lock, explicit lists and pixi.toml → which conda packages, and what pip adds. Pure.

In: a file's text, and the platform that sessions have; out: the plan's steps. Raises Fail: `build.bad-file`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import InstallConda, InstallRequirements, Step

MOST = 5000
"""Packages that one file may name."""
_FILE = re.compile(r"(?P<name>[\w.]+(?:-[\w.]+)*?)-(?P<version>[\w.!+]+)-(?P<build>[\w.]+)\.(?:conda|tar\.bz2)")
_PIP_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,200}")
_VERSION = re.compile(r"[\w.!+*-]{1,100}")
_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


class _Found:
    """What a file names so far."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.channels: dict[str, None] = {}
        self.specs: list[str] = []
        self.pips: list[str] = []
        self.variables: tuple[tuple[str, str], ...] = ()

    def archive(self, url: object, told: Mapping[str, Any]) -> None:
        """A conda package by its address and its hashes."""
        if not isinstance(url, str) or len(url) > 2000:
            raise self.bad("it names a package without an address", repr(told))
        channel, _, name = urlsplit(url).geturl().partition("#")[0].rpartition("/")
        found = _FILE.fullmatch(name)
        if found is None:
            raise self.bad("it names what is no conda package", url)
        self.channels[channel.rpartition("/")[0]] = None
        hashes = [f"{kind}={told[kind]}" for kind in ("md5", "sha256") if _is_hash(told.get(kind))]
        held = f"[{','.join(hashes)}]" if hashes else ""
        self.specs.append(f"{found['name']}=={found['version']}={found['build']}{held}")

    def pip(self, name: object, version: object, url: object) -> None:
        if isinstance(url, str) and re.fullmatch(r"\.{0,2}(/[\w.-]+)*/?", url):
            self.pips.append(url)  # a part of the repository
            return
        if isinstance(url, str) and (not name or not version):
            name, version = [*url.rpartition("/")[2].split("-", 2), "", ""][:2]
        if not (isinstance(name, str) and _PIP_NAME.fullmatch(name) and _VERSION.fullmatch(str(version))):
            raise self.bad("it names what is no package of pip's", repr((name, version, url)))
        self.pips.append(f"{name}=={version}")

    def steps(self) -> list[Step]:
        if len(self.specs) + len(self.pips) > MOST:
            raise self.bad(f"it names more than {MOST} packages", f"{len(self.specs) + len(self.pips)}")
        steps: list[Step] = [InstallConda(self.path, tuple(self.channels), tuple(self.specs), self.variables)]
        if self.pips:
            steps.append(InstallRequirements(self.path, "\n".join(self.pips)))
        return steps

    def bad(self, why: str, saw: str) -> Fail:
        return Fail(failures.BAD_FILE(f"{self.path} cannot be used: {why}", Evidence(self.path, saw[:300])))


def locked_steps(path: str, text: str, platform: str) -> list[Step]:
    """The conda packages first, then what pip adds to them. `path` ends in one of `READERS`; `platform`: `linux-64`."""
    found = _Found(path)
    READERS[path.rpartition("/")[2]](found, text, platform)
    return found.steps()


def _conda_lock(found: _Found, text: str, platform: str) -> None:
    """conda-lock's own format, version 1 (conda-lock 3, `lockfile/v1/models.py`)."""
    entries = _tables(found, _yaml(found, text), "package")
    ours = [one for one in entries if one.get("platform") in {platform, "noarch"}]
    _needs_ours(found, ours, entries, platform, {str(one.get("platform")) for one in entries})
    for entry in ours:
        if entry.get("category", "main") != "main":
            continue
        if entry.get("manager") == "pip":
            found.pip(entry.get("name"), entry.get("version"), None)
        else:
            hashes = entry.get("hash")
            found.archive(entry.get("url"), hashes if isinstance(hashes, dict) else {})


def _pixi_lock(found: _Found, text: str, platform: str) -> None:
    """pixi.lock, versions 4 to 7: its environment `default`."""
    content = _yaml(found, text)
    environments = _table(found, content, "environments")
    named = _table(found, _table(found, environments, "default"), "packages")
    _needs_ours(found, [platform] if platform in named else [], list(named), platform, set(map(str, named)))
    told = {
        address: one
        for one in _tables(found, content, "packages")
        for address in (one.get("conda") or one.get("pypi") or one.get("url") or one.get("path"),)
        if isinstance(address, str)
    }
    for entry in _tables(found, named, platform):
        if "conda" in entry:
            found.archive(entry["conda"], told.get(str(entry["conda"]), {}))
        elif isinstance(address := entry.get("pypi"), str):
            about = told.get(address, {})
            found.pip(about.get("name"), about.get("version"), address)


def _explicit(found: _Found, text: str, platform: str) -> None:
    """What `conda list --explicit` writes: an address a line, with its hash behind `#`."""
    lines = [line.strip() for line in text.splitlines()]
    for line in lines:
        if not line or line.startswith(("#", "@")):
            continue
        address, _, hashed = line.partition("#")
        if f"/{platform}/" not in address and "/noarch/" not in address:
            raise found.bad(f"it names what is not for {platform}", line)
        hashed = hashed.removeprefix("sha256:")
        found.archive(address, {"sha256" if len(hashed) == 64 else "md5": hashed})


def _pixi(found: _Found, text: str, platform: str) -> None:
    """pixi.toml without a lock: what its environment `default` asks for (pixi 0.6x, "The pixi.toml manifest")."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise found.bad("it is not TOML", str(error)) from error
    workspace = _table(found, content, "workspace" if "workspace" in content else "project")
    channels = workspace.get("channels")
    for channel in channels if isinstance(channels, list) else []:
        name = channel.get("channel") if isinstance(channel, dict) else channel
        if not isinstance(name, str) or not re.fullmatch(r"[^\s\\?#]{1,300}", name):
            raise found.bad("channels holds what is no channel", repr(channel))
        found.channels[name] = None
    target = _table(found, _table(found, content, "target"), platform)
    for table in (content, target):
        for name, asked in _table(found, table, "dependencies").items():
            found.specs.append(_spec(found, name, asked))
        for name, asked in _table(found, table, "pypi-dependencies").items():
            found.pips.append(_pip_spec(found, name, asked))
    variables = _table(found, _table(found, content, "activation"), "env")
    found.variables = tuple(
        (name, str(value)) for name, value in variables.items() if re.fullmatch(r"[A-Za-z_]\w{0,200}", name)
    )


def _spec(found: _Found, name: str, asked: object) -> str:
    told = asked if isinstance(asked, dict) else {"version": asked}
    channel, version, build = (str(told.get(key, "")).replace(" ", "") for key in ("channel", "version", "build"))
    if re.search(r"[\[\]\s'\"]", channel + version + build):
        raise found.bad(f"{name} is asked for in a way that is not followed", repr(asked))
    if not version and not build and not set(told) <= {"channel", "version", "build"}:
        raise found.bad(f"{name} is asked for in a way that is not followed", repr(asked))
    if re.match(r"\d", version):
        version = f"=={version}" if build else f"={version}"
    spec = f"{name}{'' if version == '*' else version}{f'={build}' if build else ''}"
    return f"{channel}::{spec}" if channel else spec


def _pip_spec(found: _Found, name: str, asked: object) -> str:
    told = asked if isinstance(asked, dict) else {"version": asked}
    extras, path, git = told.get("extras", []), told.get("path"), told.get("git")
    wanted = f"[{','.join(map(str, extras))}]" if isinstance(extras, list) and extras else ""
    if isinstance(path, str):
        return path if path.startswith(".") else f"./{path}"
    if isinstance(git, str):
        at = told.get("rev") or told.get("tag") or told.get("branch")
        return f"{name}{wanted} @ git+{git}{f'@{at}' if isinstance(at, str) else ''}"
    version = told.get("version", told.get("url"))
    if not isinstance(version, str) or "\n" in version:
        raise found.bad(f"{name} is asked for in a way that is not followed", repr(asked))
    if "url" in told:
        return f"{name}{wanted} @ {version}"
    return f"{name}{wanted}{'' if version == '*' else f'=={version}' if version[:1].isdigit() else version}"


READERS: Mapping[str, Callable[[_Found, str, str], None]] = {
    "conda-lock.yml": _conda_lock,
    "pixi.lock": _pixi_lock,
    "conda-linux-64.lock": _explicit,
    "pixi.toml": _pixi,
}
"""By the files' names, the first that is there counts."""


def _needs_ours(
    found: _Found, ours: Iterable[object], there: Iterable[object], platform: str, platforms: set[str]
) -> None:
    if list(there) and not list(ours):
        raise found.bad(f"it has no packages for {platform}", f"for {', '.join(sorted(platforms))}")


def _yaml(found: _Found, text: str) -> Mapping[str, Any]:
    try:
        content = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise found.bad("it is not YAML", str(error)) from error
    if not isinstance(content, dict):
        raise found.bad("it holds no names with values", text)
    return content


def _table(found: _Found, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise found.bad(f"{name} is not a table", repr(table))
    return table


def _tables(found: _Found, content: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = content.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise found.bad(f"{name} is not a list of packages", repr(entries))
    return entries


def _is_hash(found: object) -> bool:
    return isinstance(found, str) and _HASH.fullmatch(found) is not None
