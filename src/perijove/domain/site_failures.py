"""The rows of the catalogue for a Binder that is looked at from outside. Pure; see `failures`."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

HTTPS_UNANSWERED = row(
    "site.https-unanswered", "Nothing answers HTTPS",
    Owner.OPERATOR, Retry.NEVER,
    "Have port 443 of this address lead to what ends TLS for the site, and open it in the firewall.",
)  # fmt: skip
CERTIFICATE_UNTRUSTED = row(
    "site.certificate-untrusted", "No browser trusts the certificate",
    Owner.OPERATOR, Retry.NEVER,
    "Serve a certificate of a CA that browsers know; with roots of your own, name them with --ca.",
)  # fmt: skip
HSTS_FORBIDS_EXCEPTION = row(
    "site.hsts-forbids-exception", "Browsers let nobody past the certificate",
    Owner.OPERATOR, Retry.NEVER,
    "Mend the certificate: whoever saw the HSTS header before can make no exception for it.",
)  # fmt: skip
REDIRECT_ASTRAY = row(
    "site.redirect-astray", "The site's redirects do not end at a page",
    Owner.OPERATOR, Retry.NEVER,
    "Correct the redirect that the evidence names.",
)  # fmt: skip
BINDER_UNREACHED = row(
    "site.upstream-down", "The web server in front cannot reach the Binder",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look whether the Binder runs, and whether the web server passes requests to where it listens.",
)  # fmt: skip
NOT_A_BINDER = row(
    "site.not-a-binder", "No Binder answers at this address",
    Owner.OPERATOR, Retry.NEVER,
    "Check the address; behind a path of its own, name it with the path.",
)  # fmt: skip
UNHEALTHY = row(
    "site.unhealthy", "The Binder says that a part of it is ill",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the part that its /health names.",
)  # fmt: skip
LAUNCH_FAILED = row(
    "site.launch-failed", "A tiny repository does not launch",
    Owner.OPERATOR, Retry.BACKOFF,
    "Read the last lines below; `perijove doctor kubernetes` sees more from inside a cluster.",
)  # fmt: skip
