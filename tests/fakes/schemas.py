"""What a document breaks of its schema: Kubernetes' published ones, and others.

Their library makes forty grammars as it is imported, for more than a second: whoever asks nothing waits for none.
"""

from __future__ import annotations

import json
from typing import Any


def wrong_manifest(manifest: Any, version: str) -> str:
    """What Kubernetes of this version would not take of it; `` where it takes all."""
    import kubernetes_validate  # noqa: PLC0415  as said above

    try:
        used = kubernetes_validate.validate(json.loads(json.dumps(manifest)), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    assert used.startswith(version)
    return ""


def wrong(document: Any, schema: Any) -> str:
    """What the schema does not allow of it; `` where it allows all."""
    import jsonschema  # noqa: PLC0415  as said above

    try:
        jsonschema.validate(document, schema)
    except jsonschema.ValidationError as error:
        return str(error.message)
    return ""
