"""Environments on this machine: a content-addressed store of virtual environments that uv makes.

In: an EnvironmentPlan and a checkout. Out: an Environment with the command, variables and mounts to serve it.
uv only ever installs wheels; whatever has to be built first is built by the port ForeignCode, in a sandbox.
"""

from perijove.backends.environments.environments import UvEnvironments

__all__ = ["UvEnvironments"]
