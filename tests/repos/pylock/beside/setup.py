from setuptools import setup

setup(name="beside", version="1", py_modules=["beside"])
