"""How builds give way to sessions and their starts, wherever they run. Pure: the numbers alone.

A build has no human who watches each of its seconds, a start has. On a machine at rest a build loses nothing by it.
"""

BUILD_NICENESS = 5
"""Added to ours: a third of a usual process's weight (sched(7), kernel/sched/core.c: sched_prio_to_weight). A build
still ends on a machine that others keep busy, as it would not at 19."""
BUILD_SHARE = 0.33
"""The same for control groups, which are weighed against one another whatever the niceness in them is."""
