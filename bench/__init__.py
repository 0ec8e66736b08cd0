"""How fast, how small, how soon told: measured on this machine with real parts, beside a peer in the same run.

`make bench` or `python -m bench --help`. In: nothing but this machine. Out: a table, and every
number with `--json FILE`.
Not a test: targets are printed beside the numbers, and nothing fails when one is missed.
"""
