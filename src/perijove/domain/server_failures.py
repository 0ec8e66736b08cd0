"""What becomes of a session's Jupyter server that does not start, or is killed: rows of the catalogue. Pure."""

from perijove.domain.failures import Retry, author_row, operator_row, visitor_row

SERVER_CRASHED = author_row(
    "start.server-crashed", "The Jupyter server ended as soon as it started",
    "Read its last words below.",
)  # fmt: skip
START_NO_EXEC = author_row(
    "start.no-exec", "The repository's start does not run the server",
    'End the file with the line `exec "$@"`: start is given the server\'s command, and has to become it.',
)  # fmt: skip
START_FAILED = author_row(
    "start.start-failed", "The repository's start failed before it ran the server",
    'Read its last words below: what fails there must not keep the file from its last line, `exec "$@"`.',
)  # fmt: skip
SERVER_KILLED = operator_row(
    "start.server-killed", "The Jupyter server was killed as it started",
    "Find who killed it: `dmesg` names what the kernel killed for memory; launching.keep_memory keeps more free.",
    Retry.BACKOFF,
)  # fmt: skip
SERVER_STOPPED = operator_row(
    "start.stopped", "The session was stopped as it started",
    "Launch again.",
)  # fmt: skip
SERVER_HANGS = author_row(
    "start.server-hangs", "The Jupyter server started but does nothing",
    "Read its last words below: it waits for something that does not come.",
)  # fmt: skip
SERVER_TOO_SLOW = operator_row(
    "start.too-slow", "The Jupyter server did not answer in time",
    "It had the time to run: where it needs more, the operator can raise session.start_timeout.",
)  # fmt: skip
SERVER_STARVED = operator_row(
    "start.starved", "The machine is too busy to start a Jupyter server",
    "Try again later; the operator finds with `top` what else uses the machine, or lowers launching.starting.",
    Retry.AFTER,
)  # fmt: skip
START_MEMORY = operator_row(
    "start.out-of-memory", "The Jupyter server was killed for memory as it started",
    "Ask the operator to raise session.memory.",
)  # fmt: skip
TOO_MANY_PROCESSES = visitor_row(
    "session.too-many-processes", "The session has as many processes and threads as it may",
    "Shut down kernels and terminals that nobody needs; the operator can raise session.processes.",
)  # fmt: skip
SESSION_KILLED = operator_row(
    "session.server-killed", "The session's Jupyter server was killed",
    "Launch again. The operator finds who killed it: `dmesg` names what the kernel killed for memory.",
)  # fmt: skip
