"""Sessions and foreign code on this machine: which sandboxes run, and what becomes of them?

`client.Pad` implements the ports and speaks over a unix socket to the pad (`process`), a small process of its own that
is the parent of every sandbox, so that a restart of the control plane leaves sessions running.
In: `SandboxSpec`s and `ForeignRun`s; out: session events. Not pure.
"""
