"""Runs a repository's `postBuild` or `start` as it was meant. Runs inside the sandbox: the standard library only.

`running.py postBuild|start FILE [COMMAND…]`: executable or not, with any first line or none (then sh), and with the
line ends and the marks of Windows. What `start` is given is the server's command, which it has to `exec`.
"""

import codecs
import os
import shutil
import signal
import stat
import subprocess
import sys

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
"""What Windows' editors put before a text: no `#!` is seen behind them."""


def words_for(path: str) -> list[str]:
    """The command that runs a file. Raises FileNotFoundError where its first line asks for what is not here."""
    with open(path, "rb") as file:
        raw = file.read()
    if raw.startswith(b"\x7fELF"):
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return [path]
    encoding = next((encoding for mark, encoding in MARKS if raw.startswith(mark)), "")
    text = raw.decode(encoding, "replace").removeprefix("\ufeff").encode() if encoding else raw
    content = text.replace(b"\r\n", b"\n")
    first = content.partition(b"\n")[0].decode(errors="replace").strip()
    if content != raw:
        path = os.path.join("/tmp", os.path.basename(path))  # noqa: S108 - the sandbox's own
        with open(path, "wb") as file:
            file.write(content)
    asked = first[2:].split(None, 1) if first.startswith("#!") else []  # as the kernel reads it
    if not asked:
        return ["/bin/sh", path]
    if not os.path.exists(asked[0]):
        found = shutil.which(os.path.basename(asked[0]))
        if found is None:
            raise FileNotFoundError(f"its first line asks for {asked[0]}, which is not here")
        asked[0] = found
    return [*asked, path]


def main() -> int:
    name, path, *command = sys.argv[1:]
    try:
        words = words_for(path)
        if name == "start":
            os.environ["PERIJOVE_START"] = path  # tells serve.py to say that it was reached
            os.execv(words[0], [*words, *command])  # noqa: S606
        status = subprocess.call(words)
    except OSError as error:
        print(f"{name} cannot be run: {error}", file=sys.stderr)  # noqa: T201
        return 1
    if status:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        print(f"{name} {how}", file=sys.stderr)  # noqa: T201
    if status == -signal.SIGKILL:
        return 128 + signal.SIGKILL  # not its own doing: told as a signal, as whoever waits for us reads it
    return min(status, 125) if status > 0 else int(status < 0)  # higher ones would mean signals


if __name__ == "__main__":
    sys.exit(main())
