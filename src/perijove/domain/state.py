"""Where everything lies in the state directory, and whose it is. Pure: names and modes only.

The root folder is the pad's; what the service writes lies in folders of the service's user, the pad's *master*. Often
both are one user. The folders on the way to what sessions mount are 0711: a session's own uid can pass but not look.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class State:
    """The layout of one state directory."""

    root: Path

    @property
    def of_pad(self) -> dict[Path, int]:
        """The pad's folders and their modes, the root first; the group of the last two is the master's."""
        return {
            self.root: 0o711,
            self.sessions: 0o711,
            self.pad: 0o755,
            self.session_sockets: 0o710,
            self.handed: 0o710,
        }

    @property
    def of_master(self) -> dict[Path, int]:
        """The folders in the root where the service writes, and their modes. Whoever owns `run` is the master."""
        return {self.run: 0o711, self.store: 0o711, self.control: 0o700, self.logs: 0o700}

    @property
    def in_store(self) -> dict[Path, int]:
        """The folders that the service makes in its store, and their modes."""
        passed = dict.fromkeys((self.checkouts, self.unsealed), 0o710)
        private = dict.fromkeys((self.uv_cache, self.conda_cache, self.resolutions, self.image_layers), 0o700)
        shown = (self.environments, self.interpreters, self.tools, self.bases, self.layers)
        of_apt = (self.apt, self.apt_lists, self.apt_archives)
        return passed | private | dict.fromkeys((*shown, *of_apt), 0o755) | {self.apt_decided: 0o700}

    @property
    def pad_socket(self) -> Path:
        """The pad's requests; 0600 and the master's."""
        return self.root / "pad.sock"

    @property
    def pad_lock(self) -> Path:
        """Held by the one pad; 0600."""
        return self.root / "pad.lock"

    @property
    def pad(self) -> Path:
        """Programs that the pad runs as sessions' uids, and the empty disks it copies; 0755."""
        return self.root / "pad"

    @property
    def home_disks(self) -> Path:
        """The disk of each session's home, where homes have disks of their own, as a file; 0700."""
        return self.pad / "homes"

    @property
    def keep_notes(self) -> Path:
        """What is to be kept of which session, one file each; 0700."""
        return self.pad / "keep"

    @property
    def session_sockets(self) -> Path:
        """One `<session>.sock` each, 0600 and the master's; only the pad writes here; 0710."""
        return self.root / "s"

    @property
    def sessions(self) -> Path:
        """One folder a session, 0700 and its uid's; this one 0711."""
        return self.root / "sessions"

    @property
    def handed(self) -> Path:
        """One folder a foreign run, one file a session of which something is kept: for the master to fetch; 0710."""
        return self.root / "handed"

    @property
    def run(self) -> Path:
        """Sockets and the lock of the service; 0711."""
        return self.root / "run"

    @property
    def control_socket(self) -> Path:
        """The public application, behind Caddy."""
        return self.run / "control.sock"

    @property
    def admin_socket(self) -> Path:
        """The operator's commands; 0600."""
        return self.run / "admin.sock"

    @property
    def caddy_socket(self) -> Path:
        """Caddy's admin API; 0600."""
        return self.run / "caddy.sock"

    @property
    def store(self) -> Path:
        """What is kept and shared; 0711."""
        return self.root / "store"

    @property
    def checkouts(self) -> Path:
        """One folder a commit; 0710: homes are copied from here, and confined processes pass to the one they read."""
        return self.store / "checkouts"

    @property
    def unsealed(self) -> Path:
        """What changed in sessions of a cluster, a folder each while it is being sealed; 0710, the folders 0700."""
        return self.store / "unsealed"

    @property
    def environments(self) -> Path:
        """One folder a key; 0755."""
        return self.store / "environments"

    @property
    def uv_cache(self) -> Path:
        """On the environments' file system, so that files are hardlinked; 0700."""
        return self.store / "uv-cache"

    @property
    def conda_cache(self) -> Path:
        """conda packages and what channels list; on the environments' file system; 0700."""
        return self.store / "conda-cache"

    @property
    def resolutions(self) -> Path:
        """What packages were resolved to, a file for each commit and what it asks for; 0700."""
        return self.store / "resolutions"

    @property
    def image_layers(self) -> Path:
        """Digests of layers that were published to a registry, a file a layer; 0700."""
        return self.store / "image-layers"

    @property
    def bases(self) -> Path:
        """Systems of our own, one folder a key; 0755."""
        return self.store / "bases"

    @property
    def layers(self) -> Path:
        """What packages of the distribution add to a base, one folder a key; 0755."""
        return self.store / "layers"

    @property
    def apt(self) -> Path:
        """What mirrors list, and packages as they were fetched, which builds are shown; 0755."""
        return self.store / "apt"

    @property
    def apt_lists(self) -> Path:
        """One folder a base and a time."""
        return self.apt / "lists"

    @property
    def apt_archives(self) -> Path:
        """Packages as they were fetched."""
        return self.apt / "archives"

    @property
    def authorities(self) -> Path:
        """Certificates that sandboxes trust where the service has its own; 0644."""
        return self.store / "authorities.pem"

    @property
    def apt_decided(self) -> Path:
        """Which packages were decided on, a file a commit; 0700."""
        return self.apt / "decided"

    @property
    def interpreters(self) -> Path:
        """Interpreters that sessions could not reach where they are installed; 0755."""
        return self.store / "interpreters"

    @property
    def tools(self) -> Path:
        """Programs and files of ours that sandboxes need; 0755."""
        return self.store / "tools"

    @property
    def control(self) -> Path:
        """What is to be kept for ever; 0700."""
        return self.root / "control"

    @property
    def pythons(self) -> Path:
        """What this machine's Pythons said of themselves; 0600."""
        return self.control / "pythons.json"

    @property
    def free_disk(self) -> Path:
        """How much of the disk was free, hour by hour; 0600."""
        return self.control / "free-disk"

    @property
    def database(self) -> Path:
        """The journal; 0600."""
        return self.control / "perijove.db"

    @property
    def secret(self) -> Path:
        """What all keys are made from; 0600."""
        return self.control / "secret"

    @property
    def kept(self) -> Path:
        """What visitors changed in sessions that are over, sealed; one folder a visitor; 0700, the files 0600."""
        return self.control / "kept"

    @property
    def keeping(self) -> Path:
        """Of sessions of a cluster: for whom to keep what, and what was fetched of it, sealed; 0700, the files 0600."""
        return self.control / "keeping"

    @property
    def people(self) -> Path:
        """Who may log in by a password; 0600."""
        return self.control / "people"

    def people_in(self, named: str) -> Path:
        """The same, where the operator has named another file."""
        return Path(named) if named else self.people

    @property
    def logins(self) -> Path:
        """One file for each browser that is logged in; 0700."""
        return self.control / "logins"

    @property
    def host_tokens(self) -> Path:
        """One sealed file a person: their tokens for Git hosts; 0700, the files 0600."""
        return self.control / "host-tokens"

    @property
    def grants(self) -> Path:
        """One folder a session, one file in it for each browser that may open it; 0700."""
        return self.control / "grants"

    @property
    def upstreams(self) -> Path:
        """One folder a session in a cluster, in it an empty file, named as the address where it listens; 0700."""
        return self.control / "upstreams"

    @property
    def acme(self) -> Path:
        """One folder an ACME directory: the account's key and URL; 0700."""
        return self.control / "acme"

    @property
    def local_ca(self) -> Path:
        """The embedded CA's root and key; 0700."""
        return self.control / "local-ca"

    @property
    def secrets(self) -> Path:
        """One folder a host, one below it a revision; 0700, the files 0600."""
        return self.control / "secrets"

    @property
    def logs(self) -> Path:
        """Logs of the pad and of Caddy; 0700."""
        return self.root / "log"

    @property
    def caddy(self) -> Path:
        """Caddy's own files; 0700."""
        return self.control / "caddy"
