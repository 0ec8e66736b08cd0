"""What is wrong with a Binder that is looked at from outside? In: a SiteSeen. Out: an Examination. Pure.

`reaching`: names, ports, redirects; `certificate` and `challenge`: what is shown, and will it be renewed; `answering`:
is it a Binder, and well; `streaming`: websockets and events; `launching`: does a launch get ready; `in_front`: who
stands there, and what to write into its configuration; `telling`: evidence. `diagnosis` asks them all.
"""
