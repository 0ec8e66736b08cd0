"""Values of the charts, to be pasted into config.yaml: nested, under the root of the chart that is installed. Pure.

Facts: helm-chart/binderhub/Chart.yaml of jupyterhub/binderhub has JupyterHub's chart as a dependency of that name, so
that its values stand below that key; a key with dots is another key to Helm, which it passes over in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.view import Cluster
from perijove.domain.cluster import text

_PLAIN = re.compile(r"[A-Za-z/][\w./:@-]*|\d+(?:\.\d+)?[A-Z]i?")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null"}


def hub(cluster: Cluster, settings: Mapping[str, Any], note: str = "") -> str:
    """Values of JupyterHub's chart."""
    root = "jupyterhub." if _brings_binderhub(cluster) else ""
    return binder({f"{root}{path}": value for path, value in settings.items()}, note)


def _brings_binderhub(cluster: Cluster) -> bool:
    """Whether it was BinderHub's chart that was installed: by its parts, its settings, or the name of the release."""
    parts = {"binder", "dind", "binderhub-build", "image-cleaner"}
    releases = (text(one.labels.get("release") or one.labels.get("app.kubernetes.io/instance")) for one in cluster.pods)
    there = any(pods.component(one) in parts for one in cluster.pods) or cluster.settings() is not None
    return there or any("binder" in one for one in releases)


def binder(settings: Mapping[str, Any], note: str = "") -> str:
    """Values of BinderHub's chart, by dotted path."""
    tree: dict[str, Any] = {}
    for path, value in settings.items():
        *way, last = path.split(".")
        place = tree
        for key in way:
            place = place.setdefault(key, {})
        place[last] = value
    said = ", ".join(f"{path}: {_scalar(value)}" for path, value in settings.items() if not isinstance(value, list))
    head = f"# {said or ', '.join(settings)}; in config.yaml, then helm upgrade{f': {note}' if note else ''}"
    return "\n".join([head, *_lines(tree, "")])


def _lines(value: Mapping[str, Any], indent: str) -> list[str]:
    told = []
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            told += [f"{indent}{key}:", *_lines(inner, indent + "  ")]
        elif isinstance(inner, list):
            told.append(f"{indent}{key}:")
            for one in inner:
                if not isinstance(one, Mapping):
                    told.append(f"{indent}  - {_scalar(one)}")
                    continue
                first, *rest = _lines(one, indent + "    ")
                told += [f"{indent}  - {first.strip()}", *rest]
        else:
            told.append(f"{indent}{key}: {_scalar(inner)}")
    return told


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_scalar(one)}' for key, one in value.items())}}}"
    plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS and value[-1] != ":"
    return value if plain else json.dumps(value, ensure_ascii=False)
