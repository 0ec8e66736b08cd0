from setuptools import Extension, setup

setup(name="squeeze", version="1.0", ext_modules=[Extension("squeeze", ["squeeze.c"], libraries=["z"])])
