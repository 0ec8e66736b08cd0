"""What has to be done, in which order? In: a Place. Out: steps, each files and commands. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perijove.domain import settings_file

USER = "perijove"
UNITS = ("perijove-pad.service", "perijove.service")
PREFIX = Path("/opt/perijove")
STATE = Path("/var/lib/perijove")
SETTINGS = Path("/etc/perijove/perijove.toml")
SYSUSERS = Path("/etc/sysusers.d/perijove.conf")
SYSTEMD = Path("/etc/systemd/system")


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is installed."""

    root: Path = Path("/")
    """Another folder than / gets all the files, and no word is said to the systemd that runs."""
    prefix: Path = PREFIX
    systemd_runs: bool = True
    """Whether its systemd can be spoken to."""

    def __call__(self, path: Path) -> Path:
        """Where a path of the installed machine is, seen from here."""
        return self.root / path.relative_to("/")

    @property
    def releases(self) -> Path:
        """A folder a release."""
        return self.prefix.with_name(f"{self.prefix.name}.d")

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The option that systemd's programs take for another root."""
        return () if self.root == Path("/") else (f"--root={self.root}",)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done, or was."""

    title: str
    files: Mapping[Path, bytes] = field(default_factory=dict)
    """Written where they differ, by their paths seen from here."""
    kept: Mapping[Path, bytes] = field(default_factory=dict)
    """Written where there is none; what stands there is somebody's."""
    removed: Sequence[Path] = ()
    commands: Sequence[tuple[str, ...]] = ()
    while_there: Path | None = None
    """The commands are run only while this is there: they fail once they have done their work."""


def installing(place: Place, packaged: Mapping[str, str], hosts: Sequence[str], email: str) -> list[Step]:
    """All but the programs, which come between the first and the second."""
    units = {place(SYSTEMD / name): packaged[name].replace(str(PREFIX), str(place.prefix)).encode() for name in UNITS}
    told = settings(packaged["perijove.toml"], hosts, email)
    return [
        Step(
            f"user {USER}",
            {place(SYSUSERS): packaged["perijove.conf"].encode()},
            commands=[("systemd-sysusers", *place.elsewhere, SYSUSERS.name)],
        ),
        Step(f"settings {SETTINGS}", kept={place(SETTINGS): told.encode()}),
        Step(f"units {', '.join(UNITS)}", units, commands=enabling(place)),
    ]


def settings(text: str, hosts: Sequence[str], email: str) -> str:
    """The settings file with comments, in which a name and an address stand where they are given."""
    for key, given in (("hosts", list(hosts)), ("email", email)):
        line = f"{key} = {settings_file.value(given)}\n"
        lines = text.splitlines(keepends=True)
        text = "".join(line if given and one.startswith(f"# {key} = ") else one for one in lines)
    return text


def enabling(place: Place) -> list[tuple[str, ...]]:
    """Have the units start with the machine, and now where systemd runs; sessions go on."""
    enable = ("systemctl", *place.elsewhere, "enable", *UNITS)
    if not place.systemd_runs:
        return [enable]
    return [
        ("systemctl", "daemon-reload"),
        enable,
        ("systemctl", "start", UNITS[0]),
        ("systemctl", "restart", UNITS[1]),
    ]


def removing(place: Place) -> list[Step]:
    """The service and its programs; what people own stays."""
    stop = [("systemctl", "stop", *reversed(UNITS))] if place.systemd_runs else []
    reload = [("systemctl", "daemon-reload")] if place.systemd_runs else []
    return [
        Step(
            "service stopped",
            commands=[*stop, ("systemctl", *place.elsewhere, "disable", *UNITS)],
            while_there=place(SYSTEMD / UNITS[0]),
        ),
        Step("units", removed=[place(SYSTEMD / name) for name in UNITS], commands=reload),
        Step("programs", removed=[place(place.prefix), place(place.releases)]),
    ]


def purging(place: Place) -> list[Step]:
    """All that is left: nobody can give it back."""
    other = ("--root", str(place.root)) if place.elsewhere else ()
    return [
        Step(f"settings {SETTINGS.parent}", removed=[place(SETTINGS.parent)]),
        Step(f"state directory {STATE}", removed=[place(STATE)]),
        Step(
            f"user {USER}",
            removed=[place(SYSUSERS)],
            commands=[("userdel", *other, USER)],
            while_there=place(SYSUSERS),
        ),
    ]
