"""Starts a Jupyter server on a socket that listens already. Runs inside the sandbox: the standard library only.

`serve.py lab|notebook|server [options]`; the socket is file descriptor `$PERIJOVE_SOCKET_FD`.
Saves 1.3 s of a start that takes 1.8 s otherwise: a grammar that is compiled for nothing, and a probe of Node.js.
"""

import functools
import gc
import importlib
import importlib.metadata
import importlib.util
import os
import re
import socket
import sys
import traceback
from typing import Any

APPS = {
    "lab": ("jupyterlab.labapp", "LabApp"),
    "notebook": ("notebook.app", "JupyterNotebookApp"),
    "server": ("jupyter_server.serverapp", "ServerApp"),
}
# jsonschema imports these for optional "format" checks; the first compiles a grammar for a whole second.
OPTIONAL = (
    "rfc3987_syntax",
    "rfc3987",
    "isoduration",
    "fqdn",
    "uri_template",
    "webcolors",
    "rfc3339_validator",
    "rfc3986_validator",
)
# What the app imports as it starts, and for the first requests of JupyterLab's and Notebook's pages.
LATER = (
    "tornado.platform.asyncio",
    "jupyter_core.migrate",
    "jupyter_server_terminals.app",
    "jupyter_server_terminals.api_handlers",
    "jupyter_server_terminals.handlers",
    "notebook.app",
    "jinja2.ext",
    *(f"jupyter_server.{part}.handlers" for part in ("kernelspecs", "nbconvert", "view")),
    *(
        f"jupyter_server.services.{part}.handlers"
        for part in (
            "api",
            "config",
            "contents",
            "events",
            "kernels",
            "kernelspecs",
            "nbconvert",
            "security",
            "sessions",
        )
    ),
    "jupyter_server.services.shutdown",
    "anyio._backends._asyncio",
    "ipykernel.kernelspec",
    "nbconvert.exporters",
    "IPython",
    "babel.numbers",
    "psutil",
    "encodings.unicode_escape",
)


# Names of kernels that are no Python's, where none of that name or language is installed.
FOREIGN = re.compile(
    r"^ir\d*$|[-_]r$|julia|scala|spylon|bash|stata|script|tslab|deno|xc|cling|octave|matlab|sas|java|kotlin|ruby|perl"
    r"|gophernotes|rust|evcxr|sharp|net|haskell|sql|sage|wolfram|maxima|gnuplot|fortran|spark|lua|lisp|clojure",
    re.IGNORECASE,
)


INHERITED: "dict[str, str]" = {}
KERNEL = 12
"""Processes and threads of a Python kernel that has just been started (ipykernel 7: its own, and ZeroMQ's)."""


def adopt_socket() -> None:
    """Have tornado hand out the inherited socket where a server asks for one at `--ServerApp.sock`."""
    netutil = importlib.import_module("tornado.netutil")
    bound = netutil.bind_unix_socket

    def bind_unix_socket(file: str, mode: int = 0o600, backlog: int = 128) -> Any:
        descriptor = INHERITED.get("socket")
        if not descriptor:
            return bound(file, mode, backlog)
        adopted = socket.socket(fileno=int(descriptor))
        adopted.setblocking(False)
        adopted.set_inheritable(False)
        return adopted

    setattr(netutil, "bind_unix_socket", bind_unix_socket)  # noqa: B010 - the type checker knows no tornado


def insist_on_settings() -> None:
    """Have a configuration file that cannot be read end the start: what it says would be left out in silence."""
    switch = "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR"
    os.environ[switch] = "1"
    application = importlib.import_module("jupyter_core.application").JupyterApp  # traitlets looks once
    del os.environ[switch]  # kernels have settings of their own
    known = application.load_config_file

    def load_config_file(app: Any, *given: Any, **named: Any) -> None:
        try:
            known(app, *given, **named)
        except (
            Exception
        ) as error:  # whatever a repository wrote there; extensions read files too, and are left out then
            traceback.print_exc()
            raise SystemExit(1) from error

    setattr(application, "load_config_file", load_config_file)  # noqa: B010 - the type checker knows no jupyter_core


def prefer_own_cookies() -> None:
    """Of two cookies of one name the first counts, whose path is the longest (RFC 6265, 5.4): it is the session's own.

    Pages of the hosts beside a session's own may set others for it; tornado would take the last.
    """
    httputil = importlib.import_module("tornado.httputil")
    parsed = httputil.parse_cookie

    def parse_cookie(cookie: str) -> dict[str, str]:
        found: dict[str, str] = parsed(";".join(reversed(cookie.split(";"))))
        return found

    setattr(httputil, "parse_cookie", parse_cookie)  # noqa: B010 - the type checker knows no tornado


def open_unknown_kernels() -> None:
    """Have a notebook whose kernel's name exists on its author's machine alone run by the kernel of its language."""
    kernelspec = importlib.import_module("jupyter_client.kernelspec")
    known = kernelspec.KernelSpecManager.get_kernel_spec

    def get_kernel_spec(manager: Any, kernel_name: str) -> Any:
        try:
            return known(manager, kernel_name)
        except kernelspec.NoSuchKernel:
            instead = kernel_of(kernel_name, kernels_by_language(manager, known))
            if instead is None:
                raise
            manager.log.warning("There is no kernel %r: %r is taken", kernel_name, instead)
            return known(manager, instead)

    setattr(kernelspec.KernelSpecManager, "get_kernel_spec", get_kernel_spec)  # noqa: B010


def refuse_kernels_without_room() -> None:
    """Have a kernel that would have no threads be refused in words: it would die as it starts, five times over."""
    try:
        provisioner = importlib.import_module("jupyter_client.provisioning").LocalProvisioner
    except ImportError:  # jupyter_client has had it since 7.0
        return
    http_error = importlib.import_module("tornado.web").HTTPError
    pre_launch = provisioner.pre_launch

    class NoRoom(http_error):  # type: ignore[misc, valid-type]
        """Some handlers show an error's own text, some its message."""

        def __str__(self) -> str:
            return str(self.log_message)

    async def with_room(self: Any, **given: Any) -> Any:
        allowed, there = int(INHERITED.get("processes") or 0), threads()
        if allowed and there + KERNEL > allowed:
            message = (
                f"This session has {there} processes and threads of the {allowed} that it may have, too many for one "
            )
            raise NoRoom(503, message + "more kernel: shut down kernels or terminals that you do not need")
        return await pre_launch(self, **given)

    setattr(provisioner, "pre_launch", with_room)  # noqa: B010 - the type checker knows no jupyter_client


def threads() -> int:
    """Of all processes that can be seen, which are the session's (proc_pid_stat(5): num_threads)."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                count += int(stat.read().rpartition(")")[2].split()[17])
        except OSError:  # it has ended
            continue
    return count


def tell_pages() -> None:
    """Have what JupyterLab's and Notebook's pages are told pass by `told_to_page`, as a hub's server has it."""
    application = importlib.import_module("jupyter_server.serverapp").ServerWebApplication
    known = application.init_settings

    def init_settings(*given: Any, **named: Any) -> Any:
        settings = known(*given, **named)
        settings.setdefault("page_config_hook", told_to_page)
        return settings

    setattr(application, "init_settings", init_settings)  # noqa: B010 - the type checker knows no jupyter_server


def told_to_page(handler: Any, page: "dict[str, Any]") -> "dict[str, Any]":
    """All sessions' static files lie below the service's path.

    Where a web server in front asks for a password, a request's one `Authorization` (RFC 9110, 11.6.2) is for that: a
    page with the token would send the token in its place. Without one it shows itself by its cookie.
    """
    page = dict(page)
    if str(page.get("fullStaticUrl", "")).startswith("/-/"):
        page["fullStaticUrl"] = os.environ.get("JUPYTERHUB_BASE_URL", "/") + page["fullStaticUrl"][1:]
    if handler.request.headers.get("Authorization", "").lower().startswith("basic "):
        page["token"] = ""
    return page


def kernels_by_language(manager: Any, known: Any) -> "dict[str, str]":
    """A kernel for each language that there is; Python's is the one that every environment has."""
    languages = {}
    for name in sorted(manager.find_kernel_specs(), key=lambda name: (name == "python3", name)):
        try:
            languages[known(manager, name).language.lower()] = name
        except Exception as error:  # noqa: BLE001 - whatever a repository wrote there, other kernels are not in its hands
            manager.log.warning("The kernel %r cannot be read: %s", name, error)
    return languages


def kernel_of(name: str, languages: "dict[str, str]") -> "str | None":
    """Of the kernels by their languages, the one for a kernel's name: `conda-env-myenv-py`, `julia-1.6`, `ir`."""
    if re.search(r"^ir\d*$|[-_]r$", name, re.IGNORECASE):
        return languages.get("r")
    for language, kernel in languages.items():
        if len(language) > 1 and language in name.lower():
            return kernel
    return None if FOREIGN.search(name) else languages.get("python")


def fork_kernels(*, held: bool) -> None:
    """Have kernels forked of a process that imports what they need while a page loads, as an own server's never are.

    `held`: at once, for the session waits to be handed out.
    """
    ours = beside("kernel_provisioner")
    beside("spare_kernel")
    ours.begin_with_pages(held=held)
    factory = importlib.import_module("jupyter_client.provisioning.factory").KernelProvisionerFactory
    entry = importlib.metadata.EntryPoint(ours.NAME, f"{ours.__name__}:Provisioner", factory.GROUP_NAME)
    factory.provisioners[entry.name] = entry
    sys.argv.append(f"--KernelProvisionerFactory.default_provisioner_name={entry.name}")


def beside(name: str) -> Any:
    """The module of this name in the folder of this one."""
    if name not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None  # noqa: PT018
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def import_formats_without_options() -> None:
    """Import jsonschema while its optional imports fail; later imports of them, by others, work."""
    hidden = [name for name in OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        importlib.import_module("jsonschema")
    except ImportError:
        return
    finally:
        for name in hidden:
            del sys.modules[name]


def skip_yarn_probe() -> None:
    """JupyterLab runs `node yarn config` at import, to build extensions with; nothing is built here."""
    try:
        commands = importlib.import_module("jupyterlab.commands")
    except ImportError:
        return
    if hasattr(commands, "_yarn_config"):
        setattr(commands, "_yarn_config", lambda logger=None: {"yarn config": {}, "npm config": {}})  # noqa: B010


def prepare() -> None:
    """Import what Perijove's own server does at its start and for a first page: for a process it is forked from."""
    gc.disable()
    imported("lab")
    for name in LATER:
        importlib.import_module(name)
    beside("kernel_provisioner")
    beside("spare_kernel")
    practise()


def practise() -> None:
    """Do once for all sessions what each one's first requests would: compile notebooks' schemas, look for exporters."""
    nbformat = importlib.import_module("nbformat")
    for minor in range(nbformat.current_nbformat_minor + 1):
        notebook = {"nbformat": nbformat.current_nbformat, "nbformat_minor": minor, "metadata": {}, "cells": []}
        nbformat.validate(notebook)
    exporters: Any = importlib.import_module("nbconvert.exporters.base")
    exporters.entry_points = functools.cache(exporters.entry_points)
    exporters.entry_points(group="nbconvert.exporters")


def imported(wanted: str) -> Any:
    """The app's class, once its imports and what we do to them are done."""
    module, name = APPS[wanted]
    if "jupyter_server.serverapp" not in sys.modules:
        insist_on_settings()
        adopt_socket()
        prefer_own_cookies()
        open_unknown_kernels()
        refuse_kernels_without_room()
        import_formats_without_options()
        if module != "jupyter_server.serverapp":
            skip_yarn_probe()
        beside("server_usage").notice()
        tell_pages()
    return getattr(importlib.import_module(module), name)


def main() -> None:
    """Import with the collector off, then run the app to its end."""
    if script := os.environ.pop("PERIJOVE_START", ""):
        print(f"{script} ran the server", flush=True)  # noqa: T201
    gc.disable()
    INHERITED["socket"] = os.environ.pop("PERIJOVE_SOCKET_FD", "")
    INHERITED["processes"] = os.environ.pop("PERIJOVE_PROCESSES", "")
    ahead = os.environ.pop("PERIJOVE_KERNEL_AHEAD", "")
    app = imported(sys.argv.pop(1))
    if ahead and sys.prefix != os.environ.get("VIRTUAL_ENV"):
        fork_kernels(held=ahead == "held")
    # JupyterLab 3 has no such setting, and does not start when it is told of it.
    if app.__name__ == "LabApp" and "extension_manager" in app.class_trait_names():
        sys.argv.append("--LabApp.extension_manager=readonly")
    if token := os.environ.get("JUPYTER_TOKEN"):  # a configuration file's own would win over the variable
        sys.argv.append(f"--IdentityProvider.token={token}")
    gc.enable()
    gc.freeze()
    run(app.launch_instance)


def run(launch: Any) -> None:
    """Run the server, and end with it: threads that still read files would keep the session, which answers nobody."""
    status = 1
    try:
        launch()
        status = 0
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)  # noqa: T201
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - told as Python tells it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
