"""What can go wrong on the way to a certificate: the catalogue's rows `cert.*`. Pure."""

from perijove.domain.failures import Retry, operator_row, upstream_row

# what DNS says
DNS_NO_SUCH_NAME = operator_row(
    "cert.dns-no-such-name", "This name does not exist in DNS",
    "Create an A or AAAA record for it that leads to this machine.", Retry.BACKOFF,
)  # fmt: skip
DNS_NO_ADDRESS = operator_row(
    "cert.dns-no-address", "This name has no address in DNS",
    "Add an A or AAAA record that leads to this machine.", Retry.BACKOFF,
)  # fmt: skip
DNS_SERVER_FAILURE = operator_row(
    "cert.dns-server-failure", "This name's DNS servers fail",
    "Look at the zone: a DNSSEC signature that expired, or a server that lost the zone, answers like this.",
    Retry.BACKOFF,
)  # fmt: skip
DNS_NO_ANSWER = operator_row(
    "cert.dns-no-answer", "No DNS server answered",
    "Look at the name servers in /etc/resolv.conf, and at the firewall's rule for port 53.", Retry.BACKOFF,
)  # fmt: skip
DNS_WRONG_ADDRESS = operator_row(
    "cert.dns-wrong-address", "This name leads to another machine",
    "Change the name's A or AAAA record to this machine's address.", Retry.BACKOFF,
)  # fmt: skip
IPV6_BROKEN = operator_row(
    "cert.ipv6-broken", "The IPv6 address does not lead here, the IPv4 address does",
    "Remove the AAAA record, or have IPv6 lead to this machine: CAs try it first.", Retry.BACKOFF,
)  # fmt: skip
CAA_FORBIDS = operator_row(
    "cert.caa-forbids", "A CAA record forbids this CA",
    'Add a CAA record that names your CA (`0 issue "letsencrypt.org"`), or remove the one that forbids it.',
    Retry.BACKOFF,
)  # fmt: skip

# what port 80 says
PORT_REFUSED = operator_row(
    "cert.port-refused", "Nothing listens on port 80",
    "Have port 80 of this address lead to Perijove; it answers nothing there but the challenge and a redirect.",
    Retry.BACKOFF,
)  # fmt: skip
PORT_FILTERED = operator_row(
    "cert.port-filtered", "A firewall swallows port 80",
    "Open port 80 for everybody: CAs look from addresses they do not tell.", Retry.BACKOFF,
)  # fmt: skip

# what the web says on the way to the challenge
NOT_FORWARDED = operator_row(
    "cert.not-forwarded", "Another web server answers instead of Perijove",
    "Have that server pass `/.well-known/acme-challenge/` on to Perijove.", Retry.BACKOFF,
)  # fmt: skip
REDIRECT_NOT_FORWARDED = operator_row(
    "cert.redirect-not-forwarded", "Port 80 is redirected, and Perijove is never asked",
    "Have the server on port 80 pass `/.well-known/acme-challenge/` on to Perijove before it redirects all else.",
    Retry.BACKOFF,
)  # fmt: skip
REDIRECT_REFUSED = operator_row(
    "cert.redirect-refused", "Port 80 is redirected to a port that does not answer",
    "Have the server on port 80 pass `/.well-known/acme-challenge/` on to Perijove before it redirects all else.",
    Retry.BACKOFF,
)  # fmt: skip
REDIRECT_LOOP = operator_row(
    "cert.redirect-loop", "The challenge's address is redirected in a circle",
    "Take `/.well-known/acme-challenge/` out of that redirect.", Retry.BACKOFF,
)  # fmt: skip
REDIRECT_UNRESOLVED = operator_row(
    "cert.redirect-unresolved", "The redirect leads to a name that does not exist",
    "Take `/.well-known/acme-challenge/` out of that redirect, or create the name.", Retry.BACKOFF,
)  # fmt: skip
REDIRECT_ELSEWHERE = operator_row(
    "cert.redirect-elsewhere", "The challenge's address is redirected to another site",
    "Take `/.well-known/acme-challenge/` out of that redirect.", Retry.BACKOFF,
)  # fmt: skip
REDIRECT_BAD_PORT = operator_row(
    "cert.redirect-bad-port", "The redirect leads to a port that CAs do not follow to",
    "CAs follow to ports 80 and 443 alone: take `/.well-known/acme-challenge/` out of that redirect.", Retry.BACKOFF,
)  # fmt: skip
LOGIN_REDIRECT = operator_row(
    "cert.login-redirect", "The challenge's address is redirected to a login",
    "Let `/.well-known/acme-challenge/` pass without a login.", Retry.BACKOFF,
)  # fmt: skip
LOGIN_PAGE = operator_row(
    "cert.login-page", "A login page answers instead of Perijove",
    "Let `/.well-known/acme-challenge/` pass to Perijove without a login.", Retry.BACKOFF,
)  # fmt: skip
PASSWORD_ASKED = operator_row(
    "cert.password-asked", "The web server in front asks for a password",
    "Let `/.well-known/acme-challenge/` pass to Perijove without a password.", Retry.BACKOFF,
)  # fmt: skip
OTHER_SITE = operator_row(
    "cert.other-site", "Another site answers under this name",
    "Have the web server choose the right site for this name, and pass `/.well-known/acme-challenge/` on to Perijove.",
    Retry.BACKOFF,
)  # fmt: skip
UPSTREAM_DOWN = operator_row(
    "cert.upstream-down", "The web server in front cannot reach Perijove",
    "Have it pass requests to the address and port on which Perijove listens.", Retry.BACKOFF,
)  # fmt: skip
TLS_ON_PORT_80 = operator_row(
    "cert.tls-on-port-80", "A port that expects TLS answers on port 80",
    "Have port 80 lead to Perijove's http port, not to an https one.", Retry.BACKOFF,
)  # fmt: skip
OTHER_ACCOUNT = operator_row(
    "cert.other-account", "Another ACME client answers the challenge",
    "Remove that client's answer for `/.well-known/acme-challenge/`, and pass the path on to Perijove.", Retry.BACKOFF,
)  # fmt: skip
UNEXPECTED_ANSWER = operator_row(
    "cert.unexpected-answer", "The challenge's address answers something unexpected",
    "Have whatever answers there pass `/.well-known/acme-challenge/` on to Perijove unchanged.", Retry.BACKOFF,
)  # fmt: skip
CLOCK_WRONG = operator_row(
    "cert.clock-wrong", "This machine's clock is wrong",
    "Set the clock and keep it set: `timedatectl set-ntp true`.", Retry.BACKOFF,
)  # fmt: skip

# what visitors meet meanwhile
HTTPS_PENDING = operator_row(
    "cert.https-pending", "HTTPS is on its way",
    "Come back in a moment: the certificate is being got.", Retry.AFTER,
)  # fmt: skip

# what the CA says
ACME_UNREACHABLE = upstream_row(
    "cert.acme-unreachable", "The CA cannot be reached",
    "Look at this machine's DNS, proxy and firewall: it must reach the CA by https.",
)  # fmt: skip
ACME_UNTRUSTED = operator_row(
    "cert.acme-untrusted", "The CA's own certificate is not trusted",
    "Name the file with its roots in the issuer's `ca_file` (--acme-ca).", Retry.BACKOFF,
)  # fmt: skip
ACME_NOT_ACME = operator_row(
    "cert.acme-not-acme", "What answers at the CA's address is no ACME server",
    "Check the issuer's `directory`; a portal or a proxy may answer in its place.", Retry.BACKOFF,
)  # fmt: skip
ACME_UNAVAILABLE = upstream_row(
    "cert.acme-unavailable", "The CA is down for a while",
    "It is asked again by itself; its status page says more.", Retry.AFTER,
)  # fmt: skip
ACME_RATE_LIMITED = upstream_row(
    "cert.rate-limited", "The CA's rate limit is reached",
    "It is asked again by itself as soon as the CA allows.", Retry.AFTER,
)  # fmt: skip
ACME_BAD_NONCE = upstream_row(
    "cert.bad-nonce", "The CA refuses every nonce",
    "Something between here and the CA keeps or repeats answers; look at proxies.",
)  # fmt: skip
ACME_EAB_REQUIRED = operator_row(
    "cert.eab-required", "The CA wants an external account binding",
    "Set the issuer's `eab_kid` and `eab_key_file` as the CA's site gives them.",
)  # fmt: skip
ACME_ACCOUNT_REFUSED = operator_row(
    "cert.account-refused", "The CA refuses the account",
    "Read the CA's words below; an email address may be wrong, or the account was closed.",
)  # fmt: skip
ACME_TERMS_CHANGED = operator_row(
    "cert.terms-changed", "The CA wants its new terms to be agreed to",
    "Open the address below and agree.",
)  # fmt: skip
NAME_REJECTED = operator_row(
    "cert.name-rejected", "The CA does not issue for this name",
    "Use a public name, or another issuer: `local` for names of this machine, your own CA for private ones.",
)  # fmt: skip
PROFILE_UNKNOWN = operator_row(
    "cert.profile-unknown", "The CA does not have this profile",
    "Use one of those it names below, or none.",
)  # fmt: skip
VALIDATION_FAILED = operator_row(
    "cert.validation-failed", "The CA did not see the answer",
    "Read what it saw below; where it differs from what this machine sees, look at NAT, split DNS and CDNs.",
    Retry.BACKOFF,
)  # fmt: skip
ORDER_INVALID = upstream_row(
    "cert.order-invalid", "The CA ended the order",
    "A new order is placed by itself; read the CA's words below.",
)  # fmt: skip
ORDER_LOST = upstream_row(
    "cert.order-lost", "The CA does not know the order any more",
    "A new order is placed by itself.",
)  # fmt: skip
CA_SLOW = upstream_row(
    "cert.ca-slow", "The CA takes long",
    "The same order is looked at again by itself; the CA's status page says more.",
)  # fmt: skip
ACME_ERROR = upstream_row(
    "cert.acme-error", "The CA refuses",
    "Read its words below.",
)  # fmt: skip
BUDGET_SPENT = operator_row(
    "cert.budget-spent", "Enough failed validations for this hour",
    "Look at the last one; `--force` asks all the same, and may use up what the CA allows.", Retry.AFTER,
)  # fmt: skip
NO_CHALLENGE = operator_row(
    "cert.no-challenge", "No way to show the CA that this name is ours",
    "Open port 80 or 443 to it, or set `certificates.dns` for DNS-01.",
)  # fmt: skip

# dns-01
DNS_UPDATE_REFUSED = operator_row(
    "cert.dns-update-refused", "The DNS server refuses the update",
    "Look at the key and at the zone's update policy.", Retry.BACKOFF,
)  # fmt: skip
DNS_PROVIDER_FAILED = operator_row(
    "cert.dns-provider-failed", "The DNS provider refuses the update",
    "Look at the provider's credentials.", Retry.BACKOFF,
)  # fmt: skip
DNS_HOOK_FAILED = operator_row(
    "cert.dns-hook-failed", "The DNS hook failed",
    "Run it by hand with the variables below.", Retry.BACKOFF,
)  # fmt: skip
DNS_NOT_VISIBLE = operator_row(
    "cert.dns-not-visible", "The DNS record does not appear",
    "Look whether all of the zone's servers get the update; secondaries may lag.", Retry.BACKOFF,
)  # fmt: skip
DNS_PERSIST = operator_row(
    "cert.dns-persist-record", "The DNS record that stays does not show the CA that this name is ours",
    "Have the record entered that `perijove describe certificate NAME` shows.", Retry.BACKOFF,
)  # fmt: skip

# secrets
CHAIN_BROKEN = operator_row(
    "cert.chain-broken", "The chain does not lead from the certificate to its issuer",
    "Give the certificate first, then each issuer's in order, up to the root's or without it.",
)  # fmt: skip
KEY_MISMATCH = operator_row(
    "cert.key-mismatch", "The private key is not the certificate's",
    "Give the key that the certificate was ordered with.",
)  # fmt: skip
NAMES_MISSING = operator_row(
    "cert.names-missing", "The certificate is not for this name",
    "Give one whose names hold it.",
)  # fmt: skip
NOT_VALID_NOW = operator_row(
    "cert.not-valid-now", "The certificate is not valid now",
    "Give one that is; where it should be valid, look at this machine's clock.",
)  # fmt: skip
FILE_FORM = operator_row(
    "cert.file-form", "A certificate's file has another form than PEM",
    "Give the certificate and then its chain in PEM, and the key in PEM without a password.", Retry.BACKOFF,
)  # fmt: skip
FILE_UNREADABLE = operator_row(
    "cert.file-unreadable", "A certificate's file cannot be read",
    "Give the service's user the right to read it.", Retry.BACKOFF,
)  # fmt: skip
NOT_SERVED = operator_row(
    "cert.not-served", "The new certificate is not what the port serves",
    "Read what was served below; another program may hold the port. The old certificate stays.", Retry.BACKOFF,
)  # fmt: skip
CERT_REVOKED = operator_row(
    "cert.revoked", "The certificate was revoked",
    "`perijove cert issue NAME` asks for a new one.",
)  # fmt: skip
LOCAL_CA_BROKEN = operator_row(
    "cert.local-ca-broken", "The embedded CA's files are damaged",
    "Restore them from a backup, or remove the folder: a new root is made, and has to be trusted anew.",
)  # fmt: skip
HOOK_FAILED = operator_row(
    "cert.renewed-hook-failed", "A command of on_renewed failed",
    "Run it by hand with the variables below.", Retry.BACKOFF,
)  # fmt: skip
