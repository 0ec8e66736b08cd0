"""Kernels that are forked do what started ones do: the same tests of both, in one session."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from perijove.domain.state import State
from tests.e2e.kernels import Talk, open_page, post, talking
from tests.e2e.service import Service, Session, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")
FORKED = "'kernel_forker' in open('/proc/self/cmdline').read()"


@dataclass(frozen=True)
class Kernels:
    """One session, with a kernel that was started before any page was opened, and one that was forked since."""

    service: Service
    session: Session
    started: str
    forked: str

    def log(self) -> str:
        return self.service.cli("logs", "session", self.session.name)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    folder.chmod(0o755)
    (folder / "requirements.txt").write_text("matplotlib\n")
    (folder / "hiding").mkdir()
    (folder / "hiding" / "random.py").write_text("import os\n")
    (folder / "shown" / "code").mkdir(parents=True)
    (folder / "shown" / "orbit.py").write_text("days = 14\n")
    return folder


@pytest.fixture(scope="module")
def kernels(module_state: State, repository: Path) -> Iterator[Kernels]:
    for service in running(module_state, SESSION_KERNEL_AHEAD="true"):
        session = service.session(str(repository))
        started = session.kernel()
        assert session.execute(FORKED, started) == "False"
        open_page(session)
        forked = session.kernel()
        assert session.execute(FORKED, forked) == "True"
        yield Kernels(service, session, started, forked)


@pytest.fixture(params=["started", "forked"])
def kernel(kernels: Kernels, request: pytest.FixtureRequest) -> str:
    return str(getattr(kernels, request.param))


FACTS = r"""
STATUS = "SigBlk SigIgn SigCgt Umask NoNewPrivs Seccomp CapEff CapBnd Threads".split()
def facts():
    import sys
    modules = sorted(set(sys.modules) - set(sys.builtin_module_names))
    def without(text): return re.sub(r"0x[0-9a-f]+|\d+", "N", text)
    import asyncio, faulthandler, gc, locale, os, re, resource, signal, threading, warnings
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    opened = []
    for number in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{number}"):
            opened.append(os.readlink(f"/proc/self/fd/{number}") + f" {os.get_inheritable(int(number))}")
    found = dict(
        argv=[without(one.replace(os.environ["HOME"], "~")) for one in sys.argv[:2]], arguments=len(sys.argv),
        orig_argv=sys.orig_argv[:-1], path=sys.path, flags=tuple(sys.flags), options=sys._xoptions,
        executable=(sys.executable, sys.prefix, sys.base_prefix, sys._base_executable), cwd=os.getcwd(),
        environ={name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"},
        modules=modules, module=sorted(vars(sys.modules["__main__"])), loop=type(asyncio.get_event_loop()).__name__,
        signals={int(one): without(repr(signal.getsignal(one))) for one in signal.valid_signals()},
        leads=os.getpid() == os.getpgid(0) == os.getsid(0), orphan=os.getppid() != int(os.environ["JPY_PARENT_PID"]),
        nice=os.nice(0), policy=os.sched_getscheduler(0), affinity=sorted(os.sched_getaffinity(0)), limits=limits,
        status={name: status[name] for name in STATUS}, tasks=len(os.listdir("/proc/self/task")),
        main=(threading.current_thread() is threading.main_thread(), repr(type(threading.main_thread()))),
        threads=sorted(without(thread.name) for thread in threading.enumerate()),
        descriptors=sorted(without(one) for one in opened), collector=(gc.isenabled(), gc.get_threshold()),
        streams=[(one.name, one.encoding, one.errors) for one in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
        encodings=(locale.getpreferredencoding(), sys.getfilesystemencoding()), faults=faulthandler.is_enabled(),
        recursion=sys.getrecursionlimit(), filters=sorted(repr(one) for one in warnings.filters),
        finders=[getattr(one, "__name__", type(one).__name__) for one in sys.meta_path], hooks=len(sys.path_hooks),
        trace=(sys.gettrace(), sys.getprofile()), interval=sys.getswitchinterval(), hashing=sys.hash_info.width,
    )
    return repr(found)
facts()
"""


async def test_all_that_can_be_asked_of_both_is_the_same(kernels: Kernels) -> None:
    found = []
    for kernel in (kernels.started, kernels.forked):
        async with talking(kernels.session, kernel) as talk:
            found.append(ast.literal_eval(await talk.value(FACTS)))
    started, forked = found
    different = {name: (started[name], forked[name]) for name in started if started[name] != forked[name]}
    assert different == {}


@pytest.mark.parametrize(
    ("code", "value"),
    [
        pytest.param("1 + 1", 2, id="adds"),
        pytest.param("import asyncio\nawait asyncio.sleep(0, 'awaited')", "awaited", id="awaits"),
        pytest.param("said = !echo $HOME\n!exit 3\n(list(said), _exit_code)", (["/home/jovyan"], 3), id="shell"),
        pytest.param("import os\nos.environ['MOON'] = 'Io'\nsaid = !echo $MOON\nsaid[0]", "Io", id="environ"),
        pytest.param("%gui asyncio\nawait asyncio.sleep(0, 'awaited')", "awaited", id="gui"),
        pytest.param("print('told', end='')\nget_ipython().history_manager.enabled", True, id="history"),
        pytest.param(
            "from concurrent.futures import *\nlist(ThreadPoolExecutor(2).map(abs, [-1, 2]))", [1, 2], id="threads"
        ),
        pytest.param("import os\npid = os.fork() or os._exit(7)\nos.waitpid(pid, 0)[1] >> 8", 7, id="fork"),
        pytest.param("import sys\nsys.__stdin__.read()", "", id="no stdin"),
        *(
            pytest.param(
                f"import multiprocessing as m\nwith m.get_context({way!r}).Pool(2) as p: n = p.map(abs, [-1, 2])\nn",
                [1, 2],
                id=way,
            )
            for way in ("fork", "forkserver", "spawn")
        ),
    ],
)
async def test_code_does_the_same(kernels: Kernels, kernel: str, code: str, value: object) -> None:
    async with talking(kernels.session, kernel) as talk:
        assert await talk.value(code) == value


async def test_input_is_asked_for_and_answered(kernels: Kernels, kernel: str) -> None:
    async with talking(kernels.session, kernel) as talk:
        said = await talk.run("print(input('Which moon? ').upper())", answer="Io")
    assert [asked["prompt"] for asked in said.of("input_request")] == ["Which moon? "]
    assert said.text == "IO\n"


async def test_what_threads_programs_and_faulthandler_write_arrives(kernels: Kernels, kernel: str) -> None:
    code = """
import faulthandler, os, subprocess, threading
thread = threading.Thread(target=print, args=("of a thread",))
thread.start(); thread.join()
subprocess.run(["echo", "of a program"])
os.system("echo of a shell")
faulthandler.enable(); faulthandler.is_enabled()
"""
    async with talking(kernels.session, kernel) as talk:
        said = await talk.run(code)
        lines = set(said.text.splitlines())
    assert {"of a thread", "of a program", "of a shell"} <= lines
    assert said.of("execute_result")[0]["data"]["text/plain"] == "True"


async def test_a_figure_is_drawn_into_the_page(kernels: Kernels, kernel: str) -> None:
    async with talking(kernels.session, kernel) as talk:
        said = await talk.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert [list(shown["data"]) for shown in said.of("display_data")] == [["text/plain", "image/png"]]


@pytest.mark.parametrize(
    "code",
    ["import time\nprint('begun')\ntime.sleep(100)", "print('begun')\n!sleep 100", "print('begun')\nwhile True: pass"],
    ids=["sleeps", "waits for a program", "computes"],
)
async def test_what_runs_is_interrupted(kernels: Kernels, kernel: str, code: str) -> None:
    async with talking(kernels.session, kernel) as talk:
        asked = await talk.runs(code)
        await talk.answered(asked, until="stream")
        post(kernels.session, f"api/kernels/{kernel}/interrupt")
        said = await talk.answered(asked)
        assert said.reply["status"] == "error" or "^C" in said.text, said
        assert await talk.value("1 + 1") == 2


async def test_the_debugger_stops_looks_and_goes_on(kernels: Kernels, kernel: str) -> None:
    code = "def half(number):\n    part = number / 2\n    return part\nhalf(84)"
    async with talking(kernels.session, kernel) as talk:
        assert (await talk.debug("initialize", clientID="test", adapterID="", pathFormat="path"))["success"]
        assert (await talk.debug("attach"))["success"]
        cell = (await talk.debug("dumpCell", code=code))["body"]["sourcePath"]
        points = await talk.debug("setBreakpoints", source={"path": cell}, breakpoints=[{"line": 3}])
        assert [point["verified"] for point in points["body"]["breakpoints"]] == [True]
        await talk.debug("configurationDone")
        asked = await talk.runs(code)
        thread = await stopped(talk)
        frames = (await talk.debug("stackTrace", threadId=thread))["body"]["stackFrames"]
        scopes = (await talk.debug("scopes", frameId=frames[0]["id"]))["body"]["scopes"]
        seen = await talk.debug("variables", variablesReference=scopes[0]["variablesReference"])
        assert ("part", "42.0") in {(one["name"], one["value"]) for one in seen["body"]["variables"]}
        await talk.debug("continue", threadId=thread)
        said = await talk.answered(asked)
        assert said.of("execute_result")[0]["data"]["text/plain"] == "42.0"
        assert (await talk.debug("disconnect", restart=False, terminateDebuggee=False))["success"]


async def stopped(talk: Talk) -> int:
    """The thread that the debugger has stopped."""
    for _ in range(200):
        for event in talk.events:
            if event["event"] == "stopped":
                return int(event["body"]["threadId"])
        await talk.debug("debugInfo")
    raise AssertionError(talk.events)


async def test_a_subshell_answers_while_the_kernel_is_busy(kernels: Kernels, kernel: str) -> None:
    async with talking(kernels.session, kernel) as talk:
        subshell = (await talk.ask("create_subshell_request", {}, "control")).reply["subshell_id"]
        busy = await talk.runs("import threading\nawaited = threading.Event()\nprint('begun')\nawaited.wait(60)")
        await talk.answered(busy, until="stream")
        said = await talk.run("answer = 6 * 7\nawaited.set()", subshell=subshell)
        assert said.reply["status"] == "ok"
        assert (await talk.answered(busy)).of("execute_result")[0]["data"]["text/plain"] == "True"
        assert await talk.value("answer") == 42
        deleted = await talk.ask("delete_subshell_request", {"subshell_id": subshell}, "control")
        assert deleted.reply["status"] == "ok"


WHO = """
import multiprocessing, numpy, random, secrets, ssl, tempfile, uuid
key = bytes(multiprocessing.current_process().authkey)
drawn = [random.random(), float(numpy.random.rand()), uuid.uuid4().hex, secrets.token_hex(), ssl.RAND_bytes(8)]
[*drawn, tempfile.mktemp(), key]
"""


async def test_no_two_kernels_draw_the_same_numbers(kernels: Kernels) -> None:
    drawn = []
    for _ in range(2):
        kernel = kernels.session.kernel()
        async with talking(kernels.session, kernel) as talk:
            assert await talk.value(FORKED)
            drawn.append(await talk.value(WHO))
        end(kernels.session, kernel)
    assert [one for one, other in zip(*drawn, strict=True) if one == other] == []


def end(session: Session, kernel: str) -> None:
    answer = httpx.delete(session.base + f"api/kernels/{kernel}", headers=session.headers, timeout=60, trust_env=False)
    answer.raise_for_status()


PROCESSES = r"""
def processes():
    import os
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            facts = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
            words = open(f"/proc/{name}/cmdline").read().split("\0")
        except OSError:
            continue
        found[int(name)] = (facts[0], int(facts[17]), "kernel_forker" in " ".join(words))
    return found
"""


@dataclass(frozen=True)
class Process:
    pid: int
    state: str
    threads: int
    forked: bool


async def processes(kernels: Kernels) -> list[Process]:
    """All of the session's, as one of its kernels sees them."""
    async with talking(kernels.session, kernels.started) as talk:
        found = await talk.value(f"{PROCESSES}\nprocesses()")
    return [Process(pid, *of) for pid, of in found.items()]


async def own_pid(kernels: Kernels, kernel: str) -> int:
    async with talking(kernels.session, kernel) as talk:
        return int(await talk.value("import os\nos.getpid()"))


async def test_a_kernel_that_ends_is_waited_for_and_one_that_dies_is_forked_again(kernels: Kernels) -> None:
    kernel = kernels.session.kernel()
    first = await own_pid(kernels, kernel)
    post(kernels.session, f"api/kernels/{kernel}/restart")
    second = await own_pid(kernels, kernel)
    async with talking(kernels.session, kernel) as talk:
        assert await talk.value(FORKED)
        dying = await talk.runs("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
        assert dying
    third = await another_pid(kernels, kernel, second)
    async with talking(kernels.session, kernel) as talk:
        assert await talk.value(FORKED)
    end(kernels.session, kernel)
    left = await processes(kernels)
    assert {first, second, third} & {process.pid for process in left} == set()
    assert [process for process in left if process.state == "Z"] == []


async def another_pid(kernels: Kernels, kernel: str, old: int) -> int:
    """The kernel's, once Jupyter has noticed that the old one is dead."""
    for _ in range(200):
        if kernels.session.get(f"api/kernels/{kernel}").json()["execution_state"] != "dead":
            try:
                pid = await own_pid(kernels, kernel)
            except TimeoutError:
                continue
            if pid != old:
                return pid
    raise AssertionError("the kernel was not started again")


async def run(kernels: Kernels, code: str) -> None:
    async with talking(kernels.session, kernels.started) as talk:
        assert (await talk.run(code)).reply["status"] == "ok"


async def is_forked(kernels: Kernels, kernel: str) -> bool:
    async with talking(kernels.session, kernel) as talk:
        return bool(await talk.value(FORKED))


async def test_where_a_started_kernel_may_import_the_repository_s_file_it_is_started(kernels: Kernels) -> None:
    notebook = {"path": "hiding/one.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}}
    kernel = post(kernels.session, "api/sessions", **notebook).json()["kernel"]["id"]
    async with talking(kernels.session, kernel) as talk:
        own = await talk.value("import os\nos.environ['JPY_SESSION_NAME']")
    assert not await is_forked(kernels, kernel)
    assert "random.py would be imported in place of Python's or a package's" in kernels.log()
    notebook["path"] = "shown/one.ipynb"
    kernel = post(kernels.session, "api/sessions", **notebook).json()["kernel"]["id"]
    assert await is_forked(kernels, kernel)
    async with talking(kernels.session, kernel) as talk:
        told = "import os, code, orbit\nos.getcwd(), os.environ['JPY_SESSION_NAME'], 'shown' in str(code), orbit.days"
        assert await talk.value(told) == ("/home/jovyan/shown", own.replace("hiding", "shown"), False, 14)


async def test_a_kernel_with_variables_or_words_of_its_own_is_started(kernels: Kernels) -> None:
    code = """
import json, os
argv = ["/usr/bin/env", "python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
usual = [*argv[:2], "-Xfrozen_modules=off", *argv[2:]]
for name, spec in {"moon": {"argv": usual, "env": {"MOON": "Io"}}, "words": {"argv": argv}}.items():
    os.makedirs(folder := os.path.expanduser(f"~/.local/share/jupyter/kernels/{name}"))
    json.dump({**spec, "display_name": name, "language": "python"}, open(f"{folder}/kernel.json", "w"))
"""
    await run(kernels, code)
    for name, said in (("moon", "Io"), ("words", None)):
        kernel = post(kernels.session, "api/kernels", name=name).json()["id"]
        async with talking(kernels.session, kernel) as talk:
            assert await talk.value(f"import os\nos.environ.get('MOON'), {FORKED}") == (said, False)
    assert "its variables are others: MOON" in kernels.log()
    assert "its Python or the options of it are others" in kernels.log()


async def test_what_pip_has_changed_is_imported_anew(kernels: Kernels) -> None:
    code = "import sysconfig\nopen(sysconfig.get_path('purelib') + '/zz_new.py', 'w').write('moon = 42')"
    await run(kernels, code)
    kernel = kernels.session.kernel()
    assert not await is_forked(kernels, kernel)
    post(kernels.session, f"api/kernels/{kernel}/restart")
    async with talking(kernels.session, kernel) as talk:
        assert await talk.value(f"import zz_new\nzz_new.moon, {FORKED}") == (42, True)
    assert "packages have changed" in kernels.log()


CONFIGURED = "import IPython.paths as p\nopen(p.locate_profile() + '/ipython_kernel_config.py', 'w').write({!r})"
LISTENS = """
import json, socket, jupyter_core.paths
told = json.load(open(f"{{jupyter_core.paths.jupyter_runtime_dir()}}/kernel-{}.json"))
[socket.socket().connect_ex((told["ip"], port)) for name, port in told.items() if name.endswith("_port")]
"""


async def test_a_forked_kernel_that_is_slow_is_told_of_once_it_listens(kernels: Kernels) -> None:
    await run(kernels, CONFIGURED.format("import time\ntime.sleep(1)"))
    kernel = kernels.session.kernel()
    async with talking(kernels.session, kernels.started) as talk:
        assert await talk.value(LISTENS.format(kernel)) == [0] * 5
    await run(kernels, CONFIGURED.format(""))
    assert await is_forked(kernels, kernel)


async def test_where_the_forker_is_gone_its_kernels_go_on_and_later_ones_are_started(kernels: Kernels) -> None:
    kernel = kernels.session.kernel()
    assert await is_forked(kernels, kernel)
    forker = next(process.pid for process in await processes(kernels) if process.forked and process.threads == 1)
    await run(kernels, f"import os\nos.kill({forker}, 9)")
    assert await is_forked(kernels, kernel)
    assert not await is_forked(kernels, kernels.session.kernel())
    assert "what forked kernels ended with exit status -9" in kernels.log()
