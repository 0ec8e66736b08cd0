"""Certificates: ours beside certbot, Caddy and acme-tiny, all at the same Pebble in one run, in turns."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import machine
from bench.figures import Part, Row
from perijove.backends.caddy import binary
from perijove.backends.sqlite import SqliteLedger
from perijove.cli.client import Client
from perijove.domain.certificate_events import Certified
from perijove.domain.events import Entry
from perijove.domain.state import State
from tests.e2e.certified import ADDRESS, CertifiedWorld, certified_world
from tests.e2e.service import Service, shared_cache, until

MANY = 200
"""Names of one service, all without a certificate."""
LIMIT = 120.0
STAGES = {"Looked": "look", "Issued": "order", "Served": "in a handshake", "Certified": "kept"}
"""Events that end a stage."""


@dataclass
class Certificates:
    """What was measured: seconds, by what and by whom."""

    world: CertifiedWorld
    folder: Path
    peers: Path
    """The programs of the peers' virtual environment."""
    taken: int = 0
    names: list[str] = field(default_factory=list)

    def name(self) -> str:
        """A host that never had a certificate."""
        self.names.append(f"h{len(self.names)}.example")
        self.world.dns.set(self.names[-1], "A", ADDRESS)
        return self.names[-1]

    def empty(self) -> Path:
        """A folder of its own."""
        self.taken += 1
        made = self.folder / f"run{self.taken}"
        made.mkdir(mode=0o711)
        return made

    def until_served(self, host: str, began: float) -> float:
        until(lambda: self.world.shown(host), LIMIT)
        return time.monotonic() - began


def certificates(runs: int, patience: float, peers: Path, tell: Callable[[str], None]) -> Part:
    """All of it; peers are left out where their programs are not installed."""
    part = Part("certificates", "Certificates: seconds of our own time, Pebble without pauses")
    shared_cache()  # before anything is timed
    with TemporaryDirectory(prefix="perijove-bench-") as made, certified_world(Path(made)) as world:
        os.chmod(made, 0o711)
        bench = Certificates(world, Path(made), peers / "bin")
        ours, others = cold(bench, runs, patience)
        part.rows.append(Row("perijove up, to a certificate served", ours, target=0.6))
        part.rows += [Row(f"{who}, cold", values) for who, values in others.items()]
        tell("certificates: in a running service, then many")
        part.rows += [*running(bench, runs), *many(bench)]
    with TemporaryDirectory(prefix="perijove-bench-") as made, certified_world(Path(made), nonce_reject=20) as world:
        os.chmod(made, 0o711)
        lost = MANY // 4 - len(asked_for(Certificates(world, Path(made), peers / "bin"), MANY // 4)[1])
        part.rows.append(Row(f"lost of {MANY // 4} with 20 % of nonces rejected", [lost], target=0, unit=""))
    part.notes += [f"no {who}: make bench PEER=1" for who in PEERS if not others.get(who)]
    return part


def cold(bench: Certificates, runs: int, patience: float) -> tuple[list[float], dict[str, list[float]]]:
    """From exec, with neither account nor certificate, to what a client can use; by turns."""
    ours: list[float] = []
    others: dict[str, list[float]] = {}
    for _ in range(runs):
        machine.quiet(patience)
        ours.append(perijove(bench))
        for who, peer in PEERS.items():
            machine.quiet(patience)
            if (took := peer(bench)) is not None:
                others.setdefault(who, []).append(took)
    return ours, others


def perijove(bench: Certificates) -> float:
    """`perijove up` on an empty state directory."""
    host = bench.name()
    service = bench.world.service(State(bench.empty()), host, CERTIFICATES_REHEARSE="false")
    began = time.monotonic()
    starting = threading.Thread(target=service.up, name="perijove up")
    starting.start()
    try:
        return bench.until_served(host, began)
    finally:
        starting.join()
        service.stop()


def certbot(bench: Certificates) -> float | None:
    """Standalone, to its files on disk."""
    program, folder = bench.peers / "certbot", bench.empty()
    if not program.exists():
        return None
    places = [word for kind in ("config", "work", "logs") for word in (f"--{kind}-dir", str(folder / kind))]
    command = [str(program), "certonly", "--standalone", "-n", "--agree-tos", "--register-unsafely-without-email"]
    command += ["--server", bench.world.pebble.directory, "-d", bench.name(), *places]
    command += ["--http-01-port", str(bench.world.http_port), "--http-01-address", ADDRESS]
    return _timed(command, {"REQUESTS_CA_BUNDLE": str(bench.world.pebble.ca_file)})


def caddy(bench: Certificates) -> float | None:
    """With a configuration file, to a handshake."""
    host, folder, world = bench.name(), bench.empty(), bench.world
    issuer: dict[str, object] = {
        "module": "acme",
        "ca": world.pebble.directory,
        "trusted_roots_pem_files": [str(world.pebble.ca_file)],
    }
    issuer |= {"challenges": {"http": {"alternate_port": world.http_port}, "tls-alpn": {"disabled": True}}}
    server = {"listen": [f"{ADDRESS}:{world.https_port}"], "routes": [{"match": [{"host": [host]}]}]}
    config = {
        "admin": {"disabled": True},
        "storage": {"module": "file_system", "root": str(folder)},
        "apps": {
            "http": {"http_port": world.http_port, "https_port": world.https_port, "servers": {"it": server}},
            "tls": {"automation": {"policies": [{"subjects": [host], "issuers": [issuer]}]}},
        },
    }
    (folder / "caddy.json").write_text(json.dumps(config))
    began = time.monotonic()
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [binary(), "run", "--config", str(folder / "caddy.json")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, env=environ, stderr=log) as process:
        try:
            return bench.until_served(host, began)
        finally:
            process.terminate()


def acme_tiny(bench: Certificates) -> float | None:
    """With openssl's keys and a static web server, to its chain."""
    program, folder = bench.peers / "acme-tiny", bench.empty()
    if not program.exists() or shutil.which("openssl") is None:
        return None
    host = bench.name()
    webroot = folder / ".well-known/acme-challenge"
    webroot.mkdir(parents=True)
    words = f"""set -e; cd {folder}
openssl genrsa -out account.key 2048 2>/dev/null
openssl ecparam -genkey -name prime256v1 -noout -out tls.key
openssl req -new -key tls.key -subj / -addext subjectAltName=DNS:{host} -out request
exec {program} --quiet --account-key account.key --csr request --acme-dir {webroot} --disable-check \\
  --directory-url {bench.world.pebble.directory} > chain.pem"""
    with _static(folder, bench.world.http_port):
        return _timed(["sh", "-c", words], {"SSL_CERT_FILE": str(bench.world.pebble.ca_file)})


PEERS: dict[str, Callable[[Certificates], float | None]] = {"certbot": certbot, "Caddy": caddy, "acme-tiny": acme_tiny}


def running(bench: Certificates, runs: int) -> list[Row]:
    """A service that runs is asked for one more certificate of a host: from the attempt's first event to its last."""
    host = bench.name()
    service = bench.world.service(State(bench.empty()), host, CERTIFICATES_REHEARSE="false")
    service.up()
    admin = Client(service.state)
    try:
        until(lambda: bench.world.shown(host), LIMIT)
        for number in range(2, runs + 3):
            until(lambda: all(_over(entries) for entries in _attempts(service)), LIMIT)
            admin.call("POST", f"/certificates/{host}/issue", {})
            until(partial(_begun, service, number), LIMIT)
        until(lambda: all(_over(entries) for entries in _attempts(service)), LIMIT)
        stages = [_stages(entries) for entries in _attempts(service)[:-2]]
    finally:
        service.stop()
    rows = [Row("one more, in a running service", [sum(one.values()) for one in stages], target=0.06)]
    return rows + [Row(f"  of this: {name}", [one[name] for one in stages]) for name in STAGES.values()]


def many(bench: Certificates) -> list[Row]:
    """All at once: from the first attempt's begin to the last's end."""
    seconds, served = asked_for(bench, MANY)
    return [
        Row(f"{MANY} names, all served", [seconds], target=MANY / 2000 * 60),
        Row("certificates a minute (wanted: 2000)", [len(served) / seconds * 60], unit=""),
        Row(f"lost of {MANY}", [MANY - len(served)], target=0, unit=""),
    ]


def asked_for(bench: Certificates, count: int) -> tuple[float, list[str]]:
    """A running service is given so many new names; seconds until the last attempt ended, and the names served."""
    first, *hosts = [bench.name() for _ in range(count + 1)]
    service = bench.world.service(State(bench.empty()), CERTIFICATES_REHEARSE="false")
    del service.settings["SERVICE_HOSTS"]
    service.config.write_text(f"[service]\nhosts = {json.dumps([first])}\n")
    service.up()
    try:
        until(lambda: bench.world.shown(first), LIMIT)
        service.config.write_text(f"[service]\nhosts = {json.dumps([first, *hosts])}\n")
        os.kill(service.process.pid if service.process else 0, signal.SIGHUP)
        until(lambda: _ended(service) > count, LIMIT)
        attempts = _attempts(service)[:-1]
        took = max(entries[-1].at for entries in attempts) - min(entries[0].at for entries in attempts)
        return took, [host for host in hosts if bench.world.shown(host)]
    finally:
        service.stop()


def _attempts(service: Service) -> list[Sequence[Entry]]:
    """The events of every attempt so far."""
    ledger = SqliteLedger(service.state.database)
    try:
        return [ledger.steps(subject) for subject in ledger.subjects("order/", 10 * MANY)]
    finally:
        ledger.close()


def _ended(service: Service) -> int:
    """How many attempts are over. Decodes no event: the processors are the service's."""
    ledger = SqliteLedger(service.state.database)
    try:
        return len(ledger.subjects("order/", 10 * MANY)) - len(ledger.unfinished("order/"))
    finally:
        ledger.close()


def _begun(service: Service, count: int) -> bool:
    return len(_attempts(service)) >= count


def _over(entries: Sequence[Entry]) -> bool:
    return isinstance(entries[-1].event, Certified)


def _stages(entries: Sequence[Entry]) -> dict[str, float]:
    """Seconds by stage; each ends with the event it is named for."""
    stages, before = dict.fromkeys(STAGES.values(), 0.0), entries[0].at
    for entry in entries:
        if name := STAGES.get(type(entry.event).__name__):
            stages[name] += entry.at - before
            before = entry.at
    return stages


def _timed(command: list[str], environ: dict[str, str]) -> float:
    """A program's whole run. Raises CalledProcessError with what it said."""
    began = time.monotonic()
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()
    return time.monotonic() - began


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _static(folder: Path, port: int) -> Iterator[None]:
    """Files of a folder on a port."""
    with ThreadingHTTPServer((ADDRESS, port), partial(_Quiet, directory=str(folder))) as server:
        serving = threading.Thread(target=server.serve_forever, name="static files")
        serving.start()
        try:
            yield
        finally:
            server.shutdown()
            serving.join()
