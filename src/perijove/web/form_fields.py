"""What do the form's three fields mean together? Texts in, a link out. Pure."""

from __future__ import annotations

from dataclasses import replace

from perijove.domain.nouns import quoted_ref
from perijove.launching.resolve.address import from_launch_path
from perijove.launching.resolve.giturl import checked_ref
from perijove.launching.resolve.pasted import Link, pasted
from perijove.launching.resolve.urlpath import opened_file, relative_urlpath


def link_of(link: str, ref: str, file: str) -> Link:
    """The link, with its ref and what it opens replaced where the other fields say so. Raises Fail: `resolve.*`."""
    meant = pasted(link)
    if ref.strip():
        address = meant.address
        place = address.spec.removesuffix(f"/{quoted_ref(address.ref)}")
        meant = replace(
            meant, address=from_launch_path(f"{address.provider}/{place}/{quoted_ref(checked_ref(ref.strip()))}")
        )
    if file.strip():
        meant = replace(meant, urlpath=opened(file.strip()))
    return meant


def opened(file: str) -> str:
    """A file of the repository, or, where it begins with a slash, any address of the session (`/lab/tree/x`)."""
    return relative_urlpath({"urlpath": file}) if file.startswith("/") else opened_file("doc/tree", file)
