"""Which repository, and which commit, does a link mean? Links in, addresses and choices of refs out. Pure.

`address`: links ⇄ RepoAddress. `pasted`: what people paste → Link. `refs`: a ref among those a host lists.
Git itself is behind the port Repositories.
"""
