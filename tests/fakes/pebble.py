"""The real Pebble, Debian's: a small ACME CA for tests, as a process on ephemeral ports of loopback.

    with running_dns() as dns, running_pebble(tmp_path, dns=dns, http_port=…) as pebble:
        Issuer("pebble", IssuerKind.ACME, pebble.directory, ca_file=str(pebble.ca_file))
        pebble.root()       # PEM of the root of what it issues now
        pebble.restart()    # same addresses; orders, accounts and that root are gone

It looks for HTTP-01 answers on `http_port` and for TLS-ALPN-01 ones on `tls_port` of the addresses that `dns` tells
(AAAA first, and never A after it). Pebble 2.4.0 deadlocks above 16 orders in flight: stay at 8, one Pebble a module.
Mark tests with `needs_pebble`.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.e2e.service import until
from tests.fakes.dns import Dns
from tests.fakes.ports import free_port
from tests.fakes.private_ca import PrivateCa

needs_pebble = pytest.mark.skipif(shutil.which("pebble") is None, reason="pebble is not installed: apt install pebble")
EAB_KID = "kid-1"
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
"""A MAC key in base64url, of Debian's example."""
STARTS_WITHIN = 60.0


@dataclass
class Pebble:
    """One that runs; its log is `folder/pebble.log`."""

    folder: Path
    dns: Dns
    http_port: int
    tls_port: int
    eab: bool
    strict: bool
    environ: Mapping[str, str]
    port: int = field(default_factory=free_port)
    management_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.ca = PrivateCa(self.folder)
        self.leaf = self.ca.leaf(called="pebble")
        self.trust = ssl.create_default_context(cafile=self.ca_file)

    @property
    def directory(self) -> str:
        """URL of its directory."""
        return f"https://127.0.0.1:{self.port}/dir"

    @property
    def ca_file(self) -> Path:
        """Root of its own TLS, in PEM: an issuer's `ca_file`."""
        return self.ca.file

    @property
    def log(self) -> str:
        return (self.folder / "pebble.log").read_text(errors="replace")

    def root(self, number: int = 0) -> bytes:
        """The root of what it issues, in PEM; another one after each `restart`."""
        url = f"https://127.0.0.1:{self.management_port}/roots/{number}"
        return httpx.get(url, verify=self.trust, timeout=5, trust_env=False).raise_for_status().content

    def restart(self) -> None:
        """At the same addresses, with everything forgotten."""
        self.stop()
        self.start()

    def start(self) -> None:
        """Returns once it answers."""
        self._spawn()
        until(self._up, STARTS_WITHIN)
        assert self.process is not None
        assert self.process.poll() is None, self.log

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def _up(self) -> bool:
        """Whether it answers, or has ended."""
        if self.process is None or self.process.poll() is not None:
            return True
        try:
            httpx.get(self.directory, verify=self.trust, timeout=2, trust_env=False).raise_for_status()
            self.root()
        except httpx.HTTPError:
            return False
        return True

    def _spawn(self) -> None:
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(self.leaf.chain),
            "privateKey": str(self.leaf.key),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": self.eab,
            "externalAccountMACKeys": {EAB_KID: EAB_KEY} if self.eab else {},
        }
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        command = ["pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", self.dns.server]
        command += ["-strict"] if self.strict else []
        with (self.folder / "pebble.log").open("ab") as log:
            environ = {"PATH": os.environ["PATH"], **self.environ}
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ)


@contextmanager
def running_pebble(
    folder: Path,
    *,
    dns: Dns,
    http_port: int = 0,
    tls_port: int = 0,
    nonce_reject: int = 0,
    authz_reuse: int = 0,
    sleep: bool = False,
    eab: bool = False,
    strict: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Pebble]:
    """A Pebble whose files lie in `folder/pebble`.

    Ports of 0 are chosen. `nonce_reject` and `authz_reuse` are per cent; `sleep` has it take up to 4 s a validation;
    `eab` has it want `EAB_KID` and `EAB_KEY`. `environ`: more of its variables, PEBBLE_CHAIN_LENGTH for one.
    """
    asked = {"PEBBLE_WFE_NONCEREJECT": str(nonce_reject), "PEBBLE_AUTHZREUSE": str(authz_reuse), **(environ or {})}
    asked |= {} if sleep else {"PEBBLE_VA_NOSLEEP": "1"}
    pebble = Pebble(folder / "pebble", dns, http_port or free_port(), tls_port or free_port(), eab, strict, asked)
    try:
        pebble.start()
        yield pebble
    finally:
        pebble.stop()
