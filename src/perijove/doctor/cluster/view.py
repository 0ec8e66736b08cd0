"""A recording, indexed for questions: objects by kind and name, events by what they are about, owners. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from perijove.doctor.cluster.log_lines import Log, log
from perijove.domain.cluster import Recording, Thing, items, listed, mapping, moment, text

Key = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class KubernetesEvent:
    """An event of Kubernetes. Times are Unix seconds.

    `created` is the API's; the others are by the clock of whoever tells of it (client-go 0.33, tools/record/event.go).
    """

    about: Key
    reason: str
    message: str
    first: float
    last: float
    created: float
    count: int
    warning: bool
    said: str
    """As operators name what it is about."""

    @property
    def where(self) -> str:
        return f"Event {self.reason} of {self.said}"


class Cluster:
    """What the rules look at. It notes what they ask for and is not there: without it nobody says that all is well."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.now = recording.now
        # Whoever recorded it chose the order; no answer depends on it.
        self.things = sorted(recording.things, key=lambda one: (one.kind, one.group, one.namespace, one.name, one.uid))
        self.probes = sorted(recording.probes, key=repr)
        self.missing: dict[str, str] = {}
        """What was asked for and not seen since the last `forget`, and why."""
        self._kinds: dict[str, list[Thing]] = defaultdict(list)
        for thing in self.things:
            self._kinds[thing.kind].append(thing)

    def forget(self) -> None:
        self.missing = {}

    def of(self, *kinds: str) -> list[Thing]:
        """All objects of some kinds."""
        for kind in kinds:
            if not self.lacks(kind):
                none = "only some of them were recorded" if kind in self._kinds else "nobody recorded them"
                self.missing[kind] = self.recording.unseen.get(kind) or none
        if len(kinds) == 1:
            return self._kinds.get(kinds[0], [])
        return [thing for kind in kinds for thing in self._kinds.get(kind, ())]

    def there(self, *kinds: str) -> list[Thing]:
        """Objects of kinds that clusters need not have: nothing is called unseen for want of them."""
        return [thing for kind in kinds for thing in self._kinds.get(kind, ())]

    def get(self, kind: str, namespace: str, name: str) -> Thing | None:
        self.of(kind)
        return self._named.get((kind, namespace, name))

    def lacks(self, kind: str) -> bool:
        """Whether an object of this kind that is not here does not exist, as far as was looked."""
        return kind in self.recording.whole and kind not in self.recording.unseen

    def within(self, namespace: str, kind: str) -> list[Thing]:
        """All objects of a kind in a namespace that every cluster has: where there is none, nobody looked there."""
        there = [one for one in self.of(kind) if one.namespace == namespace]
        if not there:
            self.missing.setdefault(kind, f"none of {namespace} was recorded")
        return there

    @cached_property
    def all_logs(self) -> list[Log]:
        """All logs, by name."""
        return [log(name, words, self._kinds.get("Pod", ())) for name, words in sorted(self.recording.logs.items())]

    def logs(self, *of: str) -> list[Log]:
        """Logs of some components."""
        found = [one for one in self.all_logs if one.of in of]
        for one in of:
            if not any(log.of == one for log in found):
                told = [f"{name}: {why}" for name, why in self.recording.unseen.items() if name.startswith("log of")]
                self.missing[f"the log of {one}"] = next((why for why in told if one in why), "nobody recorded it")
        return found

    @cached_property
    def _named(self) -> dict[Key, Thing]:
        return {(one.kind, one.namespace, one.name): one for one in self.things if one.kind != "Event"}

    @cached_property
    def _children(self) -> dict[Key, list[Thing]]:
        found: dict[Key, list[Thing]] = defaultdict(list)
        for thing in self.things:
            for kind, name in thing.owners:
                found[kind, thing.namespace, name].append(thing)
        return found

    def owned(self, owner: Thing, *kinds: str) -> list[Thing]:
        """Objects that belong to another, oldest first."""
        self.of(*kinds)
        children = self._children.get((owner.kind, owner.namespace, owner.name), [])
        return sorted((one for one in children if one.kind in kinds), key=lambda one: one.created)

    @property
    def events_by_object(self) -> dict[Key, list[KubernetesEvent]]:
        """Events by what they are about, the newest first."""
        self.of("Event")
        return self._events_by_object

    @cached_property
    def _events_by_object(self) -> dict[Key, list[KubernetesEvent]]:
        found: dict[Key, list[KubernetesEvent]] = defaultdict(list)
        for event in self.of("Event"):
            one = _kubernetes_event(event)
            found[one.about].append(one)
        for told in found.values():
            told.sort(key=lambda one: -one.last)
        return found

    def events(self, thing: Thing, *reasons: str) -> list[KubernetesEvent]:
        """Events about an object since it was made, the newest first; of some reasons, or all."""
        told = self.events_by_object.get((thing.kind, thing.namespace, thing.name), [])
        since = thing.created - 60
        told = [one for one in told if not reasons or one.reason in reasons]
        return [one for one in told if max(one.last, one.created) >= since]

    @property
    def pods(self) -> list[Thing]:
        return self.of("Pod")

    @property
    def nodes(self) -> list[Thing]:
        return self.of("Node")

    def settings(self) -> tuple[Thing, dict[str, str]] | None:
        """BinderHub's settings and the Secret they are in."""
        for secret in self.of("Secret"):
            if secret.settings:
                return secret, dict(secret.settings)
        return None

    def age(self, since: float) -> float:
        """Seconds from a moment until now; 0 where it is not told."""
        return max(0.0, self.now - since) if since else 0.0


def _kubernetes_event(event: Thing) -> KubernetesEvent:
    raw = event.raw
    about = mapping(raw.get("involvedObject") or raw.get("regarding"))
    series = mapping(raw.get("series"))
    key = (text(about.get("kind")), text(about.get("namespace")), text(about.get("name")))
    times = [moment(raw.get(name)) for name in ("lastTimestamp", "eventTime", "deprecatedLastTimestamp")]
    last = max(*times, moment(series.get("lastObservedTime")), moment(raw.get("firstTimestamp"))) or event.created
    count = raw.get("count") or series.get("count") or 1
    return KubernetesEvent(
        key,
        text(raw.get("reason")),
        text(raw.get("message") or raw.get("note")),
        moment(raw.get("firstTimestamp")) or event.created,
        last,
        event.created or moment(raw.get("firstTimestamp")),
        count if isinstance(count, int) else 1,
        text(raw.get("type")) == "Warning",
        f"{key[0]} {key[1]}/{key[2]}" if key[1] else f"{key[0]} {key[2]}",
    )


def matches(selector: object, labels: object) -> bool:
    """Whether labels satisfy a selector of equalities; an empty one is satisfied by all."""
    wanted = mapping(selector)
    has = mapping(labels)
    return all(has.get(key) == value for key, value in wanted.items())


def selected(selector: object, things: Iterable[Thing]) -> list[Thing]:
    """Objects whose labels satisfy `matchLabels` and `matchExpressions`."""
    equal = mapping(selector).get("matchLabels")
    return [one for one in things if matches(equal, one.labels) and expressed(selector, one.labels)]


def expressed(selector: object, labels: object) -> bool:
    """Whether labels satisfy all of `matchExpressions`."""
    has = mapping(labels)
    for one in listed(selector, "matchExpressions"):
        key = text(one.get("key"))
        values = items(one.get("values"))
        well = {
            "In": has.get(key) in values,
            "NotIn": has.get(key) not in values,
            "Exists": key in has,
            "DoesNotExist": key not in has,
        }
        if not well.get(text(one.get("operator")), True):
            return False
    return True
