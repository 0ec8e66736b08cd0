import os
import pathlib

from setuptools import setup

# What a build must not see: the shared cache beside the environments, and other people's files.
saw = [
    path
    for path in ("/etc/shadow", "/var/lib", "/proc/1/root/etc/shadow")
    if os.path.exists(path) and os.access(path, os.R_OK)
]
pathlib.Path("src/galileo.py").write_text(f"built_in = {os.getcwd()!r}\nsaw = {saw!r}\n")
setup(name="galileo", version="2", package_dir={"": "src"}, py_modules=["galileo"])
