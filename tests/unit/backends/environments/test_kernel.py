import json
import os
from pathlib import Path

import pytest

from perijove.backends.environments.kernel import MARK, PYTHON, finish, too_old, versions
from perijove.backends.environments.serve import kernel_of
from perijove.domain.build_inputs import Interpreter

REST = ["-m", "mine", "-f", "{connection_file}"]


@pytest.mark.parametrize(
    ("first", "ours"),
    [("python", True), ("python3", True), ("python3.12", True), ("/gone/bin/python3", True), ("xcpp", False)],
)
def test_every_kernel_runs_with_its_environment_s_own_python(tmp_path: Path, first: str, ours: bool) -> None:
    environment, cached = tmp_path / "env", tmp_path / "cached.json"
    cached.write_text(json.dumps({"argv": [first, *REST], "display_name": "Mine"}))
    folder = environment / "share/jupyter/kernels/mine"
    folder.mkdir(parents=True)
    os.link(cached, folder / "kernel.json")
    finish(environment, tmp_path, Interpreter("3.12.1", Path("/p/bin/python3.12"), Path("/p")))
    kernel = json.loads((folder / "kernel.json").read_text())
    assert kernel == {"argv": [*(PYTHON if ours else (first,)), *REST], "display_name": "Mine"}
    assert json.loads(cached.read_text())["argv"][0] == first


def test_bytecode_of_other_pythons_goes_and_stays_in_the_cache(tmp_path: Path) -> None:
    cached, packages = tmp_path / "cached.pyc", tmp_path / "site-packages"
    cached.write_bytes(b"")
    (packages / "x" / "__pycache__").mkdir(parents=True)
    (packages / "x" / "data").mkdir()
    (packages / "x-1.dist-info").mkdir()
    (packages / "x-1.dist-info" / f"{MARK}3.11").touch()
    for name in ("a.cpython-311.pyc", "a.cpython-312.pyc", "a.cpython-311.opt-1.pyc", "own.pyc"):
        os.link(cached, packages / "x" / "__pycache__" / name)
    os.link(cached, packages / "x" / "data" / "a.cpython-311.pyc")
    (packages / "y").mkdir()
    (packages / "y" / "__pycache__").symlink_to(packages / "x" / "data")
    finish(tmp_path / "env", packages, Interpreter("3.12.1", Path("/p/bin/python3.12"), Path("/p")))
    assert sorted(path.name for path in (packages / "x" / "__pycache__").iterdir()) == ["a.cpython-312.pyc", "own.pyc"]
    assert (packages / "y" / "__pycache__" / "a.cpython-311.pyc").exists()
    assert cached.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"argv": []}', '{"argv": [1]}', "[" * 100_000, "\xff"])
def test_what_is_no_kernel_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "env/share/jupyter/kernels/mine"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(text, "latin-1")
    finish(tmp_path / "env", tmp_path, Interpreter("3.12.1", Path("/p/bin/python3.12"), Path("/p")))
    assert (folder / "kernel.json").read_text("latin-1") == text


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        (("notebook-5.7.8.dist-info",), "notebook 5.7.8"),
        (("jupyterlab-1.2.6.dist-info", "notebook-6.4.0.dist-info"), "jupyterlab 1.2.6"),
        (("jupyterlab-3.0.0.dist-info", "notebook-6.4.13.dist-info", "jupyter_server-1.24.0.dist-info"), ""),
        (("notebook-7.4.1.dist-info", "jupyterlab-4.4.0rc1.dist-info"), ""),
    ],
)
def test_a_server_too_old_for_the_launcher_is_known(tmp_path: Path, folders: tuple[str, ...], found: str) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir()
    assert too_old(tmp_path) == found


@pytest.mark.parametrize(
    ("name", "languages", "kernel"),
    [
        ("conda-env-myenv-py", {"python": "python3"}, "python3"),
        ("myenv", {"python": "python3", "r": "ir"}, "python3"),
        ("python2", {"python": "python3"}, "python3"),
        ("conda-env-stats-r", {"python": "python3", "r": "ir"}, "ir"),
        ("ir", {"python": "python3"}, None),
        ("julia-1.6", {"python": "python3", "julia": "julia-1.9"}, "julia-1.9"),
        ("julia-1.6", {"python": "python3"}, None),
        ("bash", {"python": "python3"}, None),
    ],
)
def test_a_kernel_that_exists_nowhere_is_replaced_by_that_of_its_language(
    name: str, languages: dict[str, str], kernel: str | None
) -> None:
    assert kernel_of(name, languages) == kernel


def test_a_server_leaves_alone_what_conda_and_pip_have_installed(tmp_path: Path) -> None:
    for name in ("jupyterlab-3.6.1", "ruamel.yaml-0.18", "torch-2.1+cpu", "numpy-1.26.0", "numpy-2.0.0", "odd -1", "x"):
        (tmp_path / f"{name}.dist-info").mkdir()
    assert versions(tmp_path) == ["jupyterlab==3.6.1", "ruamel-yaml==0.18", "torch==2.1+cpu"]
