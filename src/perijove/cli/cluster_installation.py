"""`perijove install kubernetes` and `uninstall kubernetes`: Perijove in a cluster. In: flags, settings."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from perijove.cli import printing, service
from perijove.cli.grammar import options
from perijove.cli.places import ConfigOption
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail

if TYPE_CHECKING:
    from perijove.backends.kubernetes.api import Cluster
    from perijove.backends.kubernetes.applying import Done

IMAGE = f"registry.example.org/perijove@sha256:{'0' * 64}"
"""An image that is none, where no pod is asked for."""
INSTALLING = options(
    None,
    "perijove install kubernetes --dry-run --config perijove.toml --image IMAGE",
    "perijove install kubernetes --expose ingress --class nginx --issuer letsencrypt --image IMAGE",
)
UNINSTALLING = options(None, "perijove uninstall kubernetes", "perijove uninstall kubernetes --purge")
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", help="The control plane's; sessions have engine.namespace.")
]
ContextOption = Annotated[str | None, typer.Option("--context", help="Of kubectl's configuration.", show_default=False)]
EXPOSE = (
    "load-balancer, node-port: visitors come to the service itself, which gets its certificates; ingress, gateway: "
)
EXPOSE += "these have cert-manager's; cluster-ip: nothing leads there."


ExposeOption = Annotated[str, typer.Option("--expose", help=EXPOSE)]
FilesOption = Annotated[
    str, typer.Option("--files", metavar="SECRET", help="Mounted at /etc/perijove/files, where settings name files.")
]
EnvFromOption = Annotated[
    str, typer.Option("--env-from", metavar="SECRET", help="Its entries are variables: https_proxy, SSL_CERT_FILE.")
]
PullOption = Annotated[str, typer.Option("--pull-secret", metavar="SECRET", help="By which nodes pull the image.")]
PrivilegedOption = Annotated[
    bool, typer.Option("--privileged", help="Where pods have no user namespaces, before Kubernetes 1.33.")
]


def install(
    image: Annotated[str, typer.Option("--image", help="Perijove's own, registry/name@sha256:…")],
    config: ConfigOption = None,
    namespace: NamespaceOption = "perijove-system",
    expose: ExposeOption = "load-balancer",
    class_name: Annotated[str, typer.Option("--class", help="Of the Ingress, Gateway or load balancer.")] = "",
    issuer: Annotated[str, typer.Option("--issuer", help="cert-manager's ClusterIssuer.")] = "",
    files: FilesOption = "",
    env_from: EnvFromOption = "",
    pull_secret: PullOption = "",
    storage: Annotated[str, typer.Option("--storage", help="How large the volume is.")] = "50Gi",
    storage_class: Annotated[str, typer.Option("--storage-class", help="Else the cluster's.")] = "",
    privileged: PrivilegedOption = False,
    context: ContextOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the manifests and change nothing.")] = False,
) -> None:
    """Put Perijove into a cluster, with sessions as its pods: what `kubectl apply` would do. Safe to repeat."""
    from perijove.backends.kubernetes import exposing, installing  # noqa: PLC0415  imported late: few need it
    from perijove.backends.registry.addresses import for_images  # noqa: PLC0415  imported late: few need it

    if expose not in [*exposing.Expose]:
        raise typer.BadParameter(f"it is one of {', '.join(exposing.Expose)}", param_hint="--expose")
    settings, told = service.loader(config, {"engine.kind": "kubernetes"})()
    nodes = installing.Nodes.PRIVILEGED if privileged else installing.Nodes.USER_NAMESPACES
    wish = installing.Options(image, namespace, exposing.Expose(expose), class_name, issuer, files, env_from,
                              pull_secret, storage, storage_class, nodes)  # fmt: skip
    for name, why, saw in installing.faults(settings, wish):
        if name.startswith("--"):
            raise typer.BadParameter(f"it {why}", param_hint=name)
        raise Fail(BAD_SETTINGS(f"{name} {why}", Evidence(told.get(name, "default"), saw)))
    for_images(settings.engine.registry, from_a_pod=True)
    wanted = installing.manifests(settings, [one for one in told if told[one] != "engine.kind"], wish)
    if dry_run:
        typer.echo(installing.yaml_text(wanted), nl=False)
        return
    from perijove.backends.kubernetes import applying  # noqa: PLC0415  imported late: kr8s takes half a second

    _do(context, lambda cluster: applying.install(cluster, wanted, settings, wish))
    printing.out.print(f"It starts: `kubectl -n {namespace} rollout status deployment/{settings.engine.instance}`")


def uninstall(
    config: ConfigOption = None,
    namespace: NamespaceOption = "perijove-system",
    purge: Annotated[bool, typer.Option("--purge", help="Remove the volume and the certificates too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    context: ContextOption = None,
) -> None:
    """Take Perijove out of a cluster, and end its sessions; its volume, certificates and namespaces stay."""
    from perijove.backends.kubernetes import applying  # noqa: PLC0415  imported late: kr8s takes half a second
    from perijove.backends.kubernetes.installing import Options  # noqa: PLC0415  imported late: few need it

    settings, _ = service.loader(config, {})()
    name = settings.engine.instance
    if purge and not yes:
        lost = f"the volume {name} of {namespace} and its certificates: accounts, keys, history"
        typer.confirm(f"Remove {lost}? This cannot be undone", abort=True, err=True)
    _do(context, lambda cluster: applying.uninstall(cluster, settings, Options(IMAGE, namespace), purge=purge))
    stay = f"The namespaces {namespace} and {settings.engine.namespace} stay"
    printing.out.print(stay + ("." if purge else f", with the volume {name} and the certificates."), markup=False)


def _do(context: str | None, work: Callable[["Cluster"], AsyncIterator[tuple[str, "Done"]]]) -> None:
    """Each object is told once it is there or gone. Raises Fail: `cluster.*`."""
    from perijove.backends.kubernetes.api import Cluster  # noqa: PLC0415  imported late: kr8s takes half a second

    async def run() -> None:
        cluster = Cluster("", context=context)
        try:
            async for name, done in work(cluster):
                printing.out.print(Text.assemble(("✓ ", "green"), f"{name}: {done}"))
        finally:
            await cluster.close()

    asyncio.run(run())
