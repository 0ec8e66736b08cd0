"""A Binder as its visitors and CAs meet it, for the doctor: everything looked at once, nothing changed.

In: a Site, and probes for names, hops and handshakes. Out: a SiteSeen, unjudged; `doctor.site` judges it. Acts:
`looking` at all of it side by side, `asking` one answer, `building` a repository and following its events.
"""
