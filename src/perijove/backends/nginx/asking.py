"""What does the real server answer? In: a URL, the address to ask. Out: Answered."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

from perijove.domain.web_servers import Answered

LIMIT = 3.0
"""Seconds for each step of an answer."""


def ask(url: str, address: str, *, proxied: bool = False) -> Answered:
    """One GET of `url` at `address:port`; `proxied`: a line of the PROXY protocol first. Raises nothing: what goes
    wrong is told.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT)
    try:
        raw = _connected(address, port, proxied=proxied)
        connection.sock = _encrypted(raw, host) if parts.scheme == "https" else raw
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"User-Agent": "perijove-doctor", "Connection": "close"})
        answer = connection.getresponse()
        begins = answer.read(200).decode("latin-1")
        words = f"{answer.status} {answer.reason}: {begins}"
        location, server = answer.getheader("Location", ""), answer.getheader("Server", "")
        return Answered(url, answer.status, location[:500], server[:100], words)
    except (OSError, http.client.HTTPException) as error:
        return Answered(url, 0, words=f"{type(error).__name__}: {error}"[:200])
    finally:
        connection.close()


def _connected(address: str, port: int, *, proxied: bool) -> socket.socket:
    """The PROXY protocol's first version, section 2.1: who connects is named as this end is."""
    raw = socket.create_connection((address, port), LIMIT)
    if proxied:
        (here, from_port), (there, to_port) = raw.getsockname()[:2], raw.getpeername()[:2]
        family = "TCP6" if ":" in here else "TCP4"
        raw.sendall(f"PROXY {family} {here} {there} {from_port} {to_port}\r\n".encode())
    return raw


def _encrypted(raw: socket.socket, name: str) -> ssl.SSLSocket:
    """TLS as a CA's look speaks it: any certificate will do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(raw, server_hostname=name)
    except OSError:
        raw.close()
        raise


PLAIN = (10, 18, 62)
"""OpenSSL's words for expired, signed by itself, of another name (X509_V_ERR_*): wrong whatever roots one trusts."""


def certificate_problem(address: str, port: int, name: str, *, proxied: bool = False) -> str | None:
    """What is wrong with the certificate shown there; `` for nothing, None where only its CA is not known here.

    Raises OSError: no TLS there.
    """
    try:
        with _connected(address, port, proxied=proxied) as raw:
            ssl.create_default_context().wrap_socket(raw, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message if error.verify_code in PLAIN else None
    return ""
