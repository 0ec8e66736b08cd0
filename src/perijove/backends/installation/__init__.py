"""Perijove as a service of this machine: user, programs, settings, units. In: where, and from what. Out: steps. Acts.

Programs lie in a folder a release, and a link leads to the one that runs: a pad goes on with its own while the next is
there. What people set or own is never touched: the settings file, the state directory.
"""
