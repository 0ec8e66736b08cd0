"""What a visitor changed outlives their session: a real service, real links, sessions and ends of all kinds."""

from __future__ import annotations

import io
import re
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

import httpx
import pytest

from perijove.domain.state import State
from perijove.web.visitors import COOKIE
from tests.e2e.service import Service, Session, running, until
from tests.e2e.test_kill import ours
from tests.fakes.git_server import Author, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


@pytest.fixture
def repository() -> Iterator[tuple[Author, str]]:
    """A new one: who writes it, and its launch link."""
    root = Path(tempfile.mkdtemp(prefix="perijove-git-"))
    with serving(root) as server:
        author = server.author("course")
        author.commit({"notebook.ipynb": "{}", "data.csv": "1,2", "read.md": "read"})
        yield author, f"v2/git/{quote(server.url('course'), safe='')}/main"


@pytest.fixture
def visitor(service: Service) -> Iterator[Visitor]:
    with Visitor(service) as visitor:
        yield visitor


class Visitor:
    """A browser without JavaScript."""

    def __init__(self, service: Service) -> None:
        self.url = service.url.replace("127.0.0.1", "localhost")
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False, headers={"Accept": "text/html"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.client.close()

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def launch(self, link: str) -> tuple[Session, str]:
        """Open a link and press its button: the session, and the launch's log."""
        form = self.get(link)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form.text))
        begun = self.client.get(
            link.partition("?")[0], params=fields, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
        )
        assert begun.status_code == 303, begun.text
        number = begun.headers["location"].rpartition("/")[2]
        told = until(lambda: self._ended(number), 120)
        assert told["state"] == "ready", told
        return Session(f"{told['url']}?token={told['token']}"), self.get(f"launch/{number}/log").text

    def _ended(self, number: str) -> dict[str, str] | None:
        told: dict[str, str] = self.get(f"api/launches/{number}").json()
        return told if told["state"] in ("ready", "failed") else None

    def zipped(self, name: str) -> dict[str, bytes]:
        """What the download has."""
        answer = self.get(f"kept/{name}/files.zip")
        assert answer.status_code == 200, answer.text
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            return {one: archive.read(one) for one in archive.namelist()}


WORK = "open('notebook.ipynb', 'w').write('{\"mine\": 1}'); open('new.txt', 'w').write('new')"


def test_a_visitor_goes_on_where_they_were_and_nobody_else_does(
    service: Service, visitor: Visitor, repository: tuple[Author, str]
) -> None:
    author, link = repository
    session, _ = visitor.launch(link)
    assert session.execute(WORK) == "3"
    service.cli("stop", session.name)
    own_host = {"Host": f"{session.name}.localhost:{service.port}"}
    gone = visitor.client.get(f"user/{session.name}/lab?token={session.token}", headers=own_host)
    assert "What you changed is kept" in gone.text
    assert f"{visitor.url}kept/{session.name}" in gone.text
    assert visitor.zipped(session.name) == {"notebook.ipynb": b'{"mine": 1}', "new.txt": b"new"}
    assert session.name in service.cli("get", "kept")

    author.commit({"notebook.ipynb": '{"theirs": 2}', "data.csv": "3,4"})
    again, log = visitor.launch(link)
    assert "2 files of your last session given back; beside the repository's own: notebook.kept.ipynb" in log
    code = "[open(n).read() for n in ('notebook.ipynb', 'notebook.kept.ipynb', 'new.txt', 'data.csv')]"
    assert again.execute(code) == "['{\"theirs\": 2}', '{\"mine\": 1}', 'new', '3,4']"
    with Visitor(service) as other:
        theirs, _ = other.launch(link)
        assert theirs.execute("import os; os.path.exists('new.txt')") == "False"
        assert other.get(f"kept/{session.name}/files.zip").status_code == 404
    fresh, _ = visitor.launch(f"{link}?fresh=true")
    assert fresh.execute("import os; os.path.exists('new.txt')") == "False"

    service.cli("stop", again.name)
    assert visitor.zipped(again.name) == {"notebook.kept.ipynb": b'{"mine": 1}', "new.txt": b"new"}
    assert visitor.get(f"kept/{session.name}").status_code == 404, "all of it is in the newer one"
    secret = visitor.client.cookies.get(COOKIE, path="/kept")
    assert secret
    files = [path for path in service.state.root.rglob("*") if path.is_file() and "store" not in path.parts]
    assert not [path for path in files if secret.encode() in path.read_bytes() or b'"mine"' in path.read_bytes()]


def test_a_session_in_which_nothing_was_done_leaves_nothing(
    service: Service, visitor: Visitor, repository: tuple[Author, str]
) -> None:
    session, _ = visitor.launch(repository[1])
    assert session.execute("import math; math.pi > 3") == "True"
    assert session.get("api/contents/").status_code == 200
    service.cli("stop", session.name)
    assert service.cli("describe", "session", session.name)
    assert visitor.get(f"kept/{session.name}").status_code == 404


def test_a_session_that_is_shut_down_is_over_at_once_and_its_work_is_kept(
    service: Service, visitor: Visitor, repository: tuple[Author, str]
) -> None:
    session, _ = visitor.launch(repository[1])
    session.execute(WORK)
    answer = httpx.post(f"{session.base}api/shutdown", headers=session.headers, timeout=20, trust_env=False)
    assert answer.status_code == 200
    until(lambda: session.name not in service.cli("get", "sessions"))
    until(lambda: not (service.state.sessions / session.name).exists())
    assert not (service.state.session_sockets / f"{session.name}.sock").exists()
    log = service.cli("logs", "session", session.name)
    assert log.rstrip().endswith("ended (shut-down): it was shut down")
    assert "session.server-died" not in log
    own_host = {"Host": f"{session.name}.localhost:{service.port}"}
    gone = visitor.client.get(f"user/{session.name}/lab?token={session.token}", headers=own_host)
    assert gone.status_code == 424
    assert "It was shut down." in gone.text
    assert "What you changed is kept" in gone.text
    assert visitor.zipped(session.name)["new.txt"] == b"new"


def test_what_is_left_while_the_service_is_away_is_there_when_it_is_back(
    service: Service, visitor: Visitor, repository: tuple[Author, str]
) -> None:
    session, _ = visitor.launch(repository[1])
    session.execute(WORK)
    service.kill()
    with pytest.raises((ConnectionError, TimeoutError, OSError, Exception)):
        session.execute("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", limit=10)
    service.up()
    until(lambda: visitor.get(f"kept/{session.name}").status_code == 200)
    assert visitor.zipped(session.name)["new.txt"] == b"new"


def test_a_service_that_is_stopped_with_its_sessions_keeps_their_work(
    service: Service, visitor: Visitor, repository: tuple[Author, str]
) -> None:
    session, _ = visitor.launch(repository[1])
    session.execute(WORK)
    assert service.stop() == 0
    service.up()
    until(lambda: visitor.get(f"kept/{session.name}").status_code == 200)
    again, log = visitor.launch(repository[1])
    assert "2 files of your last session given back" in log
    assert again.execute("open('new.txt').read()") == "'new'"


def test_a_pad_that_is_killed_keeps_what_still_lies_there(
    service: Service, visitor: Visitor, repository: tuple[Author, str]
) -> None:
    session, _ = visitor.launch(repository[1])
    session.execute(WORK)
    (pad,) = ours(service, "perijove.backends.pad.process")
    pad.send_signal(signal.SIGKILL)
    until(lambda: session.name not in service.cli("get", "sessions"))
    until(lambda: visitor.get(f"kept/{session.name}").status_code == 200)
    assert visitor.zipped(session.name) == {"notebook.ipynb": b'{"mine": 1}', "new.txt": b"new"}
