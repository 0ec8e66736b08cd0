"""What apt said → what to do next, or what failed. Pure.

Raises Fail: `build.no-such-system-package`, `build.system-conflict`, `build.mirror-unreachable`,
`build.system-install-failed`, `build.too-large`, `platform.killed`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from perijove.backends.environments import complaints
from perijove.domain.build_inputs import SystemPackage
from perijove.domain.failures import BUILD_TOO_LARGE, KILLED, Evidence, Fail, Failure
from perijove.domain.ran import Unreached
from perijove.domain.system_failures import (
    MIRROR_UNREACHABLE,
    NO_SUCH_SYSTEM_PACKAGE,
    SYSTEM_CONFLICT,
    SYSTEM_INSTALL_FAILED,
)

SHOWN = 30
"""Lines of a failure."""
_URI = re.compile(
    r"'(?P<address>https?://[^'\s]{1,1000})' (?P<name>[A-Za-z0-9][\w.+~%-]{1,300}\.deb) (?P<size>[0-9]{1,12})"
    r" SHA256:(?P<hash>[0-9a-f]{64})"
)
_NUMBERS = re.compile(r"[0-9.]+")
_KILLED = re.compile(
    r"Sub-process \S+ (?:received signal (?:9|15)\b|exited unexpectedly)|was killed by signal \((?:Killed|Terminated)\)"
)
"""How apt and dpkg (apt-pkg/deb/dpkgpm.cc, 3.0) tell the end of a process of theirs that somebody else made."""
_UNFETCHED = re.compile(r"E: (?:Failed to fetch|Some index files failed to download|Unable to fetch)")
ENDED = "137"
"""How a shell tells that what it ran was killed."""
_BROKEN = re.compile(r"dpkg: error processing (?P<what>package|archive) (?P<name>[^ ]+)")
_UNPACKING = re.compile(r"Unpacking ([^ ]+) \(")


def planned(
    path: str, names: Sequence[str], known: str, uris: str, said: str, status: str
) -> tuple[SystemPackage, ...]:
    """What has to be installed for these names, what it depends on included; `known`: all names there are."""
    there = set(known.split())
    if status.strip() == ENDED:
        raise Fail(KILLED("apt was ended by somebody else", Evidence("apt-get", f"status {ENDED}")))
    if missing := [name for name in names if name not in there]:
        raise Fail(_unknown(path, missing, there, said))
    if status.strip() != "0":
        words = _last(said.splitlines() + uris.splitlines())
        raise Fail(SYSTEM_CONFLICT(f"what {path} names cannot be installed together", Evidence("apt-get", words)))
    found = [_URI.fullmatch(line.strip()) for line in uris.splitlines() if line.startswith("'")]
    packages = [SystemPackage(one["name"], one["hash"], one["address"], int(one["size"])) for one in found if one]
    if len(packages) != len(found):
        raise Fail(SYSTEM_CONFLICT("apt names a file that it has no hash for", Evidence("apt-get", uris[-500:])))
    return tuple(sorted(packages, key=lambda one: one.name))


def _unknown(path: str, missing: Sequence[str], known: set[str], said: str) -> Failure:
    told = []
    for name in missing:
        near = nearest(name, known)
        told.append(f"{name} (the nearest that there is: {near})" if near else name)
    virtual = [line for line in said.splitlines() if "is a virtual package" in line or "referred to by" in line]
    evidence = [Evidence(path, name) for name in missing]
    evidence += [Evidence("apt-get", _last(said.splitlines()))] if virtual else []
    return NO_SUCH_SYSTEM_PACKAGE(f"{path} names {', '.join(told)}", *evidence)


def nearest(name: str, known: Iterable[str]) -> str:
    """The name that is most like one that does not exist: the same but for numbers first; or ``."""
    bare = _NUMBERS.sub("#", name)
    same = [one for one in known if one[0] == name[0] and _NUMBERS.sub("#", one) == bare]
    if same:
        return max(same, key=lambda one: [int(number) for number in re.findall(r"[0-9]{1,9}", one)])
    close = difflib.get_close_matches(name, [one for one in known if one[0] == name[0]], 1, 0.75)
    return close[0] if close else ""


def killed(said: Sequence[str]) -> Failure | None:
    """Where a process of apt's or dpkg's was ended by somebody else."""
    if any(_KILLED.search(line) for line in said):
        return KILLED("a process of apt's was ended by somebody else", Evidence("apt-get", _last(said)))
    return None


def unfetched(said: Sequence[str]) -> bool:
    """Whether it fails of what did not come."""
    return any(_UNFETCHED.match(line) for line in said)


def fetch_failure(said: Sequence[str], unreached: Sequence[Unreached]) -> Failure:
    """Why nothing came from the mirror."""
    if ended := killed(said):
        return ended
    if any(complaints.FULL.search(line) for line in said):
        return BUILD_TOO_LARGE("apt found no space left", Evidence("apt-get", _last(said)))
    lines = [line for line in said if line.startswith(("E:", "Err:", "W:"))] or said
    proxys = (Evidence("egress proxy", one.said) for one in unreached)  # it asks for nothing but the operator's mirrors
    return MIRROR_UNREACHABLE("apt could not fetch what it needs", *proxys, Evidence("apt-get", _last(lines)))


def install_failure(path: str, said: Sequence[str]) -> Failure:
    """Why packages that were there could not be installed."""
    if ended := killed(said):
        return ended
    if any(complaints.FULL.search(line) for line in said):
        return BUILD_TOO_LARGE("apt found no space left", Evidence("apt-get", _last(said)))
    broken = _broken(said)
    what = ", ".join(broken[:5]) if broken else f"apt could not install what {path} names"
    return SYSTEM_INSTALL_FAILED(what, Evidence("apt-get", _last(said)))


def _broken(said: Sequence[str]) -> list[str]:
    """Which packages cannot be unpacked or configured; of an archive, which lies here by its hash, whose it is."""
    unpacked, broken = "", dict[str, None]()
    for line in said:
        if found := _UNPACKING.match(line):
            unpacked = found[1]
        elif found := _BROKEN.search(line):
            archive = found["what"] == "archive"
            name = unpacked or found["name"] if archive else found["name"]
            broken[f"{name} cannot be {'unpacked' if archive else 'configured'}"] = None
    return list(broken)


def _last(lines: Sequence[str]) -> str:
    return "\n".join(line[:500] for line in lines[-SHOWN:]) or "it said nothing"
