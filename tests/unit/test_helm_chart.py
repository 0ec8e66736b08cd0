"""packaging/helm: with values, its templates are the manifests of `perijove install kubernetes` with options.

Helm renders Go's text/template, and so does kubectl, without a cluster.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from perijove.backends.kubernetes.exposing import Expose
from perijove.backends.kubernetes.installing import Nodes, Options, manifests
from perijove.domain.settings_layers import Layer, environment_layers, merged
from tests.architecture.helm_chart import CHART, templates
from tests.fakes.schemas import wrong

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
IMAGE = f"registry.example.org/perijove@sha256:{'b' * 64}"
DEFAULTS: Json = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Json = json.loads((CHART / "values.schema.json").read_text())
LEAST: Json = {**DEFAULTS, "image": IMAGE, "host": "binder.example.org", "memoryLimit": f"{10 << 30}"}
FULL: Json = {
    **LEAST, "sessionHosts": "*.run.example.org", "class": "outer", "issuer": "letsencrypt", "files": "files",
    "envFrom": "environ", "pullSecret": "pull", "storageClass": "fast", "sessionsNamespace": "sessions",
    "runtimeClass": "gvisor", "placeholders": 3,
    "placeholderMemory": f"{2 << 30}", "placeholderDisk": f"{2560 << 20}", "pullSecrets": ["a", "b"],
    "settings": '[service]\ntitle = "Binder: \\"é\\""\n',
}  # fmt: skip
FRONT: Json = {"behind": ["10.0.0.0/8", "fd00::/8"]}
CASES: dict[str, Json] = {
    "least": LEAST, "privileged": {**LEAST, "privileged": True}, "full": FULL,
    "node port": {**FULL, "expose": "node-port"}, "cluster ip": {**LEAST, **FRONT, "expose": "cluster-ip"},
    "ingress": {**FULL, **FRONT, "expose": "ingress"}, "least ingress": {**LEAST, **FRONT, "expose": "ingress"},
    "gateway": {**FULL, **FRONT, "expose": "gateway"},
}  # fmt: skip


def rendered(values: Json, folder: Path) -> dict[str, Json]:
    given = {"apiVersion": "perijove/v1", "kind": "Values", "metadata": {"name": "values"}, "Values": values}
    release = {"Namespace": "binder", "Revision": 7}
    (folder / "values.json").write_text(json.dumps({**given, "Release": release}))
    whole = "\n---\n".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
    (folder / "templates").write_text(whole)
    words = ["kubectl", "label", "--local", "--kubeconfig=/dev/null", f"-f={folder / 'values.json'}", "a=b"]
    words += ["-o", f"go-template-file={folder / 'templates'}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = [one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one]
    return {f"{one['kind']} {one['metadata']['name']}": one for one in found}


def settings_of(values: Json) -> Json:
    """What the same says to `perijove install kubernetes`."""
    given = {
        "service.hosts": [values["host"]], "service.session_hosts": [*filter(None, [values["sessionHosts"]])],
        "service.behind": values["behind"], "engine.namespace": values["sessionsNamespace"],
        "engine.runtime_class": values["runtimeClass"], "engine.placeholders": values["placeholders"],
        "engine.pull_secrets": values["pullSecrets"],
    }  # fmt: skip
    return {name: value for name, value in given.items() if value}


def wanted(values: Json) -> dict[str, Json]:
    settings, told = merged([Layer("file", settings_of(values))])
    options = Options(
        IMAGE, "binder", Expose(values["expose"]), values["class"], values["issuer"], values["files"],
        values["envFrom"], values["pullSecret"], values["storage"], values["storageClass"],
        Nodes.PRIVILEGED if values["privileged"] else Nodes.USER_NAMESPACES,
    )  # fmt: skip
    found = {f"{one['kind']} {one['metadata']['name']}": one for one in manifests(settings, told, options)}
    del found["Namespace binder"]  # which is there before the release
    return found


def test_the_templates_are_the_manifests() -> None:
    """Where this fails: `python -m tests.architecture.helm_chart`."""
    there = {path.name: path.read_text() for path in (CHART / "templates").iterdir()}
    assert there == templates()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("case", CASES)
def test_a_release_is_what_an_installation_is(case: str, tmp_path: Path) -> None:
    values = CASES[case]
    assert wrong(values, SCHEMA) == ""
    found, expected = rendered(values, tmp_path), wanted(values)
    assert found.keys() == expected.keys()
    assert found.pop("ConfigMap perijove")["data"]["perijove.toml"] == values["settings"]
    del expected["ConfigMap perijove"]
    pod, other = (one["Deployment perijove"]["spec"]["template"] for one in (found, expected))
    environ = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
    pod["spec"]["containers"][0]["env"] = other["spec"]["containers"][0]["env"]
    assert pod["metadata"].pop("annotations") == {"perijove/settings": "7"}
    del other["metadata"]["annotations"]
    for name in (f"Namespace {values['sessionsNamespace']}", "PersistentVolumeClaim perijove"):
        assert found[name]["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert found == expected
    layers = environment_layers({name: value for name, value in environ.items()
                                 if name not in {"HOME", "PERIJOVE_CONFIG", "PERIJOVE_STATE"}})  # fmt: skip
    told, _ = merged(layers)
    meant, _ = merged([Layer("file", {**settings_of(values), "engine.kind": "kubernetes"})])
    assert (told.service.hosts, told.service.session_hosts) == (meant.service.hosts, meant.service.session_hosts)
    assert (told.service.behind, told.engine.namespace) == (meant.service.behind, meant.engine.namespace)
    assert (told.engine.runtime_class, told.engine.kind) == (meant.engine.runtime_class, meant.engine.kind)


def test_every_value_is_in_the_schema_and_no_other() -> None:
    assert DEFAULTS.keys() == SCHEMA["properties"].keys() - {"global"}
    used = {one for text in templates().values() for one in re.findall(r"\.Values\.(\w+)", text)}
    assert used == DEFAULTS.keys()


@pytest.mark.parametrize(
    "values",
    [DEFAULTS, {**LEAST, "image": "perijove:latest"}, {**LEAST, "expose": "ingress"}, {**LEAST, **FRONT},
     {**LEAST, **FRONT, "expose": "gateway"}, {**LEAST, "placeholder": 1}],
    ids=["nothing given", "tag", "nobody in front", "somebody in front", "no class", "unknown"],
)  # fmt: skip
def test_values_that_cannot_be_followed_are_refused(values: Json) -> None:
    assert wrong(values, SCHEMA)


def test_the_chart_s_versions_are_perijove_s() -> None:
    told = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (told["version"], told["appVersion"]) == (version, version)
