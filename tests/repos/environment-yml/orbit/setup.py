import json
import os
import pathlib
import sys

from setuptools import setup

assert f"{sys.prefix}/bin" in os.environ["PATH"].split(":"), os.environ["PATH"]
# What `conda list` reads can be read by whoever is shown it.
told = [json.loads(path.read_text()) for path in pathlib.Path(sys.prefix, "conda-meta").glob("*.json")]
assert {"python", "numpy", "jupiter"} <= {one["name"] for one in told}, told
setup(
    name="orbit",
    version="1.0",
    py_modules=["orbit"],
    install_requires=["numpy"],
    entry_points={"console_scripts": ["orbit=orbit:main"]},
)
