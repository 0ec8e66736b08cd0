"""A Kubernetes cluster as it was looked at once: objects, probes, logs, a front's files, certificates. Pure values.

Objects stay as the API tells them, behind typed accessors. Secrets' values are in none of them: whoever looks keeps
names, parsed certificates and the few settings below, and throws the rest away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from perijove.domain.web_servers import Configuration

JSON = Mapping[str, Any]
NOTHING: JSON = {}


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """A certificate that somebody serves or keeps. Times are Unix seconds."""

    where: str
    """`Secret binderhub/tls tls.crt`, `served-443.pem`."""
    names: tuple[str, ...] = ()
    subject: str = ""
    issuer: str = ""
    not_before: float = 0
    not_after: float = 0
    count: int = 0
    """Certificates that stand there, the leaf included."""
    problem: str = ""
    """Why it cannot be read, `` where it can; then nothing above is known."""

    def is_for(self, host: str) -> bool:
        """Whether its names hold the host (RFC 6125, 6.4.3: `*` stands for one label)."""
        parent = host.partition(".")[2]
        return any(name.lower() == host.lower() or name.lower() == f"*.{parent}".lower() for name in self.names)


@dataclass(frozen=True, slots=True)
class Condition:
    """A row of `status.conditions`. `at` is Unix seconds, 0 where it is not told."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    at: float = 0


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of the cluster."""

    raw: JSON
    certificates: tuple[SeenCertificate, ...] = ()
    """For a Secret: what was in it and could be parsed."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """For BinderHub's own Secret: the settings that are no secrets, as dotted names and text."""
    written: float = 0
    """For a Secret: when its values were written last, where that is told. kubectl leaves it out, the API tells it."""

    @property
    def kind(self) -> str:
        return text(self.raw.get("kind"))

    @property
    def group(self) -> str:
        """`` for the core group."""
        return text(self.raw.get("apiVersion")).rpartition("/")[0]

    @property
    def metadata(self) -> JSON:
        return mapping(self.raw.get("metadata"))

    @property
    def name(self) -> str:
        return text(self.metadata.get("name"))

    @property
    def namespace(self) -> str:
        return text(self.metadata.get("namespace"))

    @property
    def uid(self) -> str:
        return text(self.metadata.get("uid"))

    @property
    def said(self) -> str:
        """As operators name it: `Pod binderhub/hub-5f6c`, `Node node1`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def labels(self) -> JSON:
        return mapping(self.metadata.get("labels"))

    @property
    def annotations(self) -> JSON:
        return mapping(self.metadata.get("annotations"))

    @property
    def spec(self) -> JSON:
        return mapping(self.raw.get("spec"))

    @property
    def status(self) -> JSON:
        return mapping(self.raw.get("status"))

    @property
    def created(self) -> float:
        return moment(self.metadata.get("creationTimestamp"))

    @property
    def deleting(self) -> float:
        """Since when it is being deleted; 0 where it is not."""
        return moment(self.metadata.get("deletionTimestamp"))

    @property
    def owners(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of what it belongs to."""
        return tuple((text(one.get("kind")), text(one.get("name"))) for one in listed(self.metadata, "ownerReferences"))

    def condition(self, kind: str) -> Condition | None:
        """The condition of a type, whatever its case."""
        for one in listed(self.status, "conditions"):
            if text(one.get("type")).lower() == kind.lower():
                at = moment(one.get("lastTransitionTime"))
                return Condition(
                    text(one.get("type")),
                    text(one.get("status")),
                    text(one.get("reason")),
                    text(one.get("message")),
                    at,
                )
        return None


@dataclass(frozen=True, slots=True)
class Hop:
    """One answer on the way to the last."""

    status: int
    server: str = ""
    location: str = ""
    body: str = ""
    error: str = ""
    """Where there was no answer: why."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A request that somebody sent, redirects followed."""

    url: str
    hops: tuple[Hop, ...]
    host: str = ""
    """The Host sent, where the URL names an address."""
    origin: str = ""
    """`in-cluster` where it was sent from there."""

    @property
    def last(self) -> Hop:
        return self.hops[-1] if self.hops else Hop(0, error="no answer was recorded")


@dataclass(frozen=True, slots=True)
class TlsProbe:
    """A handshake that somebody made. `verify` is `ok`, or why the certificate is not believed."""

    target: str
    sni: str
    verify: str
    address: str = ""
    leaf: str = ""
    """The file with what was served."""


@dataclass(frozen=True, slots=True)
class DnsProbe:
    """What a name resolved to."""

    name: str
    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    error: str = ""


Probe = HttpProbe | TlsProbe | DnsProbe


@dataclass(frozen=True, slots=True)
class Recording:
    """All that was looked at, and when. Nothing is asked of the cluster after it."""

    where: str
    """The folder, or the context."""
    now: float
    """The time it is judged at."""
    now_from: str
    """Where that time is from, in words."""
    things: tuple[Thing, ...] = ()
    probes: tuple[Probe, ...] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    """Ends of logs by file: `logs/hub-previous.log`."""
    front: Configuration | None = None
    """The configuration of the web server in front, where it was recorded."""
    served: Mapping[str, SeenCertificate] = field(default_factory=dict)
    """What `served-*.pem` hold, by file."""
    whole: frozenset[str] = frozenset()
    """Kinds of which all objects are here, so that one that is missing does not exist."""
    unseen: Mapping[str, str] = field(default_factory=dict)
    """What could not be looked at, and why: a kind, a file."""


def text(value: Any) -> str:
    """A value that should be text; `` for anything that cannot be shown as one."""
    return value if isinstance(value, str) else "" if value is None or isinstance(value, (dict, list)) else str(value)


def mapping(value: Any) -> JSON:
    """A value that should be a mapping; an empty one for anything else."""
    return value if isinstance(value, dict) else NOTHING  # a Mapping takes four times as long to be known


def items(value: Any) -> Sequence[Any]:
    """A value that should be a list; an empty one for anything else."""
    return value if isinstance(value, (list, tuple)) else ()


def listed(value: Any, *path: str) -> Iterator[JSON]:
    """The mappings of a list that stands at a path of keys."""
    for key in path:
        value = mapping(value).get(key)
    return (one for one in items(value) if isinstance(one, dict))


def at(value: Any, *path: str) -> Any:
    """What stands at a path of keys; None where it leads nowhere."""
    for key in path:
        value = mapping(value).get(key)
    return value


def moment(value: Any) -> float:
    """Unix seconds of an RFC 3339 time, as the API writes them; 0 for anything else."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, str) or len(value) < 10:
        return 0
    try:
        seen = datetime.fromisoformat(value)
    except ValueError:
        return 0
    return (seen if seen.tzinfo else seen.replace(tzinfo=UTC)).timestamp()


def day(seconds: float) -> str:
    """A moment as the API writes it: `2026-03-10T09:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
