"""Can BinderHub call the hub? From its settings, the certificate at the hub's address, probes and logs. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.helm import binder
from perijove.doctor.cluster.log_lines import when
from perijove.doctor.cluster.telling import found, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import HttpProbe, SeenCertificate, Thing, TlsProbe, day
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

URL, LOCAL = "config.BinderHub.hub_url", "config.BinderHub.hub_url_local"
_PLACEHOLDER = re.compile(
    r"<|>|dummy|placeholder|changeme|your[-_]|x\.x\.x\.x|//(?:127\.0\.0\.1|0\.0\.0\.0|localhost)\b", re.I
)
_EXPIRED = re.compile(r"HTTP 599: SSL certificate problem: certificate has expired")
_UNTRUSTED = re.compile(
    r"HTTP 599: SSL certificate problem: (?:unable to get (?:local )?issuer certificate|self.signed certificate|"
    r"unable to verify)",
    re.IGNORECASE,
)
NO_USER = re.compile(r"Failed to create temporary user for|Error creating user \S+:")
_NOT_FOUND = re.compile(r"Error creating user \S+: HTTP 404")
_NO_SERVER = re.compile(r"Error starting server [^:]+:")
"""`Error starting server for user NAME: …`: binderhub main launcher.py, Launcher.launch."""
_CALLED = re.compile(r"Error accessing Hub API \(using ")
"""Told beside one of those by binderhub main launcher.py, Launcher.api_request, with the answer."""
HUB_API = "/hub/api"
BEFORE_ANY_POD = "Users cannot be created at the hub, which happens before any pod of theirs exists"
"""What `NO_USER` means: neither images, nor nodes, nor users' storage are to blame."""


def is_known(line: str) -> bool:
    """Whether a rule of this module knows it."""
    return any(one.search(line) for one in (_EXPIRED, _UNTRUSTED, _CALLED, NO_USER, _NO_SERVER, _NOT_FOUND))


def hub_url(cluster: Cluster) -> tuple[Thing, str, bool] | None:
    """The Secret with BinderHub's settings, the address at which it calls the hub, whether that is the local one."""
    told = cluster.settings()
    if told is None:
        return None
    secret, settings = told
    local = settings.get(LOCAL, "")
    return secret, local or settings.get(URL, ""), bool(local)


def settings_wrong(cluster: Cluster) -> Iterator[Finding]:
    """An address that cannot be meant."""
    told = hub_url(cluster)
    if told is None:
        return
    secret, url, local = told
    if url and _PLACEHOLDER.search(url):
        yield found(
            rows.HUB_URL_PLACEHOLDER, f"hub_url is {url}", secret.said, Confidence.LIKELY,
            seen(f"{secret.said} values.yaml {LOCAL if local else URL}", url),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """The https address at which BinderHub calls the hub, and what was seen of its certificate."""

    url: str
    local: bool
    host: str
    probe: TlsProbe | None
    leaf: SeenCertificate | None
    """What is served, else what a Secret holds for the host."""
    expired: Evidence | None
    untrusted: Evidence | None
    """BinderHub's own words in its log."""
    evidence: tuple[Evidence, ...]

    @property
    def about(self) -> tuple[str, ...]:
        logs = (one.where for one in (self.expired, self.untrusted) if one is not None)
        return (f"Host {self.host}", *logs)


def certificate_wrong(cluster: Cluster) -> Iterator[Finding]:
    """The certificate at the address is not one that BinderHub believes."""
    one = _address(cluster)
    if one is None:
        return
    over = one.leaf is not None and not one.leaf.problem and one.leaf.not_after < cluster.now
    measured = one.expired is not None or (one.probe is not None and "expired" in one.probe.verify)
    if measured or over:
        ago = f" since {span(cluster.now - one.leaf.not_after)}" if one.leaf is not None and over else ""
        yield found(
            rows.HUB_API_TLS_EXPIRED,
            f"BinderHub calls the hub at {one.url}, whose certificate has expired{ago}",
            f"https://{one.host}",
            Confidence.CERTAIN if measured else Confidence.LIKELY,
            *one.evidence,
            commands=_local(cluster, one.local),
            surer_with="" if measured else "probes.json with a handshake at hub_url, logs/binder.log, front/",
            about=one.about,
            since=one.leaf.not_after if one.leaf is not None and over else 0,
        )
    elif one.untrusted is not None or (one.probe is not None and _unbelieved(one.probe)):
        yield found(
            rows.HUB_API_TLS_UNTRUSTED,
            f"BinderHub calls the hub at {one.url}, and does not believe the certificate there",
            f"https://{one.host}",
            Confidence.CERTAIN if one.untrusted is not None else Confidence.LIKELY,
            *one.evidence,
            commands=("cat leaf.crt intermediate.crt > tls.crt   # the leaf first", *_local(cluster, one.local)),
            about=one.about,
        )


def _address(cluster: Cluster) -> Address | None:
    told = hub_url(cluster)
    expired, untrusted = _line(cluster, _EXPIRED), _line(cluster, _UNTRUSTED)
    secret, url, local = told if told is not None else (None, "", False)
    host = (urlsplit(url).hostname or "") if url.startswith("https://") else ""
    if secret is None:
        host = _host_of(expired or untrusted)
    if not host:
        return None
    probe = next((one for one in cluster.probes if isinstance(one, TlsProbe) and one.sni == host), None)
    if probe is None:
        cluster.missing[f"a handshake with {host}"] = "nobody recorded one"
    kept = _kept(cluster, host)
    served = cluster.recording.served.get(probe.leaf) if probe is not None else None
    evidence: list[Evidence] = []
    if secret is not None:
        name, unset = ("hub_url_local", "") if local else ("hub_url", " and hub_url_local is unset")
        evidence.append(seen(f"{secret.said} values.yaml config.BinderHub.{name}", f"{url} is https://{unset}"))
    evidence += [_lasts(cluster, kept)] if kept is not None else []
    if probe is not None:
        evidence.append(seen(f"probe TLS {probe.target} ({probe.address or host})", f"verify: {probe.verify}"))
    evidence += [_lasts(cluster, served)] if served is not None else []
    evidence += [one for one in (expired or untrusted,) if one is not None]
    # A handshake that was believed says more than a Secret that may not be served.
    leaf = served or (kept if probe is None else None)
    return Address(url or f"https://{host}", local, host, probe, leaf, expired, untrusted, tuple(evidence))


def _unbelieved(probe: TlsProbe) -> bool:
    words = probe.verify.lower()
    return any(
        one in words for one in ("issuer certificate", "self-signed", "self signed", "mismatch", "unable to verify")
    )


def _kept(cluster: Cluster, host: str) -> SeenCertificate | None:
    """The Secret's certificate for the host that lasts longest."""
    all_of = [one for secret in cluster.of("Secret") for one in secret.certificates if one.is_for(host)]
    return max(all_of, key=lambda one: one.not_after, default=None)


def _lasts(cluster: Cluster, one: SeenCertificate) -> Evidence:
    past = " < now" if one.not_after < cluster.now else ""
    return seen(one.where, f"leaf for {', '.join(one.names)}: notAfter {day(one.not_after)}{past} ({day(cluster.now)})")


def _local(cluster: Cluster, local: bool) -> tuple[str, ...]:
    """What restores launches at once: hub:8081 is closed to BinderHub by the hub's network policy, the proxy is not."""
    if local:
        return ()
    services = {one.name for one in cluster.of("Service")}
    inside = "http://proxy-http:8000" if "proxy-http" in services else "http://proxy-public"
    return (binder({"config.BinderHub.hub_url_local": inside}, "launches work at once"),)


def _line(cluster: Cluster, pattern: re.Pattern[str]) -> Evidence | None:
    """BinderHub's own words, the first that fit."""
    for log in cluster.logs("binder"):
        line = next(log.found(pattern), None)
        if line is not None:
            return seen(log.name, line)
    return None


def _host_of(evidence: Evidence | None) -> str:
    match = re.search(r"using https://([^/:\s)]+)", evidence.saw) if evidence is not None else None
    return match[1] if match is not None else ""


def path_wrong(cluster: Cluster) -> Iterator[Finding]:
    """The hub lies below a path that BinderHub's address of it lacks."""
    told = hub_url(cluster)
    inside = [one for one in cluster.probes if isinstance(one, HttpProbe) and HUB_API in urlsplit(one.url).path]
    well = [urlsplit(one.url).path.partition(HUB_API)[0] for one in inside if one.last.status == 200]
    gone = [one for one in inside if one.last.status == 404]
    missed = _line(cluster, _NOT_FOUND)
    if told is None or missed is None or not (well and gone):
        return
    secret, base = told[0], f"{max(well, key=len)}/"
    settings = {name: url for name in (URL, LOCAL) if (url := told[0].settings.get(name))}
    wrong = {name: url for name, url in settings.items() if urlsplit(url).path.rstrip("/") + "/" != base}
    if wrong and base != "/":
        looked = [seen(f"probe GET {one.url}", f"{one.last.status} {one.last.body}".strip()) for one in inside]
        right = {name: urlsplit(url)._replace(path=base).geturl() for name, url in wrong.items()}
        yield found(
            rows.HUB_URL_WRONG_PATH, f"The hub lies below {base}, and BinderHub calls {' and '.join(wrong.values())}",
            secret.said, Confidence.CERTAIN, missed, *looked,
            *(seen(f"{secret.said} values.yaml {name}", url) for name, url in wrong.items()),
            commands=(binder(right),), about=(secret, missed.where), since=when(missed.saw),
        )  # fmt: skip


def launches(cluster: Cluster) -> Iterator[Finding]:
    """That launches fail at all, as BinderHub tells it in its log."""
    line = _line(cluster, NO_USER)
    if line is not None:
        yield _launches_fail(cluster, f"{BEFORE_ANY_POD}{_answer(line.saw)}", line)
    line = _line(cluster, _NO_SERVER)
    if line is not None:
        cause = f"The hub makes users and starts no server of theirs{_answer(line.saw)}"
        yield _launches_fail(cluster, cause, line)


def health(cluster: Cluster) -> Iterator[Finding]:
    """The same by its health, as somebody asked for it."""
    asked = [one for one in cluster.probes if isinstance(one, HttpProbe) and urlsplit(one.url).path == "/health"]
    if not asked:
        cluster.missing["an answer of /health"] = "nobody recorded one"
    for probe in asked:
        if hub_ill(probe.last.body):
            told = seen(f"probe GET {probe.url}", f"{probe.last.status} {probe.last.body}")
            yield _launches_fail(cluster, BEFORE_ANY_POD, told, f"Host {urlsplit(probe.url).hostname}")


def _answer(line: str) -> str:
    match = re.search(r"HTTP [1-5]\d\d: [\w ]+", line)
    return f": the hub answers {match[0]}" if match is not None and "599" not in match[0] else ""


def _launches_fail(cluster: Cluster, cause: str, evidence: Evidence, *more: str) -> Finding:
    binders = [one for one in cluster.pods if pods.component(one) == "binder"]
    return found(
        rows.LAUNCHES_FAIL, cause, "launches", Confidence.CERTAIN, evidence,
        about=(*binders, *(one.name for one in cluster.logs("binder")), *more), since=when(evidence.saw),
    )  # fmt: skip


def hub_ill(body: str) -> bool:
    """Whether BinderHub's /health says that it cannot call the hub."""
    try:
        checks = json.loads(body).get("checks", [])
        return any(one.get("service") == "JupyterHub API" and one.get("ok") is False for one in checks)
    except (ValueError, AttributeError):
        return False
