"""A real OpenID provider on loopback: oidc-provider, by Node.js, with people, keys and a clock as a test wants them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from joserfc.jwk import RSAKey

from tests.e2e.service import until
from tests.fakes.node import ROOT, installed
from tests.fakes.ports import free_port

SECRET = "a secret of both: with / and +"


def a_key() -> dict[str, Any]:
    """What it signs with."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    return dict(key.as_dict(private=True))


@dataclass
class OidcServer:
    """Its state; a restart takes changes up."""

    redirects: list[str]
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    key: dict[str, Any] = field(default_factory=a_key)
    skew: float = 0.0
    """Seconds by which its clock is ahead."""
    in_token: bool = True
    """Whether the ID token has all claims; else its userinfo endpoint alone."""
    method: str = "client_secret_basic"
    process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> OidcServer:
        """Returns once it answers."""
        client = {"client_id": "perijove", "client_secret": SECRET, "redirect_uris": self.redirects}
        client |= {"token_endpoint_auth_method": self.method}
        if self.method == "none":
            del client["client_secret"]
        settings = {"issuer": self.issuer, "port": self.port, "client": client, "people": self.people, "key": self.key}
        settings |= {"skew": self.skew, "claims": self.in_token}
        environ = {"PATH": os.environ["PATH"], "SETTINGS": json.dumps(settings), "NODE_NO_WARNINGS": "1"}
        script = (ROOT / "tests/fakes/oidc_provider/server.mjs").open("rb")
        with script:
            self.process = subprocess.Popen(
                ["node", "--input-type=module", "-"],
                cwd=installed("oidc_provider"), env=environ, stdin=script,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        until(self._answers, 60)
        return self

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def restart(self, **changed: Any) -> None:
        """At the same address."""
        self.stop()
        for name, value in changed.items():
            setattr(self, name, value)
        self.start()

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "it has ended"
        try:
            return httpx.get(f"{self.issuer}/.well-known/openid-configuration", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def log_in(self, address: str, name: str) -> str:
        """Where a person's browser is led back to that was sent to this address and gave this name there."""
        with httpx.Client(trust_env=False, timeout=30) as browser:
            answer = browser.get(address)
            while "location" in answer.headers:
                there = str(httpx.URL(address).join(answer.headers["location"]))
                if not there.startswith(self.issuer):
                    return there
                answer = browser.get(there)
                if answer.is_success:  # the form, then the consent
                    form = {"prompt": "login" if 'name="login"' in answer.text else "consent"}
                    form |= {"login": name, "password": "x"}
                    answer = browser.post(str(answer.url), data=form)
            raise AssertionError(f"{answer.status_code} {answer.text[:500]}")


@contextmanager
def provider(*redirects: str, people: dict[str, dict[str, Any]]) -> Iterator[OidcServer]:
    """One that runs, for as long as the block lasts."""
    server = OidcServer([*redirects], people)
    try:
        yield server.start()
    finally:
        server.stop()
