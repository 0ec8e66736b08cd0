"""What is seen of a host from this machine: name servers, addresses, port 80 hop by hop, port 443, certificates.

In: a host, a challenge's token and what must be answered. Out: an `Observation`, unjudged; `certifying.verdict` judges
it. Implements `Probe`; asks the network alone, and changes nothing.
"""
