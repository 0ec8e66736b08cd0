"""The doctor before a web server: its files read, the real one asked where the files end, what is wrong put right.

In: a main file, names. Out: facts and what comes of them; changed files that nginx has taken up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import certifi

from perijove.backends.nginx.asking import ask, certificate_problem
from perijove.backends.nginx.changing import Change, Nginx
from perijove.backends.nginx.reading import read
from perijove.backends.nginx.renewals import homes, renewals
from perijove.backends.secrets import public_roots
from perijove.certifying import files as certificate_files
from perijove.doctor.engine import Examination, examine
from perijove.doctor.front import acme_clients, conflicts, diagnosis, judge, listeners
from perijove.doctor.front.matching import taking
from perijove.doctor.front.remedy import Patch, listener_removed
from perijove.doctor.front.requests import CHALLENGED, Hop, PassesTcp, Redirects, Request
from perijove.doctor.front.servers import front_of
from perijove.doctor.front.trace import trace
from perijove.domain.failures import Evidence, Fail
from perijove.domain.front_failures import NOT_FIXED
from perijove.domain.web_servers import Answered

OBEYED = 10.0
"""Seconds in which a running nginx must have taken up what it was told."""
PAUSE = 0.05
MOST_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """What shall be examined."""

    main: Path
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    to: str = ""
    base: str = "/"
    """The path that the Binder lies below."""


def look(asked: Asked, changed: Mapping[str, str] | None = None) -> judge.Facts:
    """The facts; `changed` are texts to read in the place of files. Raises Fail: `front.configuration-unreadable`."""
    front = front_of(read(asked.main, changed))
    files = dict.fromkeys(acme_clients.chains(front))
    hosts = asked.hosts or listeners.hosts(front, asked.base)
    facts = judge.Facts(
        front, hosts, asked.addresses, asked.to, base=asked.base, renewals=renewals(files, homes()),
        named=bool(asked.hosts), chains=dict(_read(asked.main.parent, files)),
        roots=tuple(public_roots(certifi.where())), now=time.time(),
    )  # fmt: skip
    return replace(facts, shown={}) if changed else replace(facts, shown=_shown(facts))


def _read(home: Path, files: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """What stands in these files; those that this user may not read, or that a copy's machine has, are left out."""
    for name in files:
        try:
            yield name, certificate_files.read(str(home / name))
        except Fail:
            continue


def examined(facts: judge.Facts) -> Examination:
    """What comes of them."""
    return examine(facts, diagnosis.checks(facts))


def followed(facts: judge.Facts) -> list[tuple[Hop, ...]]:
    """Each name's challenge, hop by hop, at each address."""
    return [_challenge(facts, host, address) for host, address in _places(facts)]


def _places(facts: judge.Facts) -> list[tuple[str, str]]:
    return [(host, one) for host in facts.hosts for one in facts.addresses or listeners.addresses(facts.front, host)]


def _challenge(facts: judge.Facts, host: str, address: str) -> tuple[Hop, ...]:
    return trace(facts.front, Request("http", address, listeners.http_port(facts.front, host), host, CHALLENGED))


def _shown(facts: judge.Facts) -> dict[tuple[str, str], str]:
    """The certificates behind redirects to port 443 that is handed on: only where nginx runs as these files say."""
    shown = {}
    for host, address in _places(facts):
        hops = _challenge(facts, host, address)
        first, last = hops[0].outcome, hops[-1].outcome
        if not (isinstance(first, Redirects) and isinstance(last, PassesTcp)):
            continue
        answered = _answer(facts, hops[0].request.url, hops[0].request)
        if (answered.status, answered.location) == (first.status, first.location):
            try:
                there, port = address or "127.0.0.1", hops[-1].request.port
                problem = certificate_problem(there, port, host, proxied=_proxied(facts, hops[-1].request))
            except OSError as error:
                problem = f"no handshake: {error}"[:200]
            if problem is not None:
                shown[host, address] = problem
    return shown


def plan(asked: Asked) -> Patch:
    """All that would be changed, already seen to help. Raises Fail: `front.not-fixed` where nothing would."""
    facts = look(asked)
    before, shown = dict(facts.front.configuration.texts), facts.shown
    after, why = _parted(asked, facts)
    for host, address in _places(facts)[:MOST_ROUNDS]:
        facts = replace(look(asked, after), shown=shown) if after else facts
        if not judge.ill(facts, host, address):
            continue
        patch = judge.patch(facts, host, address)
        if patch is None:
            continue
        trial = {**after, **patch.after}
        if not judge.ill(replace(look(asked, trial), shown=shown), host, address):
            after = trial
    if not after:
        remedy = f"{why} Name who answers challenges with --to ADDR:PORT, or change the files by hand.".strip()
        raise Fail(NOT_FIXED("nothing is known that would help", remedy=remedy))
    return Patch({path: before[path] for path in after}, after)


def _parted(asked: Asked, facts: judge.Facts) -> tuple[dict[str, str], str]:
    """Texts in which no two listeners want one port, and why where that is the operator's to decide."""
    after, why = dict[str, str](), ""
    for _ in range(MOST_ROUNDS):
        facts = replace(look(asked, after), shown=facts.shown) if after else facts
        made = None
        for conflict in conflicts.found(facts.front):
            goes, why = conflicts.chosen(facts, conflict)
            made = listener_removed(facts.front, goes) if goes is not None else None
            if made is not None:
                break
        if made is None:
            break
        after |= made.after
    return after, why


def apply(asked: Asked, patch: Patch, nginx: Nginx) -> tuple[Path, ...]:
    """Write, test, have nginx take it up or start it, look again; the places where the files of before are kept.

    Raises Fail: `front.not-fixed`; then all is as it was.
    """
    facts = look(asked)
    there = replace(look(asked, patch.after), shown=facts.shown)
    moved = [one for one in _places(facts) if _challenge(facts, *one)[0].outcome != _challenge(there, *one)[0].outcome]
    seen = {place: _asked(facts, *place) for place in moved}
    change = Change(patch.after)
    change.make()
    tested = False
    try:
        nginx.test()
        tested = True
        nginx.take_up(OBEYED)
        for place, before in seen.items():
            _better(there, place, before)
    except BaseException:
        change.undo()
        if tested:
            nginx.take_back()
        raise
    return tuple(change.kept.values())


def _asked(facts: judge.Facts, host: str, address: str) -> tuple[Answered, Answered]:
    """What the running server answers now: to the challenge, and to people."""
    request = _challenge(facts, host, address)[0].request
    people = request.url.removesuffix(CHALLENGED) + "/"
    return _answer(facts, request.url, request), _answer(facts, people, request)


def _answer(facts: judge.Facts, url: str, request: Request) -> Answered:
    return ask(url, request.address or "127.0.0.1", proxied=_proxied(facts, request))


def _proxied(facts: judge.Facts, request: Request) -> bool:
    """Whether the listener of this request wants a line of the PROXY protocol."""
    return any(one.proxy for one in taking(facts.front.listens, request.address, request.port))


def _better(facts: judge.Facts, place: tuple[str, str], before: tuple[Answered, Answered]) -> None:
    """Wait until the challenge is answered by another, and people as before. Raises Fail: `front.not-fixed`."""
    until = time.monotonic() + OBEYED
    while True:
        challenge, page = now = _asked(facts, *place)
        if 0 < challenge.status < 500 and challenge != before[0]:
            break
        if time.monotonic() > until:
            if challenge == before[0] and challenge.status in (200, 404):
                break  # it was no redirect before, and the new one's answer may look the same
            raise _worse("the challenge is not answered by whom it was passed on to", now)
        time.sleep(PAUSE)
    if before[1].status and (page.status, page.location) != (before[1].status, before[1].location):
        raise _worse("people are answered otherwise than before", now)


def _worse(cause: str, answers: Sequence[Answered]) -> Fail:
    seen = (Evidence(one.url, f"{one.words} {one.location}".strip()) for one in answers)
    return Fail(NOT_FIXED(cause, *seen))
