"""A system of our own for environments to stand on: a Debian, prepared once, and layers of its packages over it.

In: `platform.*`, and names from a repository's apt.txt; out: stacks of folders that are whole root file systems.
What strangers packed is fetched and unpacked by confined calls (`registry`, `unpacking`, `bootstrap`), and their
scripts run in sandboxes alone, over the base (`bases`, `packages`); `words`· reads what apt says.
"""

from perijove.backends.environments.system.systems import Systems

__all__ = ["Systems"]
