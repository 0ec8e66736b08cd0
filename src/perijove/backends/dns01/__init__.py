"""The port Solver for dns-01 (RFC 8555, 8.4): how does a TXT record come to stand where the CA looks?

In: settings, answers. Out: records, by an update (RFC 2136), a provider of dns-lexicon or a hook; back once all servers
of the zone show them. `solver` joins a writer of records with `visible`, which looks; `zones` asks name servers, and
`authoritative` tells what they say of a host to whoever is given it by wiring.
"""
