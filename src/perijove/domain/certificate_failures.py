"""What can go wrong on the way to a certificate: the catalogue's rows `cert.*`. Pure."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

# what DNS says
DNS_NO_SUCH_NAME = row(
    "cert.dns-no-such-name", "This name does not exist in DNS",
    Owner.OPERATOR, Retry.BACKOFF,
    "Create an A or AAAA record for it that leads to this machine.",
)  # fmt: skip
DNS_NO_ADDRESS = row(
    "cert.dns-no-address", "This name has no address in DNS",
    Owner.OPERATOR, Retry.BACKOFF,
    "Add an A or AAAA record that leads to this machine.",
)  # fmt: skip
DNS_SERVER_FAILURE = row(
    "cert.dns-server-failure", "This name's DNS servers fail",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the zone: a DNSSEC signature that expired, or a server that lost the zone, answers like this.",
)  # fmt: skip
DNS_NO_ANSWER = row(
    "cert.dns-no-answer", "No DNS server answered",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the name servers in /etc/resolv.conf, and at the firewall's rule for port 53.",
)  # fmt: skip
DNS_WRONG_ADDRESS = row(
    "cert.dns-wrong-address", "This name leads to another machine",
    Owner.OPERATOR, Retry.BACKOFF,
    "Change the name's A or AAAA record to this machine's address.",
)  # fmt: skip
IPV6_BROKEN = row(
    "cert.ipv6-broken", "The IPv6 address does not lead here, the IPv4 address does",
    Owner.OPERATOR, Retry.BACKOFF,
    "Remove the AAAA record, or have IPv6 lead to this machine: CAs try it first.",
)  # fmt: skip
CAA_FORBIDS = row(
    "cert.caa-forbids", "A CAA record forbids this CA",
    Owner.OPERATOR, Retry.BACKOFF,
    'Add a CAA record that names your CA (`0 issue "letsencrypt.org"`), or remove the one that forbids it.',
)  # fmt: skip

# what port 80 says
PORT_REFUSED = row(
    "cert.port-refused", "Nothing listens on port 80",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have port 80 of this address lead to Perijove; it answers nothing there but the challenge and a redirect.",
)  # fmt: skip
PORT_FILTERED = row(
    "cert.port-filtered", "A firewall swallows port 80",
    Owner.OPERATOR, Retry.BACKOFF,
    "Open port 80 for everybody: CAs look from addresses they do not tell.",
)  # fmt: skip

# what the web says on the way to the challenge
NOT_FORWARDED = row(
    "cert.not-forwarded", "Another web server answers instead of Perijove",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have that server pass `/.well-known/acme-challenge/` on to Perijove.",
)  # fmt: skip
REDIRECT_NOT_FORWARDED = row(
    "cert.redirect-not-forwarded", "Port 80 is redirected, and Perijove is never asked",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have the server on port 80 pass `/.well-known/acme-challenge/` on to Perijove before it redirects all else.",
)  # fmt: skip
REDIRECT_REFUSED = row(
    "cert.redirect-refused", "Port 80 is redirected to a port that does not answer",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have the server on port 80 pass `/.well-known/acme-challenge/` on to Perijove before it redirects all else.",
)  # fmt: skip
REDIRECT_LOOP = row(
    "cert.redirect-loop", "The challenge's address is redirected in a circle",
    Owner.OPERATOR, Retry.BACKOFF,
    "Take `/.well-known/acme-challenge/` out of that redirect.",
)  # fmt: skip
REDIRECT_UNRESOLVED = row(
    "cert.redirect-unresolved", "The redirect leads to a name that does not exist",
    Owner.OPERATOR, Retry.BACKOFF,
    "Take `/.well-known/acme-challenge/` out of that redirect, or create the name.",
)  # fmt: skip
REDIRECT_ELSEWHERE = row(
    "cert.redirect-elsewhere", "The challenge's address is redirected to another site",
    Owner.OPERATOR, Retry.BACKOFF,
    "Take `/.well-known/acme-challenge/` out of that redirect.",
)  # fmt: skip
REDIRECT_BAD_PORT = row(
    "cert.redirect-bad-port", "The redirect leads to a port that CAs do not follow to",
    Owner.OPERATOR, Retry.BACKOFF,
    "CAs follow to ports 80 and 443 alone: take `/.well-known/acme-challenge/` out of that redirect.",
)  # fmt: skip
LOGIN_REDIRECT = row(
    "cert.login-redirect", "The challenge's address is redirected to a login",
    Owner.OPERATOR, Retry.BACKOFF,
    "Let `/.well-known/acme-challenge/` pass without a login.",
)  # fmt: skip
LOGIN_PAGE = row(
    "cert.login-page", "A login page answers instead of Perijove",
    Owner.OPERATOR, Retry.BACKOFF,
    "Let `/.well-known/acme-challenge/` pass to Perijove without a login.",
)  # fmt: skip
PASSWORD_ASKED = row(
    "cert.password-asked", "The web server in front asks for a password",
    Owner.OPERATOR, Retry.BACKOFF,
    "Let `/.well-known/acme-challenge/` pass to Perijove without a password.",
)  # fmt: skip
OTHER_SITE = row(
    "cert.other-site", "Another site answers under this name",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have the web server choose the right site for this name, and pass `/.well-known/acme-challenge/` on to Perijove.",
)  # fmt: skip
UPSTREAM_DOWN = row(
    "cert.upstream-down", "The web server in front cannot reach Perijove",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have it pass requests to the address and port on which Perijove listens.",
)  # fmt: skip
TLS_ON_PORT_80 = row(
    "cert.tls-on-port-80", "A port that expects TLS answers on port 80",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have port 80 lead to Perijove's http port, not to an https one.",
)  # fmt: skip
OTHER_ACCOUNT = row(
    "cert.other-account", "Another ACME client answers the challenge",
    Owner.OPERATOR, Retry.BACKOFF,
    "Remove that client's answer for `/.well-known/acme-challenge/`, and pass the path on to Perijove.",
)  # fmt: skip
UNEXPECTED_ANSWER = row(
    "cert.unexpected-answer", "The challenge's address answers something unexpected",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have whatever answers there pass `/.well-known/acme-challenge/` on to Perijove unchanged.",
)  # fmt: skip
CLOCK_WRONG = row(
    "cert.clock-wrong", "This machine's clock is wrong",
    Owner.OPERATOR, Retry.BACKOFF,
    "Set the clock and keep it set: `timedatectl set-ntp true`.",
)  # fmt: skip

# what visitors meet meanwhile
HTTPS_PENDING = row(
    "cert.https-pending", "HTTPS is on its way",
    Owner.OPERATOR, Retry.AFTER,
    "Come back in a moment: the certificate is being got.",
)  # fmt: skip

# what the CA says
ACME_UNREACHABLE = row(
    "cert.acme-unreachable", "The CA cannot be reached",
    Owner.UPSTREAM, Retry.BACKOFF,
    "Look at this machine's DNS, proxy and firewall: it must reach the CA by https.",
)  # fmt: skip
ACME_UNTRUSTED = row(
    "cert.acme-untrusted", "The CA's own certificate is not trusted",
    Owner.OPERATOR, Retry.BACKOFF,
    "Name the file with its roots in the issuer's `ca_file` (--acme-ca).",
)  # fmt: skip
ACME_NOT_ACME = row(
    "cert.acme-not-acme", "What answers at the CA's address is no ACME server",
    Owner.OPERATOR, Retry.BACKOFF,
    "Check the issuer's `directory`; a portal or a proxy may answer in its place.",
)  # fmt: skip
ACME_UNAVAILABLE = row(
    "cert.acme-unavailable", "The CA is down for a while",
    Owner.UPSTREAM, Retry.AFTER,
    "It is asked again by itself; its status page says more.",
)  # fmt: skip
ACME_RATE_LIMITED = row(
    "cert.rate-limited", "The CA's rate limit is reached",
    Owner.UPSTREAM, Retry.AFTER,
    "It is asked again by itself as soon as the CA allows.",
)  # fmt: skip
ACME_BAD_NONCE = row(
    "cert.bad-nonce", "The CA refuses every nonce",
    Owner.UPSTREAM, Retry.BACKOFF,
    "Something between here and the CA keeps or repeats answers; look at proxies.",
)  # fmt: skip
ACME_EAB_REQUIRED = row(
    "cert.eab-required", "The CA wants an external account binding",
    Owner.OPERATOR, Retry.NEVER,
    "Set the issuer's `eab_kid` and `eab_key_file` as the CA's site gives them.",
)  # fmt: skip
ACME_ACCOUNT_REFUSED = row(
    "cert.account-refused", "The CA refuses the account",
    Owner.OPERATOR, Retry.NEVER,
    "Read the CA's words below; an email address may be wrong, or the account was closed.",
)  # fmt: skip
ACME_TERMS_CHANGED = row(
    "cert.terms-changed", "The CA wants its new terms to be agreed to",
    Owner.OPERATOR, Retry.NEVER,
    "Open the address below and agree.",
)  # fmt: skip
NAME_REJECTED = row(
    "cert.name-rejected", "The CA does not issue for this name",
    Owner.OPERATOR, Retry.NEVER,
    "Use a public name, or another issuer: `local` for names of this machine, your own CA for private ones.",
)  # fmt: skip
PROFILE_UNKNOWN = row(
    "cert.profile-unknown", "The CA does not have this profile",
    Owner.OPERATOR, Retry.NEVER,
    "Use one of those it names below, or none.",
)  # fmt: skip
VALIDATION_FAILED = row(
    "cert.validation-failed", "The CA did not see the answer",
    Owner.OPERATOR, Retry.BACKOFF,
    "Read what it saw below; where it differs from what this machine sees, look at NAT, split DNS and CDNs.",
)  # fmt: skip
ORDER_INVALID = row(
    "cert.order-invalid", "The CA ended the order",
    Owner.UPSTREAM, Retry.BACKOFF,
    "A new order is placed by itself; read the CA's words below.",
)  # fmt: skip
ORDER_LOST = row(
    "cert.order-lost", "The CA does not know the order any more",
    Owner.UPSTREAM, Retry.BACKOFF,
    "A new order is placed by itself.",
)  # fmt: skip
CA_SLOW = row(
    "cert.ca-slow", "The CA takes long",
    Owner.UPSTREAM, Retry.BACKOFF,
    "The same order is looked at again by itself; the CA's status page says more.",
)  # fmt: skip
ACME_ERROR = row(
    "cert.acme-error", "The CA refuses",
    Owner.UPSTREAM, Retry.BACKOFF,
    "Read its words below.",
)  # fmt: skip
BUDGET_SPENT = row(
    "cert.budget-spent", "Enough failed validations for this hour",
    Owner.OPERATOR, Retry.AFTER,
    "Look at the last one; `--force` asks all the same, and may use up what the CA allows.",
)  # fmt: skip
NO_CHALLENGE = row(
    "cert.no-challenge", "No way to show the CA that this name is ours",
    Owner.OPERATOR, Retry.NEVER,
    "Open port 80 or 443 to it, or set `certificates.dns` for DNS-01.",
)  # fmt: skip

# dns-01
DNS_UPDATE_REFUSED = row(
    "cert.dns-update-refused", "The DNS server refuses the update",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the key and at the zone's update policy.",
)  # fmt: skip
DNS_PROVIDER_FAILED = row(
    "cert.dns-provider-failed", "The DNS provider refuses the update",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the provider's credentials.",
)  # fmt: skip
DNS_HOOK_FAILED = row(
    "cert.dns-hook-failed", "The DNS hook failed",
    Owner.OPERATOR, Retry.BACKOFF,
    "Run it by hand with the variables below.",
)  # fmt: skip
DNS_NOT_VISIBLE = row(
    "cert.dns-not-visible", "The DNS record does not appear",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look whether all of the zone's servers get the update; secondaries may lag.",
)  # fmt: skip
DNS_PERSIST = row(
    "cert.dns-persist-record", "The DNS record that stays does not show the CA that this name is ours",
    Owner.OPERATOR, Retry.BACKOFF,
    "Have the record entered that `perijove describe certificate NAME` shows.",
)  # fmt: skip

# secrets
CHAIN_BROKEN = row(
    "cert.chain-broken", "The chain does not lead from the certificate to its issuer",
    Owner.OPERATOR, Retry.NEVER,
    "Give the certificate first, then each issuer's in order, up to the root's or without it.",
)  # fmt: skip
KEY_MISMATCH = row(
    "cert.key-mismatch", "The private key is not the certificate's",
    Owner.OPERATOR, Retry.NEVER,
    "Give the key that the certificate was ordered with.",
)  # fmt: skip
NAMES_MISSING = row(
    "cert.names-missing", "The certificate is not for this name",
    Owner.OPERATOR, Retry.NEVER,
    "Give one whose names hold it.",
)  # fmt: skip
NOT_VALID_NOW = row(
    "cert.not-valid-now", "The certificate is not valid now",
    Owner.OPERATOR, Retry.NEVER,
    "Give one that is; where it should be valid, look at this machine's clock.",
)  # fmt: skip
FILE_FORM = row(
    "cert.file-form", "A certificate's file has another form than PEM",
    Owner.OPERATOR, Retry.BACKOFF,
    "Give the certificate and then its chain in PEM, and the key in PEM without a password.",
)  # fmt: skip
FILE_UNREADABLE = row(
    "cert.file-unreadable", "A certificate's file cannot be read",
    Owner.OPERATOR, Retry.BACKOFF,
    "Give the service's user the right to read it.",
)  # fmt: skip
NOT_SERVED = row(
    "cert.not-served", "The new certificate is not what the port serves",
    Owner.OPERATOR, Retry.BACKOFF,
    "Read what was served below; another program may hold the port. The old certificate stays.",
)  # fmt: skip
CERT_REVOKED = row(
    "cert.revoked", "The certificate was revoked",
    Owner.OPERATOR, Retry.NEVER,
    "`perijove cert issue NAME` asks for a new one.",
)  # fmt: skip
LOCAL_CA_BROKEN = row(
    "cert.local-ca-broken", "The embedded CA's files are damaged",
    Owner.OPERATOR, Retry.NEVER,
    "Restore them from a backup, or remove the folder: a new root is made, and has to be trusted anew.",
)  # fmt: skip
HOOK_FAILED = row(
    "cert.renewed-hook-failed", "A command of on_renewed failed",
    Owner.OPERATOR, Retry.BACKOFF,
    "Run it by hand with the variables below.",
)  # fmt: skip
