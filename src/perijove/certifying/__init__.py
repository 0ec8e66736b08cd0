"""The certificate way: issuer → order → challenge → secret → served. Which certificate does a host get, and what not?

In: what the operator wants, and the ports. Out: events, and secrets that the data plane serves. `renewal`, `order`,
`verdict`, `wanted` and `records` are pure; `way` and `keeper` act through ports alone.
"""
