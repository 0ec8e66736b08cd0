"""Who believes the embedded CA? In: its root's file. Out: the system's store with it, and the commands for all others.

Only a root that is confined to local names is put there, whoever wrote the file: the state directory is not root's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from perijove import durable
from perijove.certifying import local_names, secret
from perijove.domain.certificate_failures import LOCAL_CA_BROKEN
from perijove.domain.failures import STATE_UNUSABLE, TOOL_MISSING, Evidence, Fail

MACHINE = Path("/")
LIMIT = 120.0
"""Seconds for the system's own program."""


@dataclass(frozen=True, slots=True)
class Store:
    """How a family of systems keeps roots of the operator's own."""

    anchors: str
    """The folder for them, below the machine's root."""
    suffix: str
    update: str
    """The program that takes them up from there."""
    fresh: str = ""
    """Its flag to forget what is not there any more, where it needs one."""
    elsewhere: tuple[str, ...] = ()
    """Its options for the files of another machine."""


_DEBIAN = (
    "--certsconf", "{}/etc/ca-certificates.conf", "--certsdir", "{}/usr/share/ca-certificates",
    "--localcertsdir", "{}/usr/local/share/ca-certificates", "--etccertsdir", "{}/etc/ssl/certs",
    "--hooksdir", "{}/etc/ca-certificates/update.d",
)  # fmt: skip
STORES = (
    Store("usr/local/share/ca-certificates", ".crt", "update-ca-certificates", "--fresh", _DEBIAN),  # Ubuntu, Alpine
    Store("etc/pki/ca-trust/source/anchors", ".pem", "update-ca-trust"),  # Fedora, RHEL
    Store("etc/ca-certificates/trust-source/anchors", ".pem", "update-ca-trust"),  # Arch
    Store("etc/pki/trust/anchors", ".pem", "update-ca-certificates", "--fresh"),  # openSUSE
)


def install(root: Path, machine: Path = MACHINE) -> list[str]:
    """Put the root in the system's store where we may, and tell what was done, or what is to be done, in lines.

    `machine` is the root of another machine's files. Raises Fail: `cert.local-ca-broken` for a root that is not
    confined to local names, `cert.file-unreadable`, `platform.tool-missing`, `platform.state-unusable`.
    """
    certificate = _confined(root)
    if (store := _store(machine)) is None or not _allowed(store, machine):
        return instructions(root, machine)
    path, content = _path(store, certificate, machine), secret.chain_pem((certificate,))
    if path.is_file() and path.read_bytes() == content and _taken_up(certificate, machine):
        return [f"This machine trusts it already: {path}", *_elsewhere(root, certificate)]
    with durable.told(path):
        durable.write(path, content)
        path.chmod(0o644)
    _update(store, machine)
    return [f"This machine trusts it now: {path}", *_elsewhere(root, certificate)]


def uninstall(root: Path, machine: Path = MACHINE) -> list[str]:
    """Take the root out of the system's store; tells what was done in lines. Raises Fail as `install`."""
    certificate = secret.read_chain(durable.read(root), str(root))[0]
    store = _store(machine)
    path = _path(store, certificate, machine) if store else None
    if store is None or path is None or not path.exists():
        return ["This machine's store does not hold it."]
    if not _allowed(store, machine):
        return ["As root:", f"  rm {shlex.quote(str(path))}", f"  {store.update} {store.fresh}".rstrip()]
    with durable.told(path):
        path.unlink()
    _update(store, machine, store.fresh)
    return [f"This machine does not trust it any more: {path} is gone."]


def instructions(root: Path, machine: Path = MACHINE) -> list[str]:
    """The commands by which this machine and its visitors' come to trust the root. Raises Fail as `install`."""
    certificate = _confined(root)
    store = _store(machine)
    if store is None:
        return ["This system's store is not known here.", *_elsewhere(root, certificate)]
    target = _path(store, certificate, machine)
    lines = ["On this machine, as root:", f"  install -m 644 {shlex.quote(str(root))} {shlex.quote(str(target))}"]
    return [*lines, f"  {store.update}", *_elsewhere(root, certificate)]


def _elsewhere(root: Path, certificate: x509.Certificate) -> list[str]:
    """Browsers with stores of their own, and other machines."""
    file, name = shlex.quote(str(root)), shlex.quote(secret.common_name(certificate.subject))
    return [
        "Chromium on Linux keeps a store of its own, as does Firefox; for each user (package libnss3-tools):",
        f'  certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n {name} -i {file}',
        '  for one in "$HOME"/.mozilla/firefox/*/cert9.db; do',
        f'    certutil -d sql:"${{one%/*}}" -A -t C,, -n {name} -i {file}; done',
        "On a visitor's machine, with a copy of that file:",
        "  macOS:    sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain root.pem",
        "  Windows:  certutil -addstore -f ROOT root.pem",
        f"Its SHA-256 fingerprint, to compare: {certificate.fingerprint(hashes.SHA256()).hex(':').upper()}",
    ]


def _confined(root: Path) -> x509.Certificate:
    """The root, which must be one that can do little harm. Raises Fail: `cert.local-ca-broken`."""
    certificate = secret.read_chain(durable.read(root), str(root))[0]
    try:
        constraint = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound as error:
        raise _broken(root, "it is no root that is confined to local names", str(error)) from error
    if not (constraint.critical and authority and local_names.only_local(constraint.value, socket.gethostname())):
        held = (*local_names.permitted_names(constraint.value), *local_names.permitted_networks(constraint.value))
        saw = f"name constraints: {', '.join(map(str, held))[:500] or 'none that permit'}"
        raise _broken(root, "it may sign for more than local names", saw)
    return certificate


def _broken(root: Path, cause: str, saw: str) -> Fail:
    return Fail(LOCAL_CA_BROKEN(cause, Evidence(str(root), saw)))


def _store(machine: Path) -> Store | None:
    return next((one for one in STORES if (machine / one.anchors).is_dir()), None)


def _allowed(store: Store, machine: Path) -> bool:
    return os.access(machine / store.anchors, os.W_OK) and (machine != MACHINE or os.geteuid() == 0)


def _path(store: Store, certificate: x509.Certificate, machine: Path) -> Path:
    """Named by what it is, so that a root made anew stands beside the old one until that is removed."""
    digest = certificate.fingerprint(hashes.SHA256()).hex()[:16]
    return machine / store.anchors / f"perijove-{digest}{store.suffix}"


def _taken_up(certificate: x509.Certificate, machine: Path) -> bool:
    """Whether a bundle that programs read holds it."""
    pem = secret.chain_pem((certificate,))
    bundles = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/ca-bundle.pem")
    return any(pem in path.read_bytes() for path in (machine / one for one in bundles) if path.is_file())


def _update(store: Store, machine: Path, flag: str = "") -> None:
    """Run the system's own program. Raises Fail: `platform.tool-missing`, `platform.state-unusable`."""
    options = () if machine == MACHINE else store.elsewhere
    argv = [store.update, *filter(None, [flag]), *(option.format(machine) for option in options)]
    if shutil.which(store.update) is None:
        raise Fail(TOOL_MISSING(f"{store.update} is not installed", Evidence("PATH", os.environ.get("PATH", ""))))
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Fail(STATE_UNUSABLE(f"{store.update} did not end", Evidence(store.update, str(error)[:500]))) from error
    if done.returncode != 0:
        seen = Evidence(shlex.join(argv)[:300], (done.stderr or done.stdout).strip()[-1000:])
        remedy = f"Run `{store.update}` by hand, and read what it says."
        cause = f"{store.update} ended with status {done.returncode}"
        raise Fail(STATE_UNUSABLE(cause, seen, remedy=remedy))
