"""What a visitor left, as their browser is told."""

from __future__ import annotations

import io
import re
import zipfile

import pytest

from perijove.domain.nouns import EndReason
from perijove.sealing import new_key
from perijove.web.visitors import COOKIE
from tests.unit.web.conftest import PAGES, Web
from tests.ways.conftest import ADDRESS

KEY = new_key()
MINE = {"Cookie": f"__Host-{COOKIE}={KEY}", **PAGES}
THEIRS = {"Cookie": f"__Host-{COOKIE}={new_key()}", **PAGES}


async def left(web: Web, **files: bytes) -> str:
    """A session that is over, and what it left."""
    number = web.public.launches.begin(ADDRESS, "x", key=KEY)
    await web.world.events(number)
    launch = web.public.launches.get(number)
    assert launch is not None
    assert launch.session
    web.world.sandboxes.homes[launch.session] = files
    await web.world.sessions.stop(launch.session, EndReason.OLD)
    await web.world.until(lambda: web.world.sandboxes.all_fetched and not list(web.world.state.handed.iterdir()))
    return launch.session


async def test_its_page_tells_offers_and_removes(web: Web) -> None:
    name = await left(web, **{"a.ipynb": b"mine", "<b>.txt": b"x"})
    answer = await web.get(f"/kept/{name}", **MINE)
    assert answer.status_code == 200
    text = answer.text
    assert (
        "2 files (5 bytes) that you changed in a session of <code>github.com/owner/repo</code> are kept until" in text
    )
    assert 'href="/v2/gh/owner/repo/HEAD">Go on where you were' in text
    assert 'href="/v2/gh/owner/repo/HEAD?fresh=true">Start afresh' in text
    assert f'href="/kept/{name}/files.zip"' in text
    assert name in (await web.get("/kept", **MINE)).text
    removed = await web.client.post(f"/kept/{name}/remove", headers=MINE)
    assert removed.status_code == 303
    assert (await web.get(f"/kept/{name}", **MINE)).status_code == 404
    assert "Nothing is kept for you" in (await web.get("/kept", **MINE)).text


async def test_the_zip_has_the_files(web: Web) -> None:
    name = await left(web, **{"a/b.ipynb": b"mine" * 100_000, "../../up": b"x", "A/B.ipynb": b"y"})
    answer = await web.get(f"/kept/{name}/files.zip", **MINE)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["A/2-B.ipynb", "__/__/up", "a/b.ipynb"] or sorted(archive.namelist()) == [
            "A/B.ipynb",
            "__/__/up",
            "a/2-b.ipynb",
        ]


@pytest.mark.parametrize("path", ["", "/files.zip"])
async def test_nobody_else_is_told_that_there_is_anything(web: Web, path: str) -> None:
    name = await left(web, notebook=b"mine")
    answers = [await web.get(f"/kept/{name}{path}", **THEIRS), await web.get(f"/kept/never-was{path}", **THEIRS)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text == answers[1].text
    assert "session.nothing-kept" in answers[0].text
    assert (await web.get(f"/kept/{name}{path}", **PAGES)).status_code == 404
    assert name not in (await web.get("/kept", **THEIRS)).text
    assert (await web.client.post(f"/kept/{name}/remove", headers=THEIRS)).status_code == 404
    assert (await web.get(f"/kept/{name}{path}", **MINE)).status_code == 200


async def test_another_site_s_page_removes_nothing(web: Web) -> None:
    name = await left(web, notebook=b"mine")
    for site in ({"Origin": "https://evil.test"}, {"User-Agent": "Mozilla/5.0"}):
        assert (await web.client.post(f"/kept/{name}/remove", headers=MINE | site)).status_code == 403
    assert (await web.get(f"/kept/{name}", **MINE)).status_code == 200


async def test_a_damaged_file_is_told_before_the_download_begins(web: Web) -> None:
    name = await left(web, notebook=b"mine")
    (file,) = web.world.state.kept.glob("*/*")
    file.write_bytes(re.sub(rb'"once": "..', b'"once": "zz', file.read_bytes()))
    answer = await web.get(f"/kept/{name}/files.zip", **MINE)
    assert answer.status_code == 500
    assert "session.kept-unreadable" in answer.text


async def test_the_page_of_a_session_that_is_over_says_what_is_kept_to_whoever_has_its_token(web: Web) -> None:
    name = await left(web, notebook=b"mine")
    token = web.world.keys.session_token(name)
    text = (await web.get(f"/user/{name}/lab?token={token}", **PAGES)).text
    assert re.search(
        r"What you changed is kept for the browser that began the session: 1 file \(4 bytes\), until", text
    )
    assert f'href="/kept/{name}">Your files' in text
    assert ">Go on where you were</a>" in text
    program = await web.get(f"/user/{name}/api/status?token={token}")
    assert program.json()["kept"] == f"/kept/{name}"
    assert (await web.get(f"/user/{name}/api/status")).json()["kept"] is None
    web.client.headers["Cookie"] = f"perijove_launch={web.world.keys.launch_key(1)}"
    assert "1 file (4 bytes)" in (launch := (await web.get("/launch/1", **PAGES)).text)
    assert f'<a href="/kept/{name}">Your files</a>' in launch
    del web.client.headers["Cookie"]
    stranger = (await web.get(f"/user/{name}/lab", **PAGES)).text
    assert "4 bytes" not in stranger
    assert f'href="/kept/{name}">Your files' in stranger, "which tells them nothing"
    web.world.set(session__keep=0.0)
    assert "Nothing of its files is kept" in (await web.get(f"/user/{name}/lab?token={token}", **PAGES)).text


async def test_a_link_s_page_passes_on_that_nothing_is_wished_back(web: Web) -> None:
    text = (await web.get("/v2/gh/owner/repo/HEAD?fresh=true", **MINE)).text
    assert re.search(r'data-events="/build/gh/owner/repo/HEAD\?build_token=[^"]*&amp;fresh=true"', text)
    assert '<input type="hidden" name="fresh" value="true">' in text
