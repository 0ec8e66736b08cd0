"""Keys and chains on disk: which ones does a host have? In: orders, chains. Out: secrets, verified, 0600.

    secrets/<host>/<revision>/{tls.crt,tls.key,secret.json}    whole, or not there
                  /current → <revision>, previous → <revision>
                  /.order-<order>/                             an attempt under way
An attempt's key is made once, for that attempt alone; its folder becomes the revision by one rename.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import certifi
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from perijove import durable
from perijove.certifying import secret as values
from perijove.certifying.secret import Origin
from perijove.domain.certificate_failures import FILE_UNREADABLE, KEY_MISMATCH
from perijove.domain.certificate_ports import Names
from perijove.domain.certificates import HostName, Issuer, OrderName, Secret, covers
from perijove.domain.failures import Evidence, Fail
from perijove.domain.ports import Clock
from perijove.domain.state import State
from perijove.log import log

CHAIN, KEY, ORIGIN = "tls.crt", "tls.key", "secret.json"
CURRENT, PREVIOUS = "current", "previous"
_REVISION = re.compile(r"[0-9]{8}-[0-9a-f]{16}")
_TAKEN, _GONE = ".taken", ".gone-"


class DiskSecrets:
    """Implements the port `Secrets`. One writer: the control plane."""

    def __init__(self, state: State, clock: Clock, public_roots: Callable[[], str] = str) -> None:
        """`public_roots`: a file of roots that browsers trust, `` for Mozilla's and this machine's."""
        self._root, self._clock, self._public_roots = state.secrets, clock, public_roots

    def request(self, order: OrderName, host: HostName, names: Names = ()) -> bytes:
        key = self._aside(order, host) / KEY
        if not key.exists():
            with durable.told(key):
                durable.folder(key.parent)
                durable.write(key, values.new_key())
        return values.request(names or (host,), durable.read(key))

    def stage(
        self, order: OrderName, host: HostName, chain: bytes, issuer: Issuer, directory: str, names: Names = ()
    ) -> Secret:
        aside, origin = self._aside(order, host), _origin(issuer.name, directory, host, names)
        key = aside / KEY
        if not key.exists():  # renamed already, before whoever staged it could say so; or lost
            revision = _revision(values.read_chain(chain, "chain"), origin)
            if (found := self.staged(host, revision)) is not None:
                return found
            seen = Evidence(str(key), "is not there")
            raise Fail(KEY_MISMATCH("the key that this certificate was ordered with is lost", seen))
        certificates = values.verified(chain, durable.read(key), names or (host,), self._clock.now())
        return self._settled(aside, host, certificates, origin)

    def take(self, host: HostName, chain: bytes, key: bytes, issuer: str, names: Names = ()) -> Secret:
        certificates = values.verified(chain, key, names or (host,), self._clock.now())
        if len(certificates) == 1:
            values.check_whole(certificates, public_roots(self._public_roots()), "chain")
        for signer in certificates[1:2]:
            values.check_time(signer, self._clock.now(), "certificate 2, which signed it")
        return self._taken(host, certificates, key, _origin(issuer, "", host, names))

    def _taken(self, host: HostName, certificates: tuple[x509.Certificate, ...], key: bytes, origin: Origin) -> Secret:
        aside = self._folder(host) / _TAKEN
        with durable.told(aside):
            durable.folder(aside)
            durable.write(aside / KEY, values.key_pem(key))
        return self._settled(aside, host, certificates, origin)

    def keep(self, secret: Secret) -> None:
        folder = self._folder(secret.host)
        self._load(secret.host, folder / secret.revision)
        with durable.told(folder):
            before = _leads_to(folder / CURRENT)
            if before not in (None, secret.revision):
                durable.link(folder / PREVIOUS, str(before))
            if before != secret.revision:
                durable.link(folder / CURRENT, secret.revision)
            _clean(folder)

    def current(self, host: HostName) -> Secret | None:
        folder = self._folder(host)
        revision = _leads_to(folder / CURRENT)
        return self._load(host, folder / revision) if revision is not None else None

    def adopt(self, host: HostName, names: Names) -> None:
        links = sorted(self._root.glob(f"*/{CURRENT}"))
        found = [one for link in links if (one := self._valid(link.parent / link.readlink().name)) is not None]
        for_how_many = [sum(covers(one.names, name) for name in names) for one in found]
        if not any(for_how_many):
            return
        best = found[for_how_many.index(max(for_how_many))]
        chain, key = durable.read(best.chain), durable.read(best.key)
        origin = Origin(best.issuer, best.directory, best.ordered or (best.host,))
        self.keep(self._taken(host, values.read_chain(chain, str(best.chain)), key, origin))

    def staged(self, host: HostName, revision: str) -> Secret | None:
        folder = self._folder(host) / revision
        if not _REVISION.fullmatch(revision) or not folder.is_dir():
            return None
        return self._load(host, folder)

    def drop(self, order: OrderName, host: HostName) -> None:
        with durable.told(self._folder(host)):
            _remove(self._aside(order, host))

    def _folder(self, host: HostName) -> Path:
        return self._root / _safe(host)

    def _aside(self, order: OrderName, host: HostName) -> Path:
        return self._folder(host) / f".order-{_safe(order)}"

    def _settled(
        self, aside: Path, host: HostName, certificates: tuple[x509.Certificate, ...], origin: Origin
    ) -> Secret:
        """The folder aside, completed, becomes the revision: one rename, and never half of it."""
        folder = aside.with_name(_revision(certificates, origin))
        with durable.told(folder):
            told = {"host": host, "issuer": origin.issuer, "directory": origin.directory}
            several = {"ordered": origin.ordered} if origin.ordered else {}
            content = json.dumps({**told, **several}, indent=1).encode()
            durable.write_all(aside, {CHAIN: values.chain_pem(certificates), ORIGIN: content})
            if self._stands(host, folder):  # the same chain, taken before; it may be what is served
                _remove(aside)
            else:
                _remove(folder)
                aside.rename(folder)
                durable.sync(folder.parent)
        return values.described(certificates[0], host, origin, folder / CHAIN, folder / KEY)

    def _stands(self, host: HostName, folder: Path) -> bool:
        try:
            return self.staged(host, folder.name) is not None
        except Fail as fail:
            log.warning("a damaged secret is replaced", folder=str(folder), failure=fail.failure.message)
            return False

    def _valid(self, folder: Path) -> Secret | None:
        """Any host's; None for one that is over or cannot be used."""
        try:
            found = self._load(str(json.loads(durable.read(folder / ORIGIN))["host"]), folder)
        except (Fail, ValueError, KeyError, TypeError) as error:
            log.warning("a secret cannot be used", folder=str(folder), why=str(error)[:200])
            return None
        return found if self._clock.now() < found.not_after else None

    def _load(self, host: HostName, folder: Path) -> Secret:
        """Raises Fail: `cert.file-unreadable`, `cert.chain-broken`, `cert.key-mismatch`."""
        chain, key, told = folder / CHAIN, folder / KEY, folder / ORIGIN
        leaf = values.read_chain(durable.read(chain), str(chain))[0]
        values.check_key(leaf, durable.read(key), str(key))
        content = durable.read(told)
        try:
            data = json.loads(content)
            origin = Origin(str(data["issuer"]), str(data["directory"]), tuple(map(str, data.get("ordered", ()))))
        except (ValueError, KeyError, TypeError) as error:
            seen = Evidence(str(told), content[:200].decode(errors="replace"))
            raise Fail(FILE_UNREADABLE("it does not say where the certificate came from", seen)) from error
        return values.described(leaf, host, origin, chain, key)


def public_roots(file: str) -> list[x509.Certificate]:
    """Those of a file, `` for Mozilla's and this machine's; what cannot be read vouches for nobody."""
    files = [file] if file else [certifi.where(), ssl.get_default_verify_paths().cafile]
    found = []
    for path in filter(None, files):
        try:
            with warnings.catch_warnings():  # old roots have serial numbers that nobody may have today
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                found += x509.load_pem_x509_certificates(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            log.warning("roots cannot be read", file=path, error=str(error)[:200])
    return found


def _origin(issuer: str, directory: str, host: HostName, names: Names) -> Origin:
    return Origin(issuer, directory, names if names not in ((), (host,)) else ())


def _revision(certificates: tuple[x509.Certificate, ...], origin: Origin) -> str:
    """A name by content: the same chain from the same issuer is the same revision, however often it is staged."""
    told = (origin.issuer, origin.directory, *origin.ordered)
    content = b"\0".join((values.chain_pem(certificates), *map(str.encode, told)))
    return f"{certificates[0].not_valid_before_utc:%Y%m%d}-{hashlib.sha256(content).hexdigest()[:16]}"


def _safe(name: str) -> str:
    """One component of a path for a host or an order, whatever was given as its name."""
    name = name.lower()
    name = "_wildcard" + name[1:] if name.startswith("*.") else name
    name = quote(name.replace(":", "_"), safe="")
    return "%2E" + name[1:] if name.startswith(".") else name


def _leads_to(link: Path) -> str | None:
    """The revision. Raises Fail: `cert.file-unreadable`."""
    try:
        return link.readlink().name
    except FileNotFoundError:
        return None
    except OSError as error:
        seen = Evidence(str(link), str(error))
        raise Fail(FILE_UNREADABLE("it does not lead to a revision", seen)) from error


def _clean(folder: Path) -> None:
    """Remove revisions that were staged before the current one, but the last; and what was on its way out."""
    kept = {_leads_to(folder / CURRENT), _leads_to(folder / PREVIOUS)}
    since = (folder / CURRENT).stat().st_mtime_ns
    for one in sorted(folder.iterdir()):
        old = _REVISION.fullmatch(one.name) and one.name not in kept and one.stat().st_mtime_ns <= since
        if old or one.name.startswith(_GONE):
            _remove(one)


def _remove(folder: Path) -> None:
    """A folder and what is in it; nothing where it is not there. A revision goes out of sight first, as one."""
    if not folder.exists():
        return
    if not folder.name.startswith("."):
        gone = folder.with_name(f"{_GONE}{folder.name}")
        shutil.rmtree(gone, ignore_errors=True)
        folder = folder.rename(gone)
    shutil.rmtree(folder)
