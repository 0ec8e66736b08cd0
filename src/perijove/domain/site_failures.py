"""The rows of the catalogue for a Binder that is looked at from outside. Pure; see `failures`."""

from perijove.domain.failures import Retry, operator_row

HTTPS_UNANSWERED = operator_row(
    "site.https-unanswered", "Nothing answers HTTPS",
    "Have port 443 of this address lead to what ends TLS for the site, and open it in the firewall.",
)  # fmt: skip
CERTIFICATE_UNTRUSTED = operator_row(
    "site.certificate-untrusted", "No browser trusts the certificate",
    "Serve a certificate of a CA that browsers know; with roots of your own, name them with --ca.",
)  # fmt: skip
HSTS_FORBIDS_EXCEPTION = operator_row(
    "site.hsts-forbids-exception", "Browsers let nobody past the certificate",
    "Mend the certificate: whoever saw the HSTS header before can make no exception for it.",
)  # fmt: skip
REDIRECT_ASTRAY = operator_row(
    "site.redirect-astray", "The site's redirects do not end at a page",
    "Correct the redirect that the evidence names.",
)  # fmt: skip
BINDER_UNREACHED = operator_row(
    "site.upstream-down", "The web server in front cannot reach the Binder",
    "Look whether the Binder runs, and whether the web server passes requests to where it listens.", Retry.BACKOFF,
)  # fmt: skip
NOT_A_BINDER = operator_row(
    "site.not-a-binder", "No Binder answers at this address",
    "Check the address; behind a path of its own, name it with the path.",
)  # fmt: skip
UNHEALTHY = operator_row(
    "site.unhealthy", "The Binder says that a part of it is ill",
    "Look at the part that its /health names.", Retry.BACKOFF,
)  # fmt: skip
LAUNCH_FAILED = operator_row(
    "site.launch-failed", "A tiny repository does not launch",
    "Read the last lines below; `perijove doctor kubernetes` sees more from inside a cluster.", Retry.BACKOFF,
)  # fmt: skip
