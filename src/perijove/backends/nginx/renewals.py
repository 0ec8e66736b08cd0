"""How ACME clients of this machine renew what nginx shows, as their own files say. In: paths of chains. Reads.

Facts: certbot 2.11 `_internal/storage.py` (`renewal/NAME.conf` beside `live/NAME`), acme.sh 3.0 (`Le_Webroot`,
`Le_RealFullChainPath` of `DOMAIN.conf`), lego 4.17 (`certificates/DOMAIN.crt` beside
`DOMAIN.json`, which names no way).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from perijove.domain.web_servers import Renewal, Way

LARGEST = 100_000
"""Octets of such a file that are read."""
MOST = 500
"""Files of acme.sh's that are looked at."""
_CERTBOT = {"nginx": Way.NGINX, "webroot": Way.FILES, "standalone": Way.ALONE}
_ACME_SH = {"nginx": Way.NGINX, "no": Way.ALONE, "alpn": Way.ELSEWHERE, "dns": Way.ELSEWHERE}


def homes() -> tuple[Path, ...]:
    """Where acme.sh keeps what it does: its user's home, which is root's."""
    return tuple(dict.fromkeys((Path("/root/.acme.sh"), Path.home() / ".acme.sh")))


def renewals(chains: Iterable[str], acme_sh: Sequence[Path]) -> dict[str, Renewal]:
    """By chain, where a client's own files say it; what may not be read is told as of that client."""
    wanted = dict.fromkeys(chains)
    installed = {path: conf for conf in _confs(acme_sh) for path in _installed(_read(conf))} if wanted else {}
    found = {}
    for chain in wanted:
        path = Path(chain)
        if path.parent.parent.name == "live":
            found[chain] = _certbot(path.parent.parent.parent / "renewal" / f"{path.parent.name}.conf")
        elif conf := installed.get(chain) or _beside(path):
            found[chain] = _of_acme_sh(conf)
        elif path.parent.name == "certificates" and _is_file(path.with_suffix(".json")):
            found[chain] = Renewal("lego", Way.UNKNOWN, str(path.with_suffix(".json")))
    return found


def _certbot(conf: Path) -> Renewal:
    text = _read(conf)
    by = _value(text, "authenticator")
    way = Way.ELSEWHERE if by.startswith("dns-") else _CERTBOT.get(by, Way.UNKNOWN)
    if by == "manual" and _value(text, "pref_challs").startswith("dns"):
        way = Way.ELSEWHERE
    mapped = text.partition("[[webroot_map]]")[2]
    folders = re.findall(r"^[^=\[\]\n]+= *(/[^\n]*)$", mapped, re.MULTILINE)
    return Renewal("certbot", way, str(conf), _folders([*folders, *_value(text, "webroot_path").split(",")]))


def _of_acme_sh(conf: Path) -> Renewal:
    by = _value(_read(conf), "Le_Webroot")
    folders = _folders(by.split(","))
    way = Way.ELSEWHERE if by.startswith("dns_") else _ACME_SH.get(by.partition(":")[0], Way.UNKNOWN)
    return Renewal("acme.sh", Way.FILES if folders else way, str(conf), folders)


def _folders(said: Iterable[str]) -> tuple[str, ...]:
    kept = (one.strip().rstrip("/") for one in said)
    return tuple(dict.fromkeys(one for one in kept if one.startswith("/")))


def _confs(folders: Iterable[Path]) -> Iterator[Path]:
    """acme.sh's file of each certificate; none of a folder that this user may not look into."""
    return islice((one for folder in folders for one in _below(folder)), MOST)


def _below(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*/*.conf"))
    except OSError:
        return []


def _installed(text: str) -> Iterator[str]:
    """Where acme.sh lays a certificate for nginx."""
    yield from (path for name in ("Le_RealFullChainPath", "Le_RealCertPath") if (path := _value(text, name)))


def _beside(chain: Path) -> Path | None:
    conf = chain.parent / f"{chain.parent.name.removesuffix('_ecc')}.conf"
    return conf if ".acme.sh" in chain.parts and _is_file(conf) else None


def _value(text: str, name: str) -> str:
    """`name = value` or `name='value'`; `` for none."""
    found = re.search(rf"^{name} *= *'?([^'\n]*)'?$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _read(path: Path) -> str:
    """Its text; `` where this user may not read it."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST).decode(errors="replace")
    except OSError:
        return ""
