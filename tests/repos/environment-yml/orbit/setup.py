import os
import sys

from setuptools import setup

assert f"{sys.prefix}/bin" in os.environ["PATH"].split(":"), os.environ["PATH"]
setup(
    name="orbit",
    version="1.0",
    py_modules=["orbit"],
    install_requires=["numpy"],
    entry_points={"console_scripts": ["orbit=orbit:main"]},
)
