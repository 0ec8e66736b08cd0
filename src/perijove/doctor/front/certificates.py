"""Do browsers and phones believe the certificate that this nginx shows? In: its files. Out: findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.certifying import secret
from perijove.doctor.engine import NotSeen
from perijove.doctor.front import acme_clients, judge, listeners
from perijove.doctor.front.matching import http_server, named_server
from perijove.doctor.front.servers import Front
from perijove.domain.certificate_failures import CHAIN_BROKEN
from perijove.domain.failures import Fail, Failure
from perijove.domain.findings import Confidence, Finding
from perijove.domain.site_failures import CERTIFICATE_UNTRUSTED
from perijove.domain.web_servers import Directive


def believed(facts: judge.Facts, host: str) -> Iterator[Finding]:
    """What is wrong with its chain, told once for each file. Raises NotSeen."""
    front, port = facts.front, listeners.https_port(facts.front)
    where = facts.addresses or listeners.addresses(front, host)
    shown = {one.args[0]: one for address in where if (one := _shown(front, host, (address, port))) is not None}
    if not shown:
        raise NotSeen(f"no server of the name {host} shows a certificate here")
    unseen = ""
    told = False
    for one in shown.values():
        failure = _wrong(facts, one, host)
        if isinstance(failure, str):
            unseen = unseen or failure
        elif failure is not None:
            told = True
            yield Finding(failure, one.where, judge.surely(front, _sure(failure)))
    if unseen and not told:
        raise NotSeen(unseen)


def _sure(failure: Failure) -> Confidence:
    """An authority of one's own is believed where its root was laid into each browser, and offers its own nowhere."""
    private = failure.kind is CERTIFICATE_UNTRUSTED or (failure.kind is CHAIN_BROKEN and "http" not in failure.remedy)
    return Confidence.POSSIBLE if private else Confidence.CERTAIN


def _shown(front: Front, host: str, at: tuple[str, int]) -> Directive | None:
    """The chain's file; None where only another site's server would answer for the name."""
    found = http_server(front, *at, host)
    own = found is not None and named_server([found[0]], host) is not None
    return acme_clients.chain(front, host, at) if own else None


def _wrong(facts: judge.Facts, shown: Directive, host: str) -> Failure | str | None:
    """Why browsers refuse it; in words why nobody knows whether they do."""
    file = shown.args[0]
    content = facts.chains.get(file)
    if content is None:
        return f"{file} cannot be read here"
    try:
        certificates = secret.read_chain(content, file)
        secret.check_time(certificates[0], facts.now, file)
        secret.check_names(certificates[0], (host,), file)
        secret.check_believed(certificates, facts.roots, host, facts.now, file)
    except Fail as error:
        return error.failure
    except ValueError as error:
        return f"{file} cannot be compared with the name {host}: {error}"
    return None
