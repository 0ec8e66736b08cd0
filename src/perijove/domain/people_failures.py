"""Why what belongs to a person cannot be used. Pure."""

from perijove.domain.failures import Retry, author_row, operator_row, visitor_row

TOKEN_REFUSED = visitor_row(
    "resolve.token-refused", "The repository's host refused your token",
    "It has expired, was revoked, or was pasted incompletely: make a new one there and give it on your page, /you.",
)  # fmt: skip
TOKEN_LACKS_ACCESS = visitor_row(
    "resolve.token-lacks-access", "Your token does not open this repository",
    "Check the spelling; give a token on your page, /you, that may read this repository's contents: on GitHub a "
    "fine-grained one names it, and an organisation may have to authorise it; on GitLab the scope is read_repository.",
)  # fmt: skip
DEVICE_ENDED = visitor_row(
    "start.device-ended", "The Git host gives no token for that code",
    "Begin again on your page, /you, and type the new code there.",
)  # fmt: skip
DEVICE_UNUSABLE = operator_row(
    "start.device-unusable", "The Git host does not give tokens by a code",
    "Paste a token instead. The operator compares auth.device with what the host knows of this service, in whose app "
    "there the device flow has to be switched on.",
)  # fmt: skip
HOME_SILENT = operator_row(
    "home.silent", "The file system of people's homes does not answer",
    "Look at its server and at the network; `umount -f -l` and `mount` renew a mount that is stale.", Retry.BACKOFF,
)  # fmt: skip
HOME_UNUSABLE = operator_row(
    "home.unusable", "Your home cannot be used",
    "Make home.path a folder of the service's user; where the service is root's, of a user who exists for that alone.",
)  # fmt: skip
HOME_FULL = visitor_row(
    "home.full", "Your home holds more than it may",
    "Remove what you do not need from ~/home, in this session or in another: one that makes it fuller is ended.",
)  # fmt: skip
HOME_NOT_MAPPED = operator_row(
    "home.not-mapped", "Homes on this file system cannot be given to sessions",
    "Put them on ext4, XFS or Btrfs; or run the service without root, where sessions have its own user: NFS works so.",
)  # fmt: skip
HOME_COVERED = author_row(
    "home.covered", "The repository has something else where your home belongs",
    "Rename the file `home` at its top, and push; or launch it where people have no homes.",
)  # fmt: skip
