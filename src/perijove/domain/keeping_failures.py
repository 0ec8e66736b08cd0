"""What may go wrong with what is kept of sessions: rows of the catalogue. Pure."""

from perijove.domain.failures import operator_row, visitor_row

KEPT_UNREADABLE = operator_row(
    "session.kept-unreadable", "What was kept of a session cannot be read",
    "Look at the disk of the state directory: the files in control/kept were changed or cut off.",
)  # fmt: skip
NOTHING_KEPT = visitor_row(
    "session.nothing-kept", "Nothing is kept of this session for you",
    "Open this page in the browser that began the session; what is kept is removed after session.keep.",
)  # fmt: skip
