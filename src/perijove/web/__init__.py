"""HTTP at the edge: the Binder protocol, the pages, and who may ask.

In: requests that Caddy passed on. Out: events as server-sent events, pages, JSON. The only place that knows HTTP.
"""
