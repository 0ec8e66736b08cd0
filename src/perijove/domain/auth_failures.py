"""Why somebody is not let in, or not to this: rows of the catalogue. Pure."""

from perijove.domain.failures import Retry, operator_row, visitor_row

LOGIN_NEEDED = visitor_row(
    "start.login-needed", "Log in first",
    "Open the service's front page in the browser and log in.",
)  # fmt: skip
LOGIN_WRONG = visitor_row(
    "start.login-wrong", "The name or the password is wrong",
    "Check both; whoever runs this service gives a new password with `perijove user password NAME`.",
)  # fmt: skip
LOGIN_SLOWED = visitor_row(
    "start.login-slowed", "Too many wrong passwords",
    "Wait, and then check the name and the password.", Retry.AFTER,
)  # fmt: skip
LOGIN_CROWD = visitor_row(
    "start.login-crowd", "Too many log in at this moment",
    "Try again in a few seconds.", Retry.AFTER,
)  # fmt: skip
LOGIN_NOT_KEPT = visitor_row(
    "start.login-not-kept", "This browser does not keep what shows who you are",
    "Allow cookies for this service and for its sessions, and open the session from its launch's page again.",
)  # fmt: skip
NOT_YOURS = visitor_row(
    "start.not-yours", "This belongs to somebody else",
    "Launch the repository yourself: its link is for everybody who may launch it.",
)  # fmt: skip
NOT_FOR_YOU = operator_row(
    "start.not-for-you", "You may not launch this here",
    "Ask the operator: auth.allowed, auth.repositories and `who` of classes decide.",
)  # fmt: skip
LOGIN_STALE = visitor_row(
    "start.login-stale", "Logging in took too long, or began elsewhere",
    "Begin again at the front page, in one browser that keeps cookies.",
)  # fmt: skip
LOGIN_REFUSED = operator_row(
    "start.login-refused", "The provider did not log you in",
    "Try again; if it lasts, compare auth.oidc_* with what the provider knows of this service.",
)  # fmt: skip
PROVIDER_SILENT = operator_row(
    "start.provider-silent", "Whoever logs people in does not answer",
    "Try again in a minute; if it lasts, look at auth.oidc_issuer, and at this machine's DNS, proxy and firewall.",
)  # fmt: skip
PROVIDER_WRONG = operator_row(
    "start.provider-wrong", "Whoever logs people in answers wrongly",
    "Correct auth.oidc_issuer, and compare this machine's clock with the provider's.",
)  # fmt: skip
NAME_UNUSABLE = operator_row(
    "start.name-unusable", "You were logged in by a name that cannot be used here",
    "Have whoever logs people in give one name of letters, digits and . _ @ + = | -, at most 128.",
)  # fmt: skip
FRONT_SILENT = operator_row(
    "start.front-silent", "The web server in front does not say who you are",
    "Have it log people in, and name them in the header of auth.header at every request.",
)  # fmt: skip
PEOPLE_UNREADABLE = operator_row(
    "platform.people-unreadable", "The file of people cannot be used",
    "Make it readable for the service's user, or restore it from the backup; `perijove user list` shows it.",
)  # fmt: skip
PEOPLE_NOT_CHANGED = operator_row(
    "platform.people-not-changed", "The file of people is not changed",
    "Look at `perijove user list`.",
)  # fmt: skip
