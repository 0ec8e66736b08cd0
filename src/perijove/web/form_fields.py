"""What do the form's three fields mean together? Texts in, a link out. Pure."""

from __future__ import annotations

from dataclasses import replace

from perijove.domain.failures import Fail
from perijove.domain.nouns import RepoAddress
from perijove.domain.settings import LaunchingSettings
from perijove.launching.resolve.pasted import Link, pasted, with_ref
from perijove.launching.resolve.urlpath import opened_file, relative_urlpath
from perijove.launching.start.admission import refusal


def with_fields(meant: Link, ref: str, file: str) -> Link:
    """The link, with its ref and what it opens replaced where the other fields say so. Raises Fail: `resolve.*`."""
    if ref.strip():
        meant = with_ref(meant, ref.strip())
    if file.strip():
        meant = replace(meant, urlpath=opened(file.strip()))
    return meant


def tried(example: str, settings: LaunchingSettings) -> RepoAddress | None:
    """The example that the operator names, where it is one that may be launched here."""
    try:
        address = pasted(example).address
    except Fail:  # a service without an example is none that fails
        return None
    return None if refusal(address, settings) else address


def opened(file: str) -> str:
    """A file of the repository, or, where it begins with a slash, any address of the session (`/lab/tree/x`)."""
    return relative_urlpath({"urlpath": file}) if file.startswith("/") else opened_file("doc/tree", file)
