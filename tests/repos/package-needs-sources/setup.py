from setuptools import setup

setup(name="needing", version="1.0", install_requires=["termcolor<1.2"])
