"""What form do an operator's certificate files have? In: bytes, and the file they stood in. Out: PEM, or the Fail that
names what they are and the command that makes PEM of them. Pure.

Forms are known by their beginnings: PEM's labels (RFC 7468), and of DER what stands first in the outer sequence.
"""

from __future__ import annotations

import base64
import codecs
import re
import shlex
from pathlib import Path

from cryptography import x509

from perijove.domain.certificate_failures import FILE_FORM
from perijove.domain.failures import Evidence, Fail

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_MARKS = (
    *((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    *((b"-\0-\0", "utf-16-le"), (b"\0-\0-", "utf-16-be")),
)
"""What a text begins with that is not in ASCII, and its encoding."""
_PKCS12 = re.compile(rb"\x30(?:[\x00-\x7f]|\x80|[\x81-\x84][\x00-\xff]{1,4}?)\x02\x01\x03\x30", re.DOTALL)
"""A sequence that begins with the version 3 (RFC 7292, 4)."""
_PKCS7 = re.compile(
    rb"\x30(?:[\x00-\x7f]|\x80|[\x81-\x84][\x00-\xff]{1,4}?)\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", re.DOTALL
)
"""A sequence that begins with the identifier of signed data (RFC 2315, 14)."""
_RC2 = re.compile(rb"\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01[\x01\x02\x05\x06]")
"""Encrypted as Windows did for long (RFC 7292, C), which OpenSSL 3 reads only when told so."""
_KEYSTORE = b"\xfe\xed\xfe\xed"
"""Java's own (JKS)."""
_OTHERS = (
    (b"PK\x03\x04", "an archive (zip)"),
    (b"\x1f\x8b", "something compressed (gzip)"),
    (b"PuTTY-", "a key of PuTTY's"),
)
"""Beginnings of other files that people give, and what they are."""
_BASE64 = re.compile(rb"\s*+M[A-Za-z0-9+/\s]++={0,2}\s*+")
"""DER in base64, by its first letter."""
CHAIN, KEY = "chain.pem", "key.pem"
"""Where the commands of remedies write to."""


def certificates(content: bytes, path: str) -> bytes:
    """The file of a certificate and its chain, in PEM. Raises Fail: `cert.file-form`."""
    text, name = _unmarked(content), shlex.quote(path)
    labels = _labels(text)
    if {"CERTIFICATE", "X509 CERTIFICATE"} & labels:
        return text
    if "TRUSTED CERTIFICATE" in labels:
        raise _form("a certificate with OpenSSL's notes on trust", path, f"openssl x509 -in {name} -out {CHAIN}")
    if any(label.endswith("PUBLIC KEY") for label in labels):
        raise _form("a public key", path, "", "Give the certificate, and then its chain.")
    if labels & {"PKCS7", "CMS"}:
        raise _form("PKCS #7", path, f"openssl pkcs7 -print_certs -in {name} -out {CHAIN}")
    if labels & {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}:
        raise _form("a request for a certificate", path, "", "Give what the CA answered it with.")
    if any(label.endswith("PRIVATE KEY") for label in labels):
        raise _form("a private key", path, "", "Give the certificate, and then its chain.")
    _neither(text, path)
    if _PKCS7.match(text):
        raise _form("PKCS #7 in DER", path, f"openssl pkcs7 -inform der -print_certs -in {name} -out {CHAIN}")
    if _is_certificate(text):
        raise _form("a certificate in DER", path, f"openssl x509 -inform der -in {name} -out {CHAIN}")
    if text[:1] == b"\x30":
        raise _form("DER, and no certificate", path, "", "Give the certificate, and then its chain.")
    raise _unknown(text, path, "no certificate")


def private_key(content: bytes, path: str) -> bytes:
    """The file of a private key, in PEM and not encrypted. Raises Fail: `cert.file-form`."""
    text, name = _unmarked(content), shlex.quote(path)
    labels = _labels(text)
    if "ENCRYPTED PRIVATE KEY" in labels or b"Proc-Type: 4,ENCRYPTED" in text:
        raise _form("an encrypted private key", path, f"openssl pkey -in {name} -out {KEY}")
    if "OPENSSH PRIVATE KEY" in labels:
        raise _form("a key of OpenSSH's", path, "", "Give the key that the certificate was ordered with.")
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return text
    if labels:
        held = "a public key" if "PUBLIC KEY" in labels else f"{min(labels).lower()}, and no private key"
        raise _form(held, path, "", "Give the key that the certificate was ordered with.")
    _neither(text, path)
    if _PKCS7.match(text) or _is_certificate(text):
        raise _form("a certificate in DER, and no private key", path, "", "Give the key that it was ordered with.")
    if text[:1] == b"\x30":
        raise _form("DER", path, f"openssl pkey -inform der -in {name} -out {KEY}")
    raise _unknown(text, path, "no private key")


def pair(chain: bytes, chain_path: str, key: bytes, key_path: str) -> tuple[bytes, bytes]:
    """Both, in PEM. Raises Fail: `cert.file-form`."""
    first, second = _labels(_unmarked(chain)), _labels(_unmarked(key))
    if "CERTIFICATE" in second - first and any(label.endswith("PRIVATE KEY") for label in first - second):
        cause = f"{chain_path} holds the private key, and {key_path} the certificate: the two are exchanged"
        remedy = f"Name {key_path} as the chain and {chain_path} as the key."
        seen = (
            Evidence(path, f"in PEM: {', '.join(sorted(said))}")
            for path, said in ((chain_path, first), (key_path, second))
        )
        raise Fail(FILE_FORM(cause, *seen, remedy=remedy))
    return certificates(chain, chain_path), private_key(key, key_path)


def _unmarked(content: bytes) -> bytes:
    """Without the byte order mark that editors of Windows write; in ASCII where it was UTF-16; its lines as lines."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            text = content.decode(encoding, "replace").removeprefix("\ufeff")
            return text.encode("ascii", "replace")
    return content.replace(b"\\n", b"\n") if b"-----\\n" in content else content


def _labels(text: bytes) -> set[str]:
    return {found.decode("ascii") for found in _LABEL.findall(text)}


def _neither(text: bytes, path: str) -> None:
    """What may hold both, and is neither in PEM. Raises Fail: `cert.file-form`."""
    name = shlex.quote(path)
    if _PKCS12.match(text):
        old = " -legacy" if _RC2.search(text) else ""
        both = (
            f"openssl pkcs12 -in {name} -out {CHAIN} -nokeys{old}",
            f"openssl pkcs12 -in {name} -out {KEY} -nocerts -nodes{old}",
        )
        raise _form("PKCS #12", path, " && ".join(both))
    if text.startswith(_KEYSTORE):
        store = f"{Path(path).stem}.p12"
        command = (
            f"keytool -importkeystore -srckeystore {name} -destkeystore {shlex.quote(store)} -deststoretype PKCS12"
        )
        raise _form("a keystore of Java's", path, command)
    if what := next((what for begins, what in _OTHERS if text.startswith(begins)), ""):
        raise _form(what, path, "", "Give what is in it, or was made with it, in PEM.")
    if _BASE64.fullmatch(text) and base64.b64decode(b"".join(text.split())[:4])[:1] == b"\x30":
        raise _form("base64 without its lines BEGIN and END", path, f"openssl base64 -d -in {name} -out decoded.der")


def _is_certificate(text: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(text)
    except ValueError:
        return False
    return True


def _form(what: str, path: str, command: str, remedy: str = "") -> Fail:
    remedy = remedy or f"Run `{command}`, and give what it writes."
    return Fail(FILE_FORM(f"it holds {what}", Evidence(path, what), remedy=remedy))


def _unknown(text: bytes, path: str, what: str) -> Fail:
    if not text.strip():
        return Fail(FILE_FORM("it is empty", Evidence(path, "0 bytes" if not text else "blanks")))
    if text.lstrip()[:1] == b"<":
        return Fail(FILE_FORM("it holds a web page", Evidence(path, text.lstrip()[:80].decode("ascii", "replace"))))
    cut = " that is whole" if b"-----BEGIN" in text else ""
    beginning = text.lstrip()[:40].decode("ascii", "backslashreplace")
    return Fail(FILE_FORM(f"it holds {what} in PEM{cut}", Evidence(path, f"it begins with {beginning!r}")))
