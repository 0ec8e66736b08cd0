"""A state directory in one file, and back. In: a State and a file's path. Out: what went in, or came out. Acts.

In it are the settings file and what `control` holds: journal, secret, accounts, certificates, what people kept. What is
made again is left out: environments, caches, bases, sessions, Caddy's own files.
"""
