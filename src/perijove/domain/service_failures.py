"""What may be wrong with a service of ours that its own start does not see: rows of the catalogue. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from perijove.domain.failures import Retry, operator_row

JOURNAL_DAMAGED = operator_row(
    "platform.journal-damaged", "The journal holds what cannot be read",
    "Stop the service, keep a copy of the file, and take out what is named.",
)  # fmt: skip
JOURNAL_FOREIGN = operator_row(
    "platform.journal-foreign", "What stands in the journal's place is no journal",
    "Put it elsewhere, and the last backup in its place.",
)  # fmt: skip
JOURNAL_NEWER = operator_row(
    "platform.journal-newer", "The journal was written by a newer Perijove",
    "Start that version again, or restore the backup that was made before it.",
)  # fmt: skip
JOURNAL_HELD = operator_row(
    "platform.journal-held", "Another program holds the journal",
    "End it: `fuser -v` with the file's name says who it is.", Retry.BACKOFF,
)  # fmt: skip
JOURNAL_UNREACHED = operator_row(
    "platform.journal-unreached", "The machine does not give the journal",
    "Look what the kernel says of the disk and of memory: `dmesg | tail`.", Retry.BACKOFF,
)  # fmt: skip
NAMES_UNRESOLVED = operator_row(
    "platform.names-unresolved", "This machine cannot resolve names",
    "Have /etc/resolv.conf name a server that answers: `resolvectl status`, or `getent hosts pypi.org`, tells.",
    Retry.BACKOFF,
)  # fmt: skip
SECRET_DAMAGED = operator_row(
    "platform.secret-damaged", "The secret is not one",
    "Restore it from the backup; or remove it: a new one is made, and links to running sessions end.",
)  # fmt: skip
SECRET_CHANGED = operator_row(
    "platform.secret-changed", "The secret on disk is not the one that the service uses",
    "Put the old file back before the next restart, or restart when no session runs.",
)  # fmt: skip
FILE_TOO_OPEN = operator_row(
    "platform.file-too-open", "A file of secrets can be read by others",
    "Take the right to read it from everybody but its owner.",
)  # fmt: skip
MEMORY_NOT_HELD = operator_row(
    "platform.memory-not-held", "This service cannot hold memory exactly here: no control groups",
    "Have the pad run where it may make control groups: by its unit with Delegate=yes, or as root.",
)  # fmt: skip
LAYERS_COPIED = operator_row(
    "platform.layers-copied", "Environments are copied for each session: nothing can be laid over them here",
    "Use Linux 5.11 or newer (5.19 where the pad is root) and bubblewrap 0.11, with the store on ext4, xfs or btrfs.",
)  # fmt: skip
SERVERS_STARTED = operator_row(
    "platform.servers-started", "Jupyter servers are started, one by one: they cannot be forked here",
    "Read why in the pad's log; session.forked = false says that it is to be so.",
)  # fmt: skip
NOT_ANSWERING = operator_row(
    "platform.not-answering", "The service runs and does not answer",
    "Look at its log; restart it. Sessions and their work stay.", Retry.BACKOFF,
)  # fmt: skip
PAD_SILENT = operator_row(
    "platform.pad-silent", "The pad, which holds the sandboxes, runs and does not answer",
    "Look what its process does. Whoever ends it ends all sessions; the service starts another.", Retry.BACKOFF,
)  # fmt: skip
SETTINGS_UNLIKE = operator_row(
    "platform.settings-unlike", "The running service has other settings than the file that was named",
    "Restart the service with that file (`perijove up --config FILE`), or name the file that it was started with.",
)  # fmt: skip
STORE_DAMAGED = operator_row(
    "platform.store-damaged", "Something among the environments is none",
    "Remove it: what is wanted again is built again.",
)  # fmt: skip
KERNEL_UNREACHED = operator_row(
    "platform.kernel-unreached", "A launch does not get to a kernel",
    "Read what the launch and its session say, and the service's log.", Retry.BACKOFF,
)  # fmt: skip
ORIGIN_SHARED = operator_row(
    "platform.origin-shared", "Sessions share one origin in visitors' browsers",
    "Give sessions hosts of their own: service.session_hosts, a wildcard or a list of names.",
)  # fmt: skip
BACKUP_UNREADABLE = operator_row(
    "platform.backup-unreadable", "This is no backup, or a damaged one",
    "Take another backup, or fetch this one again; nothing was changed.",
)  # fmt: skip
STATE_OCCUPIED = operator_row(
    "platform.state-occupied", "A state directory is there already",
    "Name another with --state; or add --replace: what stands there is moved aside, not removed.",
)  # fmt: skip
INSTALLATION_FAILED = operator_row(
    "platform.installation-failed", "A step of the installation failed",
    "Mend what the evidence says and run it again: what is done already stays, and nothing is done twice.",
)  # fmt: skip


SEATS_WITHOUT_MEMORY = operator_row(
    "platform.seats-without-memory", "A class has more seats than memory carries",
    "Give it fewer seats, lower session.memory_reserved to what its sessions use, or give the machine more memory.",
)  # fmt: skip


def aside(path: Path) -> str:
    """The command that moves a journal out of the way, with what SQLite keeps beside it."""
    file, folder = shlex.quote(str(path)), shlex.quote(str(path.parent))
    return f"mkdir -p {folder}/damaged && mv {file}* {folder}/damaged/"


def put_aside(path: Path) -> str:
    """The remedy for a journal of which nothing can be used: its backup, or none."""
    file, folder = shlex.quote(str(path)), shlex.quote(str(path.parent))
    restored = f"cp BACKUP {file} && chown --reference={folder} {file} && chmod 600 {file}"
    return (
        f"With the service stopped, move it aside: `{aside(path)}`; then restore the last backup: `{restored}`."
        " Without a backup just start: a new journal is begun. History is lost, and sessions that it does not know end."
    )
