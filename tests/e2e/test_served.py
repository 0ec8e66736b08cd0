"""What Perijove's own server has imported before it is forked: all that its start and a first page need."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import unix_connect

from perijove.backends.environments import server as own
from tests.e2e.service import executed, first_server, until

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]

PREPARED = """
import os, sys, types
program = types.ModuleType("program")
program.__file__ = sys.argv[1]
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), program.__dict__)
del sys.argv[0]
program.prepare()
from nbformat.validator import validators
before, schemas = set(sys.modules), set(validators)
threads = len(os.listdir("/proc/self/task"))
def run(launch):
    launch()
    print("LATE", threads, *(set(validators) - schemas), *sorted(set(sys.modules) - before), flush=True)
    os._exit(0)
program.run = run
program.main()
"""
ASKED = (
    *("api/status", "lab", "lab/tree/a.ipynb", "tree", "notebooks/a.ipynb", "api/contents/?content=1", "api/me"),
    *("api/contents/a.ipynb?content=1", "api/kernelspecs", "lab/api/settings", "lab/api/translations/en"),
    *("lab/api/workspaces/default", "api/terminals", "api/sessions", "api/nbconvert", "api/kernels"),
)
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@contextmanager
def served(folder: Path, **more: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Its server as `serve.py` runs it, prepared first, and a client that it knows."""
    environment = first_server()
    (folder / "a.ipynb").write_text(json.dumps(NOTEBOOK))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "sock"))
        listener.listen()
        environ = {"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C.UTF-8", "JUPYTER_TOKEN": "token"}
        environ |= {"PERIJOVE_KERNEL_AHEAD": "page", "PERIJOVE_SOCKET_FD": f"{listener.fileno()}", **more}
        options = [*own.OPTIONS, own.SHARED, "--ServerApp.base_url=/user/x/", f"--ServerApp.root_dir={folder}"]
        python = [str(environment / "bin/python"), "-I", "-c", PREPARED, str(own.HERE / "serve.py"), "lab", *options]
        passed = [listener.fileno()]
        process = subprocess.Popen(
            python,
            env=environ,
            cwd=folder,
            pass_fds=passed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    transport = httpx.HTTPTransport(uds=str(folder / "sock"))
    headers = {"Authorization": "token token"}
    client = httpx.Client(transport=transport, base_url="http://localhost/user/x/", headers=headers, timeout=60)
    try:
        with client:
            yield client, process
    finally:
        process.kill()
        words, _ = process.communicate()
        assert "JupyterServerAuthWarning" not in words, words


def test_a_server_is_told_when_it_is_stopped_tells_its_pages_and_they_may_say_that_it_is_used(tmp_path: Path) -> None:
    def told(ending: str, notices: str = "") -> str:
        """As the service asks, every few seconds: what it hears."""
        headers = {"X-Perijove-Ending": ending, "X-Perijove-Notices": notices}
        answer = client.get("api/kernels?no_track_activity=1", headers=headers)
        assert answer.json() == []
        return answer.headers["X-Perijove-Use"].partition(" ")[0]

    with served(tmp_path) as (client, _):
        assert client.get("perijove/session").json().keys() == {"now"}
        unused = told("at=99999999999 reason=idle")
        assert client.get("perijove/session").json()["reason"] == "idle"
        assert told("at=99999999999 reason=idle") == unused == "used=0.000"
        assert client.post("perijove/session").status_code == 204
        assert client.get("perijove/session").json().keys() == {"now"}
        assert told("at=99999999999 reason=idle") > unused
        assert client.get("perijove/session").json().keys() == {"now"}, "the service did not know yet"
        told("at=99999999999 reason=old")
        assert client.post("perijove/session").status_code == 204
        assert client.get("perijove/session").json()["reason"] == "old", "which nobody can put off"
        for odd in ("", "at=1", "at=1 reason=<b>", "at=nan reason=old", "at=9999999999999 reason=old"):
            told(odd)
            assert client.get("perijove/session").json().keys() == {"now"}
        noticed = {"shares": {"memory": [1, 2]}, "troubles": [{"at": 1.5, "says": "\u00e9"}]}
        for said, shown in ((json.dumps(noticed), noticed), ("[1]", noticed), ("{", noticed), ("{}", {})):
            told("", said)
            answer = client.get("perijove/session").json()
            assert answer.pop("now") > 1_700_000_000
            assert answer == shown
        client.cookies.clear()
        headers = {"Authorization": ""}
        assert client.get("perijove/session", headers=headers).status_code == 403
        assert client.post("perijove/session", headers=headers).status_code == 403


KERNEL = {"argv": ["/usr/bin/env", "python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]}


@contextmanager
def held(folder: Path) -> Iterator[httpx.Client]:
    """A server that waits for its visitor, with a kernel that runs already."""
    spec = folder / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({**KERNEL, "display_name": "Python", "language": "python"}))
    (folder / "moons").mkdir()
    found = {"PATH": f"{first_server() / 'bin'}:{os.defpath}", "JUPYTER_PATH": str(folder / "jupyter")}
    runtime = {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    with served(folder, PERIJOVE_KERNEL_AHEAD="held", **found, **runtime) as (client, _):
        assert client.get("api/status").json()["kernels"] == 0
        until(lambda: any(listens(folder, kernel) for kernel in spares(folder)))
        yield client


def spares(folder: Path) -> list[str]:
    """Kernels that run, or are about to."""
    return [path.stem.partition("-")[2] for path in (folder / "runtime").glob("kernel-*.json")]


def listens(folder: Path, kernel: str) -> bool:
    """Whether it is past its start."""
    try:
        told = json.loads((folder / "runtime" / f"kernel-{kernel}.json").read_text())
    except ValueError:  # half written
        return False
    with socket.socket() as probe:
        return probe.connect_ex((told["ip"], told["hb_port"])) == 0


async def value(folder: Path, kernel: str, code: str) -> Any:
    address = f"ws://localhost/user/x/api/kernels/{kernel}/channels?token=token"
    async with asyncio.timeout(100), unix_connect(str(folder / "sock"), address, max_size=None) as channel:
        return ast.literal_eval(await executed(channel, code))


NOTEBOOK_OPENED = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
TOLD = "import os; ('kernel_forker' in open('/proc/self/cmdline').read(), *map(os.environ.get, ['BINDER_REPO_URL', "
TOLD += "'JPY_SESSION_NAME']), globals().get('__session__'), In[1:], Out)"


@pytest.mark.parametrize("by_notebook", [False, True])
async def test_the_first_who_asks_a_held_server_gets_a_kernel_that_runs_and_knows_all(
    tmp_path: Path, by_notebook: bool
) -> None:
    told = {"BINDER_REPO_URL": "https://example.org/moon", "HOME": "/elsewhere"}
    with held(tmp_path) as client:
        answer = client.get("api/kernels", headers={"X-Perijove-Variables": json.dumps(told)})
        assert answer.headers["X-Perijove-Variables"] == "1", "not its home"
        assert answer.json() == []
        client.cookies.clear()
        unknown = client.get("api/kernels", headers={"X-Perijove-Variables": "{}", "Authorization": ""})
        assert unknown.status_code == 403
        (spare,) = spares(tmp_path)
        name = str(tmp_path / "a.ipynb") if by_notebook else None
        if by_notebook:
            kernel = client.post("api/sessions", json=NOTEBOOK_OPENED).json()["kernel"]["id"]
        else:
            kernel = client.post("api/kernels", json={"name": "python3"}).json()["id"]
        assert kernel == spare
        assert [one["id"] for one in client.get("api/kernels").json()] == [spare]
        for _ in ("at once", "when it was started again"):
            assert await value(tmp_path, kernel, TOLD) == (True, told["BINDER_REPO_URL"], name, name, [], {})
            client.post(f"api/kernels/{kernel}/restart").raise_for_status()
        assert client.post("api/kernels", json={"name": "python3"}).json()["id"] != spare


OTHERS: dict[str, dict[str, Any]] = {
    "elsewhere": {"path": "moons"},
    "by an id of its own": {"kernel_id": "00000000-0000-4000-8000-000000000000"},
    "of another name": {"name": "conda-env-moons-py"},
    "where its description is another": {},
    "where a file of its folder would be imported": {},
    "where packages have changed": {},
    "where its settings have changed": {},
}


@pytest.mark.parametrize("asked", OTHERS)
async def test_who_asks_for_another_kernel_gets_that_and_no_other_is_left(tmp_path: Path, asked: str) -> None:
    with held(tmp_path) as client:
        (spare,) = spares(tmp_path)
        if "description" in asked:
            spec = {**KERNEL, "display_name": "Python", "language": "python", "env": {"MOON": "Io"}}
            (tmp_path / "jupyter/kernels/python3/kernel.json").write_text(json.dumps(spec))
        if "imported" in asked:
            (tmp_path / "random.py").write_text("import os\n")
        if "settings" in asked:
            (tmp_path / "ipython_config.py").touch()
        if "packages" in asked:
            version = next((first_server() / "lib").glob("python3*")).name
            (tmp_path / ".local/lib" / version / "site-packages").mkdir(parents=True)
        kernel = client.post("api/kernels", json={"name": "python3", **OTHERS[asked]}).json()["id"]
        assert kernel != spare
        assert [one["id"] for one in client.get("api/kernels").json()] == [kernel]
        assert spares(tmp_path) == [kernel]
        found = await value(tmp_path, kernel, "import os; (os.getcwd(), os.environ.get('MOON'))")
        assert found == (str(tmp_path / OTHERS[asked].get("path", "")), "Io" if "description" in asked else None)


def test_what_a_page_saves_by_itself_is_no_use_but_what_somebody_wrote_is(tmp_path: Path) -> None:
    def used_by(method: str, path: str, source: str = "", output: str = "", **more: str) -> bool:
        """Whether a request counts as use."""
        before = float(client.get("api/kernels").headers["X-Perijove-Use"].partition(" ")[0].partition("=")[2])
        outputs = [{"output_type": "stream", "name": "stdout", "text": output}]
        cell = {"id": "a", "cell_type": "code", "source": source, "outputs": outputs, "execution_count": 1}
        content = more.get("content") or NOTEBOOK | {"cells": [{**cell, "metadata": {}}]}
        model = {"type": "notebook", "format": "json", "content": content} | more
        answer = client.request(method, path, json=model if method == "PUT" else None)
        assert answer.is_success, answer.text
        after = float(client.get("api/kernels").headers["X-Perijove-Use"].partition(" ")[0].partition("=")[2])
        return after > before

    with served(tmp_path) as (client, _):
        assert used_by("PUT", "api/contents/a.ipynb", "moons", "Io")
        assert not used_by("PUT", "api/contents/a.ipynb", "moons", "Io, Europa")
        assert not used_by("PUT", "api/contents/a.ipynb", "moons", "Io, Europa, Ganymede")
        assert used_by("POST", "api/contents/a.ipynb/checkpoints"), "somebody has pressed save"
        assert used_by("PUT", "api/contents/a.ipynb", "moons of Jupiter", "Io, Europa, Ganymede")
        assert used_by("PUT", "api/contents/a.txt", type="file", format="text", content="Io")
        assert not used_by("PUT", "api/contents/a.txt", type="file", format="text", content="Io")
        assert used_by("PUT", "api/contents/a.txt", type="file", format="text", content="Callisto")


def test_nothing_is_imported_or_compiled_that_was_not_before_the_fork(tmp_path: Path) -> None:
    with served(tmp_path) as (client, process):
        for path in ASKED:
            assert client.get(path).status_code in {200, 302}, path
        process.terminate()
        words, _ = process.communicate(timeout=30)
    late = next(line for line in words.splitlines() if line.startswith("LATE")).split()[1:]
    assert late == ["1"], "one thread, no schema of a notebook, and no module"


@pytest.mark.parametrize(("urlpath", "folder"), [("lab/tree/a.ipynb", "share/jupyter/lab"), ("tree", "notebook")])
def test_the_largest_script_is_asked_for_by_the_page_under_the_address_that_was_told(urlpath: str, folder: str) -> None:
    server = first_server()
    _, _, served_by, file = own.largest_script(server, urlpath).split("/")
    assert served_by == server.name
    name, _, version = file.partition("?v=")
    static = next(path for path in server.rglob(f"{folder}/static") if path.is_dir())
    page = next(main for main in static.glob("main.*.js") if version in main.read_text())
    assert f"{name.split('.')[0]}" in page.read_text()
    assert (server / "share/static" / name).stat().st_size > 1_000_000


def test_no_script_is_told_before_there_is_a_server(tmp_path: Path) -> None:
    assert own.largest_script(tmp_path, "lab") == ""
