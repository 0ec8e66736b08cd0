"""What would a web server in front answer, by which file and line, and what must change?

In: its Configuration, a request. Out: a trace hop by hop, findings, and texts of files that would answer well. Pure.

`servers` and `matching` know nginx's rules for blocks, `variables` and `phases` what a block does with a request,
`trace` follows redirects and upstreams within the configuration; `judge` finds, `remedy` (with `spans`) rewrites.
"""
