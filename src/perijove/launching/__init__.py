"""The launch way: link → resolve → build → start → redirect. `way.py` tells it whole; `launches.py` keeps them apart.

In: a RepoAddress. Out: LaunchEvents, the last of them Ready, Prepared or Failed. The world is met through
`domain.ports` only.
"""
