"""The words everything else is said in: nouns, failures, settings, events, ports.

Pure: values only, the standard library only. Nothing here does I/O, reads a clock or logs.
"""
