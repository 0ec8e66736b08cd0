"""What images have in common, whether they are fetched or made (OCI image specification 1.1). Pure."""

import re

HOMES = {"docker.io": "registry-1.docker.io"}
"""Where a registry answers whose images have another name."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Processors that Go names otherwise than Linux."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TIME = 315_532_800
"""Unix seconds of every file that we pack: 1980, before which zip files, and so Python's packagers, know no time."""
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
"""How a layer says that older ones' files are gone: one, and all of a folder (layer.md)."""
