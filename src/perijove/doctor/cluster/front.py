"""Does the challenge for a host get through what stands in front? In: probes and a configuration. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.cluster.view import Cluster
from perijove.doctor.front.requests import (
    CHALLENGE,
    CHALLENGED,
    Files,
    Hop,
    NotListening,
    Passes,
    PassesTcp,
    Redirects,
    Request,
    Responds,
)
from perijove.doctor.front.servers import Front, front_of
from perijove.doctor.front.trace import trace
from perijove.domain.certificates import is_address
from perijove.domain.cluster import DnsProbe, HttpProbe, TlsProbe
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding
from perijove.domain.front_failures import ACME_HTTP01_BLOCKED_BY_FRONT_PROXY

LASTING = "# do NOT revert this afterwards: each renewal asks for the same path"


@dataclass(frozen=True, slots=True)
class Way:
    """What probes of the challenge's path saw for one host."""

    public: tuple[HttpProbe, ...]
    direct: tuple[HttpProbe, ...]
    """Sent to the ingress itself, past whatever stands in front."""

    @property
    def blocked(self) -> HttpProbe | None:
        """A probe by the public name whose last answer is not the solver's."""
        return next((one for one in self.public if one.last.status != 200), None)

    @property
    def open(self) -> bool:
        """Whether the public name was seen to answer right, redirects and all."""
        return bool(self.public) and self.blocked is None

    @property
    def answered(self) -> HttpProbe | None:
        return next((one for one in self.direct if one.last.status == 200), None)


def way(cluster: Cluster, host: str) -> Way:
    """Probes of the challenge for a host."""
    public, direct = [], []
    for one in cluster.probes:
        if not isinstance(one, HttpProbe) or one.origin == "in-cluster":
            continue
        parts = urlsplit(one.url)
        if not parts.path.startswith(CHALLENGE):
            continue
        if (parts.hostname or "") == host and parts.scheme == "http":
            public.append(one)
        elif one.host == host and is_address(parts.hostname or ""):
            direct.append(one)
    return Way(tuple(public), tuple(direct))


def trail(probe: HttpProbe) -> Evidence:
    """A probe, hop by hop."""
    told = []
    for hop in probe.hops:
        by = f" from {hop.server}" if hop.server else ""
        to = f" to {hop.location}" if hop.location else ""
        said = f" {hop.body[:80]!r}" if hop.body and not to else ""
        told.append(f"{hop.status or hop.error}{by}{to}{said}")
    host = f" (Host: {probe.host})" if probe.host else ""
    return seen(f"probe GET {probe.url}{host}", ", then ".join(told) or "no answer")


def blocked_in_front(
    cluster: Cluster, host: str, inside: Sequence[Evidence], commands: Sequence[str], *, failed: bool
) -> Finding | None:
    """The root cause of a challenge that does not get through, as sure as it was seen; None where nothing shows it.

    `inside`: what shows that the cluster's own side is in order. `commands`: what to do once the front is mended.
    `failed`: whether an object says that the challenge was answered wrong.
    """
    looked = way(cluster, host)
    if looked.open:
        return None
    addresses = _addresses(cluster, host)
    hops = _configured(cluster, host, addresses)
    probe = looked.blocked
    if probe is None and hops is None:
        return None
    measured = _measured(probe, looked) if probe is not None else []
    if hops is None and not _other_answers(probe, looked):
        return None
    target = _target(cluster, looked, host, hops)
    lines = _remedy(host, addresses, target)
    if hops is None:
        cause = f"Requests for http://{host}{CHALLENGE} are answered by {_who(probe)} and never reach the solver"
        surer = "front/: the configuration of the web server in front (its main file and all that it includes)"
        likely = (*measured, *inside)
        return found(
            ACME_HTTP01_BLOCKED_BY_FRONT_PROXY, cause, f"http://{host}{CHALLENGE}", Confidence.LIKELY, *likely,
            commands=(*lines, *commands), surer_with=surer, about=(f"Host {host}",),
        )  # fmt: skip
    steps = [seen(_short(cluster, step.where), step.saw) for hop in hops for step in hop.steps]
    last = hops[0].steps[-1].where if hops[0].steps else "the configuration in front"
    where = _short(cluster, last)
    cause = f"{where} answers every path that comes for {host} on port 80, so {CHALLENGE} never reaches the solver"
    sure = (*steps, *_no_stream(cluster, addresses), *measured, *inside)
    certain = failed or probe is not None or isinstance(hops[-1].outcome, (Responds, Files))
    confidence = Confidence.CERTAIN if certain else Confidence.LIKELY
    return found(
        ACME_HTTP01_BLOCKED_BY_FRONT_PROXY, cause, where, confidence, *sure, commands=(*lines, *commands),
        about=(f"Host {host}",),
    )  # fmt: skip


def _short(cluster: Cluster, where: str) -> str:
    return where.removeprefix(f"{cluster.recording.where}/")


def _measured(probe: HttpProbe, looked: Way) -> list[Evidence]:
    told = [trail(probe)]
    if looked.answered is not None:
        told.append(trail(looked.answered))
    return told


def _other_answers(probe: HttpProbe | None, looked: Way) -> bool:
    """Whether it was seen that somebody before the cluster answers: the ingress itself answers right, or the first
    hop is a web server that says its name, which ingress-nginx and Traefik do not."""
    if probe is None:
        return False
    first = probe.hops[0].server.lower() if probe.hops else ""
    return looked.answered is not None or first.startswith(("nginx", "apache", "haproxy", "caddy", "litespeed", "iis"))


def _who(probe: HttpProbe | None) -> str:
    first = probe.hops[0] if probe is not None and probe.hops else None
    return first.server if first is not None and first.server else "a web server in front"


def _addresses(cluster: Cluster, host: str) -> tuple[str, ...]:
    """Where the name leads, as it was seen."""
    told: list[str] = []
    for one in cluster.probes:
        if isinstance(one, DnsProbe) and one.name == host:
            told += [*one.a, *one.aaaa]
        if isinstance(one, TlsProbe) and one.sni == host and one.address:
            told.append(one.address)
    return tuple(dict.fromkeys(told))


def _front(cluster: Cluster) -> Front | None:
    configuration = cluster.recording.front
    return front_of(configuration) if configuration is not None else None


def _configured(cluster: Cluster, host: str, addresses: Sequence[str]) -> tuple[Hop, ...] | None:
    """What the configuration answers for the challenge, where that is certainly not the solver's answer."""
    front = _front(cluster)
    if front is None:
        return None
    for address in addresses or _listening(front, host):
        hops = trace(front, Request("http", address, 80, host, CHALLENGED))
        if not hops or isinstance(hops[0].outcome, NotListening):
            continue
        last = hops[-1].outcome
        ends_here = isinstance(last, (Responds, Files)) or (
            isinstance(hops[0].outcome, Redirects) and not isinstance(last, Passes) and _goes_wrong(cluster, host, hops)
        )
        if ends_here:
            return hops
    return None


def _goes_wrong(cluster: Cluster, host: str, hops: tuple[Hop, ...]) -> bool:
    """A redirect that leads on to TLS is fine where the last answer is right, and else keeps the challenge off."""
    return isinstance(hops[-1].outcome, (PassesTcp, Redirects, NotListening)) and not way(cluster, host).open


def _listening(front: Front, host: str) -> Iterator[str]:
    """Addresses of port 80 of the servers that have the name."""
    for server in front.http:
        if host in server.names:
            yield from ("" if listen.any else listen.address for listen in server.listens if listen.port == 80)


def _no_stream(cluster: Cluster, addresses: Sequence[str]) -> Iterator[Evidence]:
    """That no TCP stream takes port 80 in their place."""
    front = _front(cluster)
    if front is None or not front.streams:
        return
    ports = {listen.port for server in front.streams for listen in server.listens}
    if 80 not in ports:
        where = _short(cluster, front.streams[0].block.file)
        yield seen(where, f"stream listens on {', '.join(str(port) for port in sorted(ports))}; no listener on :80")


def _target(cluster: Cluster, looked: Way, host: str, hops: tuple[Hop, ...] | None) -> str:
    """The address of the ingress, or of autohttps, that answers the challenge; `` where nobody knows."""
    if looked.answered is not None:
        return f"{urlsplit(looked.answered.url).hostname}:80"
    for hop in hops or ():
        if isinstance(hop.outcome, PassesTcp):
            return f"{hop.outcome.target.rpartition(':')[0]}:80"
    for ingress in cluster.of("Ingress"):
        hosts = [rule.get("host") for rule in ingress.spec.get("rules") or () if isinstance(rule, dict)]
        if host in hosts:
            for address in _balanced(ingress.status):
                return f"{address}:80"
    for service in cluster.of("Service"):
        if service.name == "proxy-public":
            for address in _balanced(service.status):
                return f"{address}:80"
    return ""


def _balanced(status: object) -> list[str]:
    balancer = status.get("loadBalancer") if isinstance(status, dict) else None
    rows = balancer.get("ingress") if isinstance(balancer, dict) else None
    return [str(one.get("ip") or one.get("hostname")) for one in rows or () if isinstance(one, dict)]


def _remedy(host: str, addresses: Sequence[str], target: str) -> tuple[str, ...]:
    listen = f"{addresses[0]}:80" if addresses else "80"
    inside = target or "ADDRESS-OF-THE-INGRESS:80"
    block = (
        "server {",
        f"  listen {listen};",
        f"  server_name {host};",
        f"  location ^~ {CHALLENGE} {{ proxy_pass http://{inside}; proxy_set_header Host $host; }}  {LASTING}",
        "  location / { return 301 https://$host$request_uri; }",
        "}",
    )
    return ("\n".join(block), "nginx -t && systemctl reload nginx")
