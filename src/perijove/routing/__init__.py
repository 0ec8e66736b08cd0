"""What the data plane should do, and making it so.

In: settings and the state directory. Out: one table that a `DataPlane` obeys. `table` is pure, `reconcile` acts.
"""
