"""The flags that are settings. In: what the command line says. Out: values by their settings' names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

Host = Annotated[
    list[str] | None,
    typer.Option(
        "--host", metavar="NAME", help="Name the service is reached by, with a certificate; may be repeated.",
        show_default=False,
    ),
]  # fmt: skip
Http = Annotated[
    list[str] | None,
    typer.Option("--http", metavar="ADDR:PORT", help="Listen here for http; may be repeated.", show_default=False),
]
Https = Annotated[
    list[str] | None,
    typer.Option(
        "--https", metavar="ADDR:PORT|off", help="Listen here for https; may be repeated.", show_default=False
    ),
]
Behind = Annotated[
    list[str] | None,
    typer.Option(
        "--behind", metavar="ADDR", help="Address or network of the web server in front; may be repeated.",
        show_default=False,
    ),
]  # fmt: skip
Email = Annotated[str | None, typer.Option("--email", help="Whom the CA writes to.", show_default=False)]
Acme = Annotated[
    str | None, typer.Option("--acme", metavar="URL", help="Directory of the ACME CA to ask.", show_default=False)
]
AcmeCa = Annotated[
    Path | None,
    typer.Option(
        "--acme-ca", metavar="FILE", help="Roots that this CA's own TLS is judged by, in PEM.", show_default=False,
        exists=True, dir_okay=False, resolve_path=True,
    ),
]  # fmt: skip
Issuer = Annotated[
    list[str] | None,
    typer.Option(
        "--issuer", metavar="NAME", show_default=False,
        help="letsencrypt, letsencrypt-staging, zerossl, local, or one of the settings file; may be repeated.",
    ),
]  # fmt: skip
Profile = Annotated[
    str | None, typer.Option("--profile", help="Certificate profile of the CA: tlsserver, …", show_default=False)
]
EabKid = Annotated[
    str | None, typer.Option("--eab-kid", help="Key identifier the CA gave for the account.", show_default=False)
]
EabKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--eab-key-file", metavar="FILE", help="File with the key that belongs to it.", show_default=False,
        exists=True, dir_okay=False, resolve_path=True,
    ),
]  # fmt: skip
NoRehearsal = Annotated[
    bool, typer.Option("--no-rehearsal", help="Ask the CA at once, without its staging first, for a new host.")
]


def values(
    *,
    host: list[str] | None = None,
    http: list[str] | None = None,
    https: list[str] | None = None,
    behind: list[str] | None = None,
    email: str | None = None,
    acme: str | None = None,
    acme_ca: Path | None = None,
    issuer: list[str] | None = None,
    profile: str | None = None,
    eab_kid: str | None = None,
    eab_key_file: Path | None = None,
    no_rehearsal: bool = False,
) -> Mapping[str, Any]:
    """The settings given, by name; an issuer given by its URL comes before those given by name."""
    given = {
        "service.hosts": host,
        "service.http": http,
        "service.https": https,
        "service.behind": behind,
        "certificates.email": email,
        "certificates.issuers": [*([acme] if acme else ()), *(issuer or ())],
        "certificates.acme_ca": acme_ca and str(acme_ca),
        "certificates.profile": profile,
        "certificates.eab_kid": eab_kid,
        "certificates.eab_key_file": eab_key_file and str(eab_key_file),
        "certificates.rehearse": False if no_rehearsal else None,
    }
    return {name: value for name, value in given.items() if value not in (None, [])}
