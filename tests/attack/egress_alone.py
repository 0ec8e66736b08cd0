"""The egress proxy alone, in a network where the one name server never answers: run by test_egress.py in bubblewrap.

Out: what it said to each request, as JSON. Once it has answered the first, the files of its interpreter vanish.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import perijove

WEB, PATIENT = 8000, 8001
DEAD = 40
"""Look-ups that never end, in one sandbox."""
NAMES = (
    "b\u00fccher.test", "xn--bcher-kva.test", "\u00df" * 70 + ".test", "a" * 300 + ".test", "a..b", ".", "..", "",
    "a b", "\u0131.test", "\u00ad.test", "xn--\u00ff.test", "xn--" + "9" * 60 + ".test", "\u00c3\u00bc.test",
    "%00.test",
    "[fe80::1%25lo]", "[fe80::1%lo]", "[::1", "[v1.x]", "::1", "user@good.test",
    "\u00b9\u00b2\u00b7.0.0.1", "\x00", "\t",
    "\u2488", "good.test\u3002", "127.1", "0", "0x7f000001",
)  # fmt: skip
PORTS = ("0", "00", "65536", "-1", "\u0663", "x", "")
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def door(name: str) -> int:
    """A sandbox's way out; its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    allowed = [f"good.test:{WEB}", f"127.0.0.1:{WEB}", f"127.0.0.1:{PATIENT}"]
    rule = {"open": name, "public": False, "allowed": allowed, "way_out": {"http": "", "https": "", "direct": []}}
    socket.send_fds(ours, [json.dumps(rule).encode()], [listener.fileno()])
    return int(listener.getsockname()[1])


def ask(port: int, request: bytes, limit: float = 30) -> str:
    """The first line of its answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), limit) as connection:
            connection.sendall(request)
            return connection.recv(4096).decode().split("\r\n")[0]
    except OSError as error:
        return repr(error)


def reset(port: int) -> str:
    """Ask for a tunnel and cut it off; the answer's first line."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(tunnel(f"127.0.0.1:{PATIENT}"))
        said = connection.recv(4096).decode().split("\r\n")[0]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return said


def tunnel(target: str) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\n\r\n".encode("latin-1", errors="replace")


def serve(web: socket.socket) -> None:
    while True:
        web.accept()[0].close()


def hide() -> None:
    """Lay an empty folder over all that Python could still import, for the proxy too."""
    libc = ctypes.CDLL(None, use_errno=True)
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), str(Path(perijove.__file__).parent)}:
        if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, None) != 0:
            raise OSError(ctypes.get_errno(), f"mount on {folder}")


def attack(pid: int) -> dict[str, object]:
    told: dict[str, object] = {}
    told["first"] = ask(door("first"), tunnel(f"127.0.0.1:{WEB}"))
    told["status"] = Path(f"/proc/{pid}/status").read_text()
    told["limits"] = Path(f"/proc/{pid}/limits").read_text()
    with ThreadPoolExecutor(64) as threads:
        threads.map(abs, range(64))
        hide()
        told["left"] = os.listdir(sysconfig.get_path("stdlib"))
        targets = [f"{name}:{WEB}" for name in NAMES] + [f"good.test:{port}" for port in PORTS]
        asked = [threads.submit(ask, door(f"n{number}"), tunnel(target)) for number, target in enumerate(targets)]
        told["names"] = {ascii(target): one.result() for target, one in zip(targets, asked, strict=True)}
        told["ports"] = [told["names"][ascii(f"good.test:{port}")] for port in PORTS]  # type: ignore[index]
        told["plain"] = ask(door("plain"), b"GET http://good.test:0/ HTTP/1.1\r\n\r\n")
        for size in (60_000, 70_000, 2_000_000):
            told[f"head {size}"] = ask(door(f"h{size}"), b"GET http://x/ HTTP/1.1\r\nX: " + b"x" * size + b"\r\n\r\n")
        cut = door("cut")
        told["cut off"] = [one.result() for one in [threads.submit(reset, cut) for _ in range(20)]]
        slow, good = door("slow"), door("good")
        dead = [threads.submit(ask, slow, tunnel(f"dead{number}.test:{WEB}")) for number in range(DEAD)]
        began = time.monotonic()
        told["good"] = ask(good, tunnel(f"good.test:{WEB}"))
        told["good took"] = time.monotonic() - began
        told["dead"] = [one.result() for one in dead]
        told["dead took"] = time.monotonic() - began
    crowd = door("crowd")
    held = [socket.create_connection(("127.0.0.1", crowd), 5) for _ in range(300)]
    told["crowd"] = ask(crowd, tunnel(f"127.0.0.1:{WEB}"))
    told["beside the crowd"] = ask(good, tunnel(f"127.0.0.1:{WEB}"))
    told["held"] = len(held)
    return told


def main() -> None:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    threading.Thread(target=serve, args=(socket.create_server(("127.0.0.1", WEB)),), daemon=True).start()
    patient = socket.create_server(("127.0.0.1", PATIENT))
    argv = [sys.executable, "-Pm", "perijove.backends.pad.egress", f"{theirs.fileno()}", "0"]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(argv, pass_fds=[theirs.fileno()], stderr=errors) as proxy:
            told = attack(proxy.pid)
            told["ended"] = proxy.poll()
            proxy.kill()
        errors.seek(0)
        told["errors"] = errors.read().decode()
    patient.close()
    json.dump(told, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


main()
