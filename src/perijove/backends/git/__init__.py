"""The port Repositories by the `git` program: which commit does a ref mean, and its files in a shared store.

In: addresses and commits. Out: checkouts. Not pure: runs git, reads names, writes the store.
`repositories` is the port, `fetching` what it has confined processes do; `program` runs git; `access` says which of the
operator's credentials hold; `gate` holds visitors' addresses to public hosts; `checkout`,
`submodules` and `lfs` make a working tree, whose `contents` are counted before, against the limits of `size`; `folder`
reads a local one; `words` turns git's words into failures.
"""

from perijove.backends.git.repositories import GitRepositories

__all__ = ["GitRepositories"]
