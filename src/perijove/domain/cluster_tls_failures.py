"""The rows of the catalogue for certificates in a cluster: cert-manager's objects, Secrets, autohttps. Pure."""

from __future__ import annotations

from perijove.domain.failures import Retry, operator_row, upstream_row

# certificates
FAKE_CERTIFICATE = operator_row(
    "cluster.fake-certificate", "Browsers are shown the ingress controller's own certificate",
    "Put right what explains it.",
)  # fmt: skip
CERTIFICATE_EXPIRED = operator_row(
    "cluster.certificate-expired", "A certificate has expired",
    "Put right what keeps it from being renewed.",
)  # fmt: skip
CERTIFICATE_NOT_RENEWED = operator_row(
    "cluster.certificate-not-renewed", "A certificate should have been renewed and was not",
    "Put right what keeps it from being renewed, before it ends.",
)  # fmt: skip
CERTIFICATE_NOT_ISSUED = operator_row(
    "cluster.certificate-not-issued", "A certificate is not issued",
    "Walk down: `kubectl describe certificate`, certificaterequest, order, challenge.", Retry.BACKOFF,
)  # fmt: skip
CERTIFICATE_NOT_FOR_HOST = operator_row(
    "cluster.certificate-not-for-host", "A certificate is for other names",
    "Have the Secret hold a certificate for the Ingress's host.",
)  # fmt: skip
SECRET_IN_OTHER_NAMESPACE = operator_row(
    "cluster.secret-in-other-namespace", "The certificate's Secret is in another namespace",
    "Copy it to the Ingress's namespace.",
)  # fmt: skip
SECRET_BROKEN = operator_row(
    "cluster.secret-broken", "A certificate's Secret cannot be read",
    "Put whole PEM into tls.crt: the leaf first, then its issuers.",
)  # fmt: skip
# issuers
ISSUER_NOT_FOUND = operator_row(
    "cluster.issuer-not-found", "The issuer that a certificate names does not exist",
    "Name one that exists, in the kind that it has.",
)  # fmt: skip
ANNOTATION_SAYS_ISSUER_OBJECT_IS_CLUSTERISSUER = operator_row(
    "cluster.annotation-says-issuer-object-is-clusterissuer",
    "The Ingress asks for an Issuer, and what exists is a ClusterIssuer",
    "Write the annotation as cert-manager.io/cluster-issuer.",
)  # fmt: skip
ANNOTATION_SAYS_CLUSTERISSUER_OBJECT_IS_ISSUER = operator_row(
    "cluster.annotation-says-clusterissuer-object-is-issuer",
    "The Ingress asks for a ClusterIssuer, and what exists is an Issuer",
    "Write the annotation as cert-manager.io/issuer.",
)  # fmt: skip
ISSUER_IN_OTHER_NAMESPACE = operator_row(
    "cluster.issuer-in-other-namespace", "The issuer is in another namespace",
    "Make it a ClusterIssuer, or have one in the certificate's namespace.",
)  # fmt: skip
ISSUER_NOT_READY = operator_row(
    "cluster.issuer-not-ready", "An issuer is not ready",
    "Read its condition, and put that right.", Retry.BACKOFF,
)  # fmt: skip
CERT_MANAGER_DOWN = operator_row(
    "cluster.cert-manager-down", "cert-manager does not run",
    "Have its controller run again: without it nothing is issued and nothing renewed.",
)  # fmt: skip
CERT_MANAGER_WEBHOOK_BROKEN = operator_row(
    "cluster.cert-manager-webhook-broken", "cert-manager's webhook does not answer as it should",
    "Bring back what stands behind its Service; or install cert-manager anew in the namespace that it was made for.",
)  # fmt: skip
LEGACY_CERT_MANAGER = operator_row(
    "cluster.legacy-cert-manager", "Objects of a cert-manager before 0.11 are left",
    "Convert them: `perijove convert issuer FILE`.",
)  # fmt: skip
# orders and challenges
ORDER_RATE_LIMITED = upstream_row(
    "cluster.acme-rate-limited", "The CA's rate limit is reached",
    "Wait until the time it names.", Retry.AFTER,
)  # fmt: skip
DUPLICATE_CERTIFICATE_LIMIT = operator_row(
    "cluster.duplicate-certificate-limit", "The same certificate was asked for too often this week",
    "Restore the Secret from a backup, ask for another set of names, or wait.", Retry.AFTER,
)  # fmt: skip
FAILED_AUTHORIZATIONS_LIMIT = operator_row(
    "cluster.failed-authorizations-limit", "Too many challenges failed lately",
    "Put right why they fail, then wait an hour.", Retry.AFTER,
)  # fmt: skip
ACME_HTTP01_SELFCHECK_404 = operator_row(
    "cluster.acme-http01-selfcheck-404", "The challenge's answer is not found where the CA will look",
    "Put right what explains it; cert-manager looks again by itself.",
)  # fmt: skip
ACME_HTTP01_SELFCHECK_403 = operator_row(
    "cluster.acme-http01-selfcheck-403", "The challenge's answer is forbidden",
    "Let /.well-known/acme-challenge/ through without a login or a filter.",
)  # fmt: skip
ACME_HTTP01_SELFCHECK_503 = operator_row(
    "cluster.acme-http01-selfcheck-503", "The challenge's solver does not answer",
    "Look at the solver's pod and Service.", Retry.BACKOFF,
)  # fmt: skip
ACME_HTTP01_SELFCHECK_FAILED = operator_row(
    "cluster.acme-http01-selfcheck-failed", "The challenge's answer is not right where the CA will look",
    "Open the URL that the evidence names, from inside and from outside.", Retry.BACKOFF,
)  # fmt: skip
ACME_HTTP01_SELFCHECK_UNREACHABLE = operator_row(
    "cluster.acme-http01-selfcheck-unreachable", "The public address cannot be reached from inside the cluster",
    "Resolve the public name to the ingress inside the cluster, or have hairpin NAT.",
)  # fmt: skip
ACME_CHALLENGE_UNREACHABLE = operator_row(
    "cluster.acme-challenge-unreachable", "The CA cannot reach the challenge",
    "Let port 80 in, from everywhere.",
)  # fmt: skip
ACME_CHALLENGE_WRONG = operator_row(
    "cluster.acme-challenge-wrong", "The CA was given a wrong answer to the challenge",
    "Open the URL that the evidence names, from outside.",
)  # fmt: skip
ACME_NAME_UNRESOLVED = operator_row(
    "cluster.acme-name-unresolved", "A certificate's name does not resolve",
    "Make its A record, and its AAAA record only where the site answers there.",
)  # fmt: skip
ACME_DNS01_UNSEEN = operator_row(
    "cluster.acme-dns01-unseen", "The DNS record of a challenge is not seen where the zone is served",
    "Look whether the record stands at the zone's own name servers, and whether its parent names the same ones.",
)  # fmt: skip
ACME_CAA = operator_row(
    "cluster.acme-caa", "The CA may not issue by what it learned of CAA records",
    "Allow the CA in the CAA record, or repair the name servers.",
)  # fmt: skip
ACME_NAME_REFUSED = operator_row(
    "cluster.acme-name-refused", "The CA does not issue for this name",
    "Use a public name, or a CA of your own.",
)  # fmt: skip
PATHTYPE_EXACT_REFUSED = operator_row(
    "cluster.pathtype-exact-refused", "The ingress controller's webhook refuses the solver's Ingress",
    "Set cert-manager's feature gate ACMEHTTP01IngressPathTypeExact=false.",
)  # fmt: skip
CHALLENGE_NOT_PRESENTED = operator_row(
    "cluster.challenge-not-presented", "cert-manager cannot set the challenge's answer up",
    "Put right what its words say.", Retry.BACKOFF,
)  # fmt: skip
CHALLENGE_STUCK_DELETING = operator_row(
    "cluster.challenge-stuck-deleting", "A challenge cannot be deleted",
    "Empty its metadata.finalizers.",
)  # fmt: skip
AUTOHTTPS_NO_CERTIFICATE = operator_row(
    "cluster.autohttps-no-certificate", "autohttps has no certificate",
    "Once the name leads here and the challenge is answered, delete the autohttps pod: it does not try again "
    "by itself.",
)  # fmt: skip
TWO_TLS_OWNERS = operator_row(
    "cluster.two-tls-owners", "Two parts want a certificate for the same host",
    "Switch one of them off: proxy.https, or the Ingress's TLS.",
)  # fmt: skip
AUTOHTTPS_HOSTS_NO_LIST = operator_row(
    "cluster.autohttps-hosts-no-list", "proxy.https.hosts is a text where a list belongs",
    "Write it as a list.",
)  # fmt: skip
CHALLENGE_FORBIDDEN = operator_row(
    "cluster.challenge-forbidden", "cert-manager may not set up the answer to challenges",
    "Give cert-manager's controller the right that is named.",
)  # fmt: skip
NETWORK_POLICY_BLOCKS_SOLVER = operator_row(
    "cluster.network-policy-blocks-solver", "Network policies keep the ingress controller from the challenge's solver",
    "Let the controller reach solvers.",
)  # fmt: skip
SOLVER_OF_OTHER_CLASS = operator_row(
    "cluster.solver-of-other-class", "The challenge is answered by another ingress controller than the site",
    "Name the site's class in the issuer's solver.",
)  # fmt: skip
ACME_IPV6_ELSEWHERE = operator_row(
    "cluster.acme-ipv6-elsewhere", "The CA comes by IPv6, and nothing of this cluster has that address",
    "Remove the AAAA record, or have it lead to the ingress: a CA takes IPv6 where there is one.",
)  # fmt: skip
DNS_CREDENTIALS_REFUSED = operator_row(
    "cluster.dns-credentials-refused", "The DNS provider refuses cert-manager's credentials",
    "Put credentials that may write the zone into the Secret that the solver names.",
)  # fmt: skip
ISSUER_SECRET_MISSING = operator_row(
    "cluster.issuer-secret-missing", "An issuer's Secret is not where cert-manager looks for it",
    "A ClusterIssuer's Secrets lie in cert-manager's own namespace, an Issuer's beside it.",
)  # fmt: skip
