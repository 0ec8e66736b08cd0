"""Perijove: the shortest path from a Git repository to a live Jupyter.

A launch:       link → resolve (which commit?) → build (which environment?) → start (may it run, and where?) → redirect.
A certificate:  issuer → order → challenge → secret → served.

Read `launching/way.py` for the first; `domain/` for the words; `wiring/` for who is who.
"""
