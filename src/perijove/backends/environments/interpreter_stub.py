"""Stands where uv looks for an interpreter, and describes one that never runs outside a sandbox: conda's, a base's.

uv asks an interpreter about itself before it installs. `interpreter_stub.py ABOUT -I -B -c CODE` has a trusted one
answer, and puts the version and the paths of the environment into the answer; ABOUT is JSON of our own. The standard
library only.
"""

import contextlib
import io
import json
import sys


def main(about: str, *arguments: str) -> None:
    with open(about, encoding="utf-8") as file:
        told = json.load(file)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(arguments[arguments.index("-c") + 1], {"__name__": "__main__"})  # noqa: S102 - uv's own question
    answer = json.loads(said.getvalue())
    answer["markers"].update(
        python_full_version=told["version"], python_version=told["minor"], implementation_version=told["version"]
    )
    for name in ("sys_base_prefix", "sys_base_exec_prefix"):
        answer[name] = told["base"]
    answer["sys_prefix"] = told["at"]
    answer["sys_executable"], answer["sys_base_executable"] = told["executable"], told["base_executable"]
    if told["glibc"]:
        answer["os"] = {"name": "manylinux", "major": told["glibc"][0], "minor": told["glibc"][1]}
    packages = told["at"] + "/lib/python" + told["minor"] + "/site-packages"
    answer["sys_path"] = answer["site_packages"] = [packages]
    answer["stdlib"] = told["base"] + "/lib/python" + told["minor"]
    answer["scheme"] = {
        "platlib": packages,
        "purelib": packages,
        "include": told["at"] + "/include/python" + told["minor"],
        "scripts": told["at"] + "/bin",
        "data": told["at"],
    }
    print(json.dumps(answer))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
