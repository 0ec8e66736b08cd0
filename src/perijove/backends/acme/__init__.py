"""Any CA that speaks RFC 8555: what does it say of our account, our orders and our certificates?

In: an issuer, its directory's URL, the state directory. Out: an `Authority`: views of what the CA says now, or failures
that hold its own words. `views` and `problems` are pure; `client` signs and sends, `account` keeps the key on disk,
`reach` names why a CA cannot be asked. Of the PyPI `acme` we take the signatures; its deserializers refuse what newer
CAs say.
"""

from perijove.backends.acme.authority import AcmeAuthority

__all__ = ["AcmeAuthority"]
