"""A recording, indexed for questions: objects by kind and name, events by what they are about, owners. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from perijove.domain.cluster import Recording, Thing, items, listed, mapping, moment, text

Key = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of Kubernetes. Times are Unix seconds."""

    about: Key
    reason: str
    message: str
    first: float
    last: float
    count: int
    said: str
    """As operators name what it is about."""

    @property
    def where(self) -> str:
        return f"Event {self.reason} of {self.said}"


class Cluster:
    """What the rules look at."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.now = recording.now
        self._kinds: dict[str, list[Thing]] = defaultdict(list)
        for thing in recording.things:
            self._kinds[thing.kind].append(thing)

    def of(self, *kinds: str) -> list[Thing]:
        """All objects of some kinds."""
        return [thing for kind in kinds for thing in self._kinds.get(kind, ())]

    def get(self, kind: str, namespace: str, name: str) -> Thing | None:
        return self._named.get((kind, namespace, name))

    def lacks(self, kind: str) -> bool:
        """Whether an object of this kind that is not here does not exist, as far as was looked."""
        return kind in self.recording.whole and kind not in self.recording.unseen

    @cached_property
    def _named(self) -> dict[Key, Thing]:
        return {(one.kind, one.namespace, one.name): one for one in self.recording.things if one.kind != "Event"}

    @cached_property
    def _children(self) -> dict[Key, list[Thing]]:
        found: dict[Key, list[Thing]] = defaultdict(list)
        for thing in self.recording.things:
            for kind, name in thing.owners:
                found[kind, thing.namespace, name].append(thing)
        return found

    def owned(self, owner: Thing, *kinds: str) -> list[Thing]:
        """Objects that belong to another, oldest first."""
        children = self._children.get((owner.kind, owner.namespace, owner.name), [])
        return sorted((one for one in children if one.kind in kinds), key=lambda one: one.created)

    @cached_property
    def happenings(self) -> dict[Key, list[Happening]]:
        """Events by what they are about, the newest first."""
        found: dict[Key, list[Happening]] = defaultdict(list)
        for event in self.of("Event"):
            one = _happening(event)
            found[one.about].append(one)
        for told in found.values():
            told.sort(key=lambda one: -one.last)
        return found

    def events(self, thing: Thing, *reasons: str) -> list[Happening]:
        """Events about an object since it was made, the newest first; of some reasons, or all."""
        told = self.happenings.get((thing.kind, thing.namespace, thing.name), [])
        return [one for one in told if (not reasons or one.reason in reasons) and one.last >= thing.created - 60]

    @cached_property
    def pods(self) -> list[Thing]:
        return self.of("Pod")

    @cached_property
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


def _happening(event: Thing) -> Happening:
    raw = event.raw
    about = mapping(raw.get("involvedObject") or raw.get("regarding"))
    series = mapping(raw.get("series"))
    key = (text(about.get("kind")), text(about.get("namespace")), text(about.get("name")))
    times = [moment(raw.get(name)) for name in ("lastTimestamp", "eventTime", "deprecatedLastTimestamp")]
    last = max(*times, moment(series.get("lastObservedTime")), moment(raw.get("firstTimestamp"))) or event.created
    count = raw.get("count") or series.get("count") or 1
    return Happening(
        key,
        text(raw.get("reason")),
        text(raw.get("message") or raw.get("note")),
        moment(raw.get("firstTimestamp")) or event.created,
        last,
        count if isinstance(count, int) else 1,
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
    return [one for one in things if matches(equal, one.labels) and _expressed(selector, one)]


def _expressed(selector: object, thing: Thing) -> bool:
    for one in listed(selector, "matchExpressions"):
        value = thing.labels.get(text(one.get("key")))
        values = items(one.get("values"))
        operator = one.get("operator")
        well = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not well.get(text(operator), True):
            return False
    return True
