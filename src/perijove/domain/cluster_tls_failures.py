"""The rows of the catalogue for certificates in a cluster: cert-manager's objects, Secrets, autohttps. Pure."""

from __future__ import annotations

from perijove.domain.failures import Owner, Retry, row

# certificates
FAKE_CERTIFICATE = row(
    "cluster.fake-certificate", "Browsers are shown the ingress controller's own certificate",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what explains it.",
)  # fmt: skip
CERTIFICATE_EXPIRED = row(
    "cluster.certificate-expired", "A certificate has expired",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what keeps it from being renewed.",
)  # fmt: skip
CERTIFICATE_NOT_RENEWED = row(
    "cluster.certificate-not-renewed", "A certificate should have been renewed and was not",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what keeps it from being renewed, before it ends.",
)  # fmt: skip
CERTIFICATE_NOT_ISSUED = row(
    "cluster.certificate-not-issued", "A certificate is not issued",
    Owner.OPERATOR, Retry.BACKOFF,
    "Walk down: `kubectl describe certificate`, certificaterequest, order, challenge.",
)  # fmt: skip
CERTIFICATE_NOT_FOR_HOST = row(
    "cluster.certificate-not-for-host", "A certificate is for other names",
    Owner.OPERATOR, Retry.NEVER,
    "Have the Secret hold a certificate for the Ingress's host.",
)  # fmt: skip
SECRET_IN_OTHER_NAMESPACE = row(
    "cluster.secret-in-other-namespace", "The certificate's Secret is in another namespace",
    Owner.OPERATOR, Retry.NEVER,
    "Copy it to the Ingress's namespace.",
)  # fmt: skip
SECRET_BROKEN = row(
    "cluster.secret-broken", "A certificate's Secret cannot be read",
    Owner.OPERATOR, Retry.NEVER,
    "Put whole PEM into tls.crt: the leaf first, then its issuers.",
)  # fmt: skip
# issuers
ISSUER_NOT_FOUND = row(
    "cluster.issuer-not-found", "The issuer that a certificate names does not exist",
    Owner.OPERATOR, Retry.NEVER,
    "Name one that exists, in the kind that it has.",
)  # fmt: skip
ANNOTATION_SAYS_ISSUER_OBJECT_IS_CLUSTERISSUER = row(
    "cluster.annotation-says-issuer-object-is-clusterissuer",
    "The Ingress asks for an Issuer, and what exists is a ClusterIssuer",
    Owner.OPERATOR, Retry.NEVER,
    "Write the annotation as cert-manager.io/cluster-issuer.",
)  # fmt: skip
ANNOTATION_SAYS_CLUSTERISSUER_OBJECT_IS_ISSUER = row(
    "cluster.annotation-says-clusterissuer-object-is-issuer",
    "The Ingress asks for a ClusterIssuer, and what exists is an Issuer",
    Owner.OPERATOR, Retry.NEVER,
    "Write the annotation as cert-manager.io/issuer.",
)  # fmt: skip
ISSUER_IN_OTHER_NAMESPACE = row(
    "cluster.issuer-in-other-namespace", "The issuer is in another namespace",
    Owner.OPERATOR, Retry.NEVER,
    "Make it a ClusterIssuer, or have one in the certificate's namespace.",
)  # fmt: skip
ISSUER_NOT_READY = row(
    "cluster.issuer-not-ready", "An issuer is not ready",
    Owner.OPERATOR, Retry.BACKOFF,
    "Read its condition, and put that right.",
)  # fmt: skip
CERT_MANAGER_DOWN = row(
    "cluster.cert-manager-down", "cert-manager does not run",
    Owner.OPERATOR, Retry.NEVER,
    "Have its controller run again: without it nothing is issued and nothing renewed.",
)  # fmt: skip
CERT_MANAGER_WEBHOOK_BROKEN = row(
    "cluster.cert-manager-webhook-broken", "cert-manager's webhook does not answer as it should",
    Owner.OPERATOR, Retry.NEVER,
    "Bring back what stands behind its Service; or install cert-manager anew in the namespace that it was made for.",
)  # fmt: skip
LEGACY_CERT_MANAGER = row(
    "cluster.legacy-cert-manager", "Objects of a cert-manager before 0.11 are left",
    Owner.OPERATOR, Retry.NEVER,
    "Convert them: `perijove convert issuer FILE`.",
)  # fmt: skip
# orders and challenges
ORDER_RATE_LIMITED = row(
    "cluster.acme-rate-limited", "The CA's rate limit is reached",
    Owner.UPSTREAM, Retry.AFTER,
    "Wait until the time it names.",
)  # fmt: skip
DUPLICATE_CERTIFICATE_LIMIT = row(
    "cluster.duplicate-certificate-limit", "The same certificate was asked for too often this week",
    Owner.OPERATOR, Retry.AFTER,
    "Restore the Secret from a backup, ask for another set of names, or wait.",
)  # fmt: skip
FAILED_AUTHORIZATIONS_LIMIT = row(
    "cluster.failed-authorizations-limit", "Too many challenges failed lately",
    Owner.OPERATOR, Retry.AFTER,
    "Put right why they fail, then wait an hour.",
)  # fmt: skip
ACME_HTTP01_SELFCHECK_404 = row(
    "cluster.acme-http01-selfcheck-404", "The challenge's answer is not found where the CA will look",
    Owner.OPERATOR, Retry.NEVER,
    "Put right what explains it; cert-manager looks again by itself.",
)  # fmt: skip
ACME_HTTP01_SELFCHECK_403 = row(
    "cluster.acme-http01-selfcheck-403", "The challenge's answer is forbidden",
    Owner.OPERATOR, Retry.NEVER,
    "Let /.well-known/acme-challenge/ through without a login or a filter.",
)  # fmt: skip
ACME_HTTP01_SELFCHECK_503 = row(
    "cluster.acme-http01-selfcheck-503", "The challenge's solver does not answer",
    Owner.OPERATOR, Retry.BACKOFF,
    "Look at the solver's pod and Service.",
)  # fmt: skip
ACME_HTTP01_SELFCHECK_FAILED = row(
    "cluster.acme-http01-selfcheck-failed", "The challenge's answer is not right where the CA will look",
    Owner.OPERATOR, Retry.BACKOFF,
    "Open the URL that the evidence names, from inside and from outside.",
)  # fmt: skip
ACME_HTTP01_SELFCHECK_UNREACHABLE = row(
    "cluster.acme-http01-selfcheck-unreachable", "The public address cannot be reached from inside the cluster",
    Owner.OPERATOR, Retry.NEVER,
    "Resolve the public name to the ingress inside the cluster, or have hairpin NAT.",
)  # fmt: skip
ACME_CHALLENGE_UNREACHABLE = row(
    "cluster.acme-challenge-unreachable", "The CA cannot reach the challenge",
    Owner.OPERATOR, Retry.NEVER,
    "Let port 80 in, from everywhere.",
)  # fmt: skip
ACME_CHALLENGE_WRONG = row(
    "cluster.acme-challenge-wrong", "The CA was given a wrong answer to the challenge",
    Owner.OPERATOR, Retry.NEVER,
    "Open the URL that the evidence names, from outside.",
)  # fmt: skip
ACME_NAME_UNRESOLVED = row(
    "cluster.acme-name-unresolved", "A certificate's name does not resolve",
    Owner.OPERATOR, Retry.NEVER,
    "Make its A record, and its AAAA record only where the site answers there.",
)  # fmt: skip
ACME_DNS01_UNSEEN = row(
    "cluster.acme-dns01-unseen", "The DNS record of a challenge is not seen where the zone is served",
    Owner.OPERATOR, Retry.NEVER,
    "Look whether the record stands at the zone's own name servers, and whether its parent names the same ones.",
)  # fmt: skip
ACME_CAA = row(
    "cluster.acme-caa", "The CA may not issue by what it learned of CAA records",
    Owner.OPERATOR, Retry.NEVER,
    "Allow the CA in the CAA record, or repair the name servers.",
)  # fmt: skip
ACME_NAME_REFUSED = row(
    "cluster.acme-name-refused", "The CA does not issue for this name",
    Owner.OPERATOR, Retry.NEVER,
    "Use a public name, or a CA of your own.",
)  # fmt: skip
PATHTYPE_EXACT_REFUSED = row(
    "cluster.pathtype-exact-refused", "The ingress controller's webhook refuses the solver's Ingress",
    Owner.OPERATOR, Retry.NEVER,
    "Set cert-manager's feature gate ACMEHTTP01IngressPathTypeExact=false.",
)  # fmt: skip
CHALLENGE_NOT_PRESENTED = row(
    "cluster.challenge-not-presented", "cert-manager cannot set the challenge's answer up",
    Owner.OPERATOR, Retry.BACKOFF,
    "Put right what its words say.",
)  # fmt: skip
CHALLENGE_STUCK_DELETING = row(
    "cluster.challenge-stuck-deleting", "A challenge cannot be deleted",
    Owner.OPERATOR, Retry.NEVER,
    "Empty its metadata.finalizers.",
)  # fmt: skip
AUTOHTTPS_NO_CERTIFICATE = row(
    "cluster.autohttps-no-certificate", "autohttps has no certificate",
    Owner.OPERATOR, Retry.NEVER,
    "Once the name leads here and the challenge is answered, delete the autohttps pod: it does not try again "
    "by itself.",
)  # fmt: skip
TWO_TLS_OWNERS = row(
    "cluster.two-tls-owners", "Two parts want a certificate for the same host",
    Owner.OPERATOR, Retry.NEVER,
    "Switch one of them off: proxy.https, or the Ingress's TLS.",
)  # fmt: skip
AUTOHTTPS_HOSTS_NO_LIST = row(
    "cluster.autohttps-hosts-no-list", "proxy.https.hosts is a text where a list belongs",
    Owner.OPERATOR, Retry.NEVER,
    "Write it as a list.",
)  # fmt: skip
CHALLENGE_FORBIDDEN = row(
    "cluster.challenge-forbidden", "cert-manager may not set up the answer to challenges",
    Owner.OPERATOR, Retry.NEVER,
    "Give cert-manager's controller the right that is named.",
)  # fmt: skip
NETWORK_POLICY_BLOCKS_SOLVER = row(
    "cluster.network-policy-blocks-solver", "Network policies keep the ingress controller from the challenge's solver",
    Owner.OPERATOR, Retry.NEVER,
    "Let the controller reach solvers.",
)  # fmt: skip
SOLVER_OF_OTHER_CLASS = row(
    "cluster.solver-of-other-class", "The challenge is answered by another ingress controller than the site",
    Owner.OPERATOR, Retry.NEVER,
    "Name the site's class in the issuer's solver.",
)  # fmt: skip
ACME_IPV6_ELSEWHERE = row(
    "cluster.acme-ipv6-elsewhere", "The CA comes by IPv6, and nothing of this cluster has that address",
    Owner.OPERATOR, Retry.NEVER,
    "Remove the AAAA record, or have it lead to the ingress: a CA takes IPv6 where there is one.",
)  # fmt: skip
DNS_CREDENTIALS_REFUSED = row(
    "cluster.dns-credentials-refused", "The DNS provider refuses cert-manager's credentials",
    Owner.OPERATOR, Retry.NEVER,
    "Put credentials that may write the zone into the Secret that the solver names.",
)  # fmt: skip
ISSUER_SECRET_MISSING = row(
    "cluster.issuer-secret-missing", "An issuer's Secret is not where cert-manager looks for it",
    Owner.OPERATOR, Retry.NEVER,
    "A ClusterIssuer's Secrets lie in cert-manager's own namespace, an Issuer's beside it.",
)  # fmt: skip
