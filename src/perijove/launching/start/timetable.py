"""Which class is a repository's, and which classes are open now? In: the classes, the clock. Out: the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from perijove.domain.classes import Class, Hours, hours, owner


@dataclass(frozen=True, slots=True)
class Timetable:
    """The classes as the settings have them now."""

    classes: Callable[[], Sequence[Class]]
    now: Callable[[], float]
    zone: tzinfo | None = None
    """None: this machine's."""

    def of(self, repository: str) -> Class | None:
        """Whose repository that is, by its canonical name; open or not."""
        return owner(repository, self.classes())

    def hours(self, one: Class) -> Hours:
        """When a class is open, as seen now."""
        return hours(one.settings, self.now(), self.zone)

    def seated(self) -> Sequence[Class]:
        """Those that are open and have seats."""
        return [one for one in self.classes() if one.seats and self.hours(one).open]

    def seats_for(self, repository: str) -> Class | None:
        """The class that is open and has seats for a launch of the repository of this canonical name."""
        return owner(repository, self.seated())


NO_CLASSES = Timetable(tuple, lambda: 0.0)
