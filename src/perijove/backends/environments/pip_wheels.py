"""`pip wheel` for what is not installed yet. Runs inside the sandbox, by the environment's own Python: plain and old.

`pip_wheels.py FOLDER WORDS…`: pip decides as if it installed the words into the environment that runs it, and wheels
are made in FOLDER of just what it would have installed. What stands already stays as it is, where it will do.
"""

import json
import os
import subprocess
import sys
from typing import Any

PIP = [sys.executable, "-I", "-m", "pip"]
NO_SUCH_OPTION = 2


def requirement(one: Any) -> str:
    """Of pip's installation report, an item as pip's own words."""
    about, url = one["download_info"], one["download_info"]["url"]
    marks = []
    if "vcs_info" in about:
        url = "{vcs}+{url}@{commit_id}".format(url=url, **about["vcs_info"])
    elif "archive_info" in about:
        hashes = about["archive_info"].get("hashes") or {}
        marks = ["sha256=" + hashes["sha256"]] if "sha256" in hashes else []
    if about.get("subdirectory"):
        marks.append("subdirectory=" + about["subdirectory"])
    return "{} @ {}{}".format(one["metadata"]["name"], url, "#" + "&".join(marks) if marks else "")


def main(folder: str, words: Any) -> int:
    """An exit status."""
    os.makedirs(folder)
    report, asked = os.path.join(folder, "report.json"), os.path.join(folder, "asked.txt")
    status = subprocess.call([*PIP, "install", "--dry-run", "--report", report, *words])
    if status == NO_SUCH_OPTION:  # pip < 22.2
        return subprocess.call([*PIP, "wheel", "--wheel-dir", folder, *words])
    if status:
        return status
    with open(report) as file:
        lines = [requirement(one) for one in json.load(file)["install"]]
    if not lines:
        return 0
    with open(asked, "w") as file:
        file.write("\n".join(lines))
    return subprocess.call([*PIP, "wheel", "--no-deps", "--wheel-dir", folder, "-r", asked])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
