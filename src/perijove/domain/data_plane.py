"""What the web server in front should do, as one value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """A certificate that the web server in front shows for a name."""

    host: str
    chain: Path
    key: Path
    """Both in PEM, in a folder of their own revision: a new certificate has new paths."""
    hsts: bool
    """Whether browsers are told to come back by https only; never for one that they do not trust."""
    also: tuple[str, ...] = ()
    """Further names that it is shown for."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (self.host, *self.also)


@dataclass(frozen=True, slots=True)
class DataPlaneTable:
    """What the web server in front should do. Sessions are not listed: each is found by its name."""

    http: tuple[str, ...]
    """`address:port`s"""
    https: tuple[str, ...]
    """`address:port`s"""
    certificates: tuple[ServedCertificate, ...]
    """Handshakes for other names are refused."""
    redirects: bool
    """Whether http leads to https, for names with a certificate; the challenge's path never does."""
    alpn_hosts: tuple[str, ...]
    """Names for which answers to tls-alpn-01 may be filed."""
    alpn_directories: tuple[str, ...]
    """ACME directories (URLs) whose answers are looked for."""
    proxies: tuple[str, ...]
    """Addresses and networks whose X-Forwarded-* is believed."""
    control: Path
    """The socket of the public application."""
    sessions: Path
    """The folder of the sessions' sockets."""
    assets: Path
    """The folder of static files, served below `/-/<assets_version>/`."""
    assets_version: str
    """A hash of them."""
    servers: Path
    """The folder of Jupyter servers, of which each one's `share/static` is served below `/-/<its folder>/`."""
    base: str = "/"
    """The path that all of it lies below, but for the challenge's."""
    cors_allow_origin: tuple[str, ...] = ()
    """Whose pages may read what sessions answer: origins, or `*`."""
    frame_ancestors: tuple[str, ...] = ()
    """Whose pages may hold sessions' in a frame, beside their own: as a Content-Security-Policy names them."""
    hosts: tuple[str, ...] = ()
    """The service's own names; a wildcard of `session_hosts` does not mean them."""
    session_hosts: tuple[str, ...] = ()
    """Where browsers open sessions: a wildcard, or names whose first label ends the names of their sessions."""
    grants: Path | None = None
    """The folder where a session is a folder of files, of which a browser names one that it is opened by; None: they
    are opened by anybody who has their address."""
    upstreams: Path | None = None
    """The folder where a session is a folder of one file, whose name is the `address:port` of its server; None: it
    listens in `sessions`."""
    front_says: tuple[str, ...] = ()
    """Headers that nobody may set but `proxies`."""
    quic: tuple[str, ...] = ()
    """`udp/address:port`s, at which https is spoken as HTTP/3."""
