"""conda packages, by py-rattler: which they are, and an environment that holds them.

In: what an environment.yml asks for; out: CondaPackages, each decided, and a folder into which they are linked.
rattler itself is imported in confined processes alone (`calls`), since a hostile package can end or lead astray whoever
reads it.
"""

from perijove.backends.environments.conda.conda import Conda

__all__ = ["Conda"]
