"""People's homes: on any path, which is touched by processes alone that nobody waits for any longer than a limit.

In: a person's name. Out: their folder. Acts. `homes` is the port, `looking` the program that looks.
"""

from perijove.backends.homes.homes import HomesOnDisk

__all__ = ["HomesOnDisk"]
