"""A Git host tells of a push: what the links of a class lead to is built, and nothing is launched. In: signed requests.

GitHub signs a body with the secret that both sides know (X-Hub-Signature-256; docs.github.com, "Validating webhook
deliveries"); GitLab sends it along (X-Gitlab-Token; docs.gitlab.com, "Webhooks"), and Gitea and Forgejo sign as GitHub.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.domain.failures import BAD_REQUEST, NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.repository_names import canonical
from perijove.domain.request_failures import PUSH_NOT_SIGNED
from perijove.launching.resolve.pasted import pasted
from perijove.log import log
from perijove.web.forms import body
from perijove.web.public import Public
from perijove.web.requests import client

MOST = 4 * 1024**2
"""Bytes of a body: a push of 2,048 commits, more than a host names, has three quarters of it."""
READ_WITHIN = 20.0
"""Seconds that a body may take."""
SHORTEST = 16
"""Characters of a secret: fewer can be guessed."""


class Pushes:
    """The handler."""

    def __init__(self, public: Public) -> None:
        self._public = public

    async def prepare(self, request: Request) -> Response:
        """Build what was pushed to, where it is a class's; answered before that is built. Raises Fail."""
        secret = await self._secret()
        given = [request.headers.get(name, "") for name in ("x-hub-signature-256", "x-gitlab-token")]
        if not secret or not any(given):
            raise self._refused(request, "it has no signature" if secret else "this service takes none")
        sent = await body(request, MOST, READ_WITHIN)
        signed = f"sha256={hmac.new(secret, sent, hashlib.sha256).hexdigest()}".encode()
        rights = zip(given, (signed, secret), strict=True)
        if not any(hmac.compare_digest(said.encode("latin-1"), right) for said, right in rights):
            raise self._refused(request, "its signature is another secret's")
        numbers = [number for repository in _repositories(sent) for number in self._public.pushed(repository)]
        if not numbers:
            raise Fail(NO_SUCH_OBJECT("no class has this repository", Evidence("launching.classes", "no such link")))
        return JSONResponse({"launches": numbers}, 202)

    async def _secret(self) -> bytes:
        """What pushes are signed with; empty where there is none."""
        if not (name := self._public.settings().launching.push_secret_file):
            return b""
        try:
            secret = (await asyncio.to_thread(Path(name).read_bytes)).strip()
        except OSError as error:
            log.warning("the secret of pushes cannot be read", file=name, saw=str(error))
            return b""
        if len(secret) < SHORTEST:
            log.warning("the secret of pushes is too short", file=name, characters=len(secret), least=SHORTEST)
            return b""
        return secret

    def _refused(self, request: Request, why: str) -> Fail:
        failure = self._public.gate.unsigned(request)
        return Fail(failure or PUSH_NOT_SIGNED(why, Evidence("your address", client(request))))


def _repositories(sent: bytes) -> Iterator[str]:
    """The canonical names by which a push calls its repository. Raises Fail for what is no push."""
    try:
        told = json.loads(sent)
        # GitHub, Gitea and Forgejo: repository; GitLab: project.
        named = [told.get(part) or {} for part in ("repository", "project")]
        links = {one.get(key) for one in named for key in ("clone_url", "html_url", "git_http_url", "web_url")}
    except (ValueError, AttributeError, RecursionError) as error:
        raise Fail(BAD_REQUEST("its body is no push as JSON", Evidence("the body", repr(error)[:200]))) from error
    found = set[str]()
    for link in links:
        if isinstance(link, str) and link:
            try:
                found.add(canonical(pasted(link[:2000]).address.url))
            except Fail:  # one of several names; where none leads anywhere, no class is found
                continue
    yield from sorted(found)
