from __future__ import annotations

import shlex
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from perijove.certifying import file_forms
from perijove.certifying.secret import check_key, read_chain
from perijove.domain.certificate_failures import FILE_FORM
from perijove.domain.failures import Fail, Failure

MADE = """
req -x509 -newkey rsa:2048 -nodes -days 30 -keyout k.pem -out c.pem -subj /CN=b.test -addext subjectAltName=DNS:b.test
pkcs12 -export -in c.pem -inkey k.pem -out site.pfx -passout pass:x
rsa -aes256 -in k.pem -out enc.pem -passout pass:x
rsa -aes256 -traditional -in k.pem -out old-enc.pem -passout pass:x
pkey -in k.pem -outform der -out k.der
pkey -in k.pem -pubout -out pub.pem
x509 -in c.pem -outform der -out c.der
crl2pkcs7 -nocrl -certfile c.pem -out c.p7b
crl2pkcs7 -nocrl -certfile c.pem -outform der -out c.p7c
x509 -in c.pem -trustout -out trusted.pem
base64 -in c.der -out bare.pem
pkcs12 -export -legacy -in c.pem -inkey k.pem -out old.pfx -passout pass:x
req -new -key k.pem -subj /CN=b.test -out c.csr
"""
"""What people bring, as openssl makes it."""
PASSWORD = {"pkcs12": ["-passin", "pass:x"], "pkey": ["-passin", "pass:x"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    for line in MADE.strip().splitlines():
        subprocess.run(["openssl", *shlex.split(line)], cwd=folder, check=True, capture_output=True)
    pem = (folder / "c.pem").read_text()
    (folder / "bom.pem").write_text(pem, "utf-8-sig")
    (folder / "utf16.pem").write_text(pem, "utf-16")
    (folder / "utf16-bare.pem").write_bytes(pem.encode("utf-16-le"))
    (folder / "escaped.pem").write_text(pem.replace("\n", "\\n"))
    with zipfile.ZipFile(folder / "site.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "c.pem")
    (folder / "page.pem").write_text("<!doctype html><title>Log in</title>")
    (folder / "empty.pem").touch()
    (folder / "words.pem").write_text("ask Anna")
    (folder / "cut.pem").write_text("-----BEGIN CERT")
    (folder / "store.jks").write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2")
    return folder


def told(reads: Callable[[bytes, str], bytes], path: Path) -> Failure:
    with pytest.raises(Fail) as raised:
        reads(path.read_bytes(), str(path))
    assert raised.value.failure.kind is FILE_FORM
    return raised.value.failure


@pytest.mark.parametrize("name", ["c.pem", "bom.pem", "utf16.pem", "utf16-bare.pem", "escaped.pem"])
def test_pem_is_taken_whatever_an_editor_put_before_it(made: Path, name: str) -> None:
    assert len(read_chain(file_forms.certificates((made / name).read_bytes(), name), name)) == 1


CHAINS = [
    ("site.pfx", "PKCS #12"),
    ("c.der", "a certificate in DER"),
    ("c.p7b", "PKCS #7"),
    ("c.p7c", "PKCS #7 in DER"),
    ("trusted.pem", "a certificate with OpenSSL's notes on trust"),
    ("old.pfx", "PKCS #12"),
]
KEYS = [
    ("site.pfx", "PKCS #12"),
    ("old.pfx", "PKCS #12"),
    ("k.der", "DER"),
    ("enc.pem", "an encrypted"),
    ("old-enc.pem", "an encrypted"),
]


@pytest.mark.parametrize(("name", "what"), CHAINS)
def test_another_form_of_a_certificate_is_named_and_the_command_makes_pem_of_it(
    made: Path, tmp_path: Path, name: str, what: str
) -> None:
    failure = told(file_forms.certificates, made / name)
    assert what in failure.cause
    (chain,) = read_chain(_run(failure.remedy, tmp_path, file_forms.CHAIN), "chain")
    check_key(chain, (made / "k.pem").read_bytes(), "key")


@pytest.mark.parametrize(("name", "what"), KEYS)
def test_another_form_of_a_key_is_named_and_the_command_makes_pem_of_it(
    made: Path, tmp_path: Path, name: str, what: str
) -> None:
    failure = told(file_forms.private_key, made / name)
    assert what in failure.cause
    key = _run(failure.remedy, tmp_path, file_forms.KEY)
    (leaf,) = read_chain((made / "c.pem").read_bytes(), "chain")
    check_key(leaf, file_forms.private_key(key, "key"), "key")


def _run(remedy: str, folder: Path, writes: str) -> bytes:
    """What the remedy's commands write, run as they stand, with the password that they would ask for."""
    for command in remedy.split("`")[1].split(" && "):
        program, verb, *rest = shlex.split(command)
        assert program == "openssl"
        subprocess.run([program, verb, *rest, *PASSWORD.get(verb, [])], cwd=folder, check=True, capture_output=True)
    return (folder / writes).read_bytes()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("c.csr", "a request for a certificate"),
        ("k.pem", "a private key"),
        ("k.der", "DER, and no certificate"),
        ("pub.pem", "a public key"),
        ("site.zip", "an archive"),
        ("page.pem", "a web page"),
        ("empty.pem", "it is empty"),
        ("words.pem", "no certificate in PEM"),
        ("cut.pem", "no certificate in PEM that is whole"),
        ("store.jks", "a keystore of Java's"),
    ],
)
def test_what_is_no_certificate_is_named(made: Path, name: str, says: str) -> None:
    failure = told(file_forms.certificates, made / name)
    assert says in failure.cause
    assert failure.remedy
    assert "PRIVATE" not in str(failure.evidence)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pub.pem", "a public key"),
        ("c.pem", "certificate, and no private key"),
        ("c.der", "a certificate in DER, and no private key"),
    ],
)
def test_what_is_no_key_is_named(made: Path, name: str, says: str) -> None:
    assert says in told(file_forms.private_key, made / name).cause


def test_two_that_are_exchanged_are_told_so(made: Path) -> None:
    with pytest.raises(Fail, match="the two are exchanged") as raised:
        file_forms.pair((made / "k.pem").read_bytes(), "chain.pem", (made / "c.pem").read_bytes(), "key.pem")
    assert raised.value.failure.remedy == "Name key.pem as the chain and chain.pem as the key."


@pytest.mark.parametrize("text", ["MyCert\n", "MyCertificate\n", "MIIB\nMIIBI\n"])
def test_what_only_begins_as_base64_does_is_told_as_a_file_s_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.pem").write_text(text)
    for read in (file_forms.certificates, file_forms.private_key):
        assert told(read, tmp_path / "c.pem").kind is FILE_FORM


def test_base64_without_its_lines_is_named_and_the_command_decodes_it(made: Path, tmp_path: Path) -> None:
    failure = told(file_forms.certificates, made / "bare.pem")
    assert "base64 without its lines BEGIN and END" in failure.cause
    assert _run(failure.remedy, tmp_path, "decoded.der") == (made / "c.der").read_bytes()
