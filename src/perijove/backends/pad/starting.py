"""How the first program of a sandbox, or a bare one, is started: within its limits, as its uid, in its place.

In: an order and the ground it stands on. Out: a process. Acts.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.pad import unsandboxed, userns
from perijove.backends.pad.footing import Footing, kernel
from perijove.backends.pad.wire import Order
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.yielding import BUILD_NICENESS

OPEN_FILES = 16384


@dataclass(frozen=True, slots=True)
class Starting:
    """One sandbox's."""

    order: Order
    footing: Footing
    uid: int | None
    """None: ours."""
    counted: bool
    """Whether a control group counts its processes."""

    @property
    def rlimits(self) -> dict[int, int]:
        """Each for its processes, soft and hard.

        Without a control group its number of processes too: kernels since 5.14 count per user namespace, thus per
        sandbox.
        """
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        limits = {
            resource.RLIMIT_NOFILE: min(most, OPEN_FILES) if most != resource.RLIM_INFINITY else OPEN_FILES,
            resource.RLIMIT_FSIZE: self.order.limits.disk,
            resource.RLIMIT_CORE: 0,
        }
        if not self.counted and (self.uid is not None or kernel() >= (5, 14)):
            limits[resource.RLIMIT_NPROC] = self.order.limits.processes
        return limits

    def start(
        self,
        argv: Sequence[str],
        output: int,
        passed: Sequence[int],
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path = Path("/"),
        joins: Sequence[int] = (),
        namespace: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Joins what is open of control groups, enters a user namespace. Raises Fail: `start.sandbox-failed`."""
        bwrap = self.footing.bwrap
        try:
            return subprocess.Popen(
                argv,
                executable=bwrap,  # by another name, since PID 1 shows its command line inside
                env=environ or {},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=passed,
                start_new_session=True,
                preexec_fn=lambda: self._become(joins, namespace),  # noqa: PLW1509 - the pad has one thread only
            )
        except (OSError, subprocess.SubprocessError) as error:
            where = Evidence(str(bwrap or argv[0]), str(error))
            raise Fail(SANDBOX_FAILED("its program cannot be started", where)) from error

    def _become(self, joins: Sequence[int], namespace: int | None) -> None:
        """Between fork and exec: limits first, while we may still set them, then the uid."""
        for fd in joins:
            os.write(fd, b"0")
        if not self.order.listens:
            os.nice(BUILD_NICENESS)
        for limit, value in self.rlimits.items():
            if limit != resource.RLIMIT_NPROC:  # of the sandbox's own user namespace: set once it stands
                resource.setrlimit(limit, (value, value))
        if not self.footing.sandboxed:
            unsandboxed.die_with_parent()
        if namespace is not None:
            userns.enter(namespace)
        if self.uid is not None:
            userns.become(self.uid)
        os.umask(0o022)

    def limit_processes(self, root: int) -> None:
        """Where nothing else does; `root` is the sandbox's first process."""
        most = self.rlimits.get(resource.RLIMIT_NPROC)
        if most is not None:
            resource.prlimit(root, resource.RLIMIT_NPROC, (most, most))
