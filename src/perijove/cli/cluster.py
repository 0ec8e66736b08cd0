"""`perijove doctor kubernetes`, `record` and `convert`: a BinderHub that runs elsewhere. In: flags."""

# Annotations as values: typer evaluates each postponed one for every command, 15 ms of its start.
from pathlib import Path
from typing import Annotated

import typer

from perijove.cli.doctor import FixOption, JsonOption, YesOption, asked_for_sure
from perijove.cli.doctor import app as doctor
from perijove.cli.grammar import examples, options


@doctor.command(**options(None, "perijove doctor kubernetes -n binder", "perijove doctor kubernetes --from recorded/"))
def kubernetes(
    context: Annotated[str | None, typer.Option("--context", help="Of kubectl's configuration.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only this one; else all of them.")] = None,
    folder: Annotated[Path | None, typer.Option("--from", metavar="DIR", help="What somebody recorded.")] = None,
    now: Annotated[str | None, typer.Option("--now", metavar="TIME", help="When a recording is judged at.")] = None,
    json: JsonOption = False,
    fix: FixOption = False,
    yes: YesOption = False,
    save: Annotated[Path | None, typer.Option("--save", metavar="DIR", help="Keep what was seen, for others.")] = None,
) -> None:
    """Why does this BinderHub or JupyterHub on Kubernetes not work, and will it tomorrow."""
    from perijove.cli import cluster_examined  # noqa: PLC0415  imported late: it reads what few commands need

    if folder is None and now is not None:
        raise typer.BadParameter("--now is for recordings: give --from as well")
    if folder is not None and (context is not None or namespace is not None):
        raise typer.BadParameter("--from is a recording: it has no --context and no --namespace")
    if folder is not None and save is not None:
        raise typer.BadParameter("--from is a recording already: there is nothing to --save")
    if folder is not None and fix:
        raise typer.BadParameter("--from is a recording: there is nothing that --fix could change")
    asked_for_sure(fix=fix, json=json, yes=yes)
    if folder is not None:
        raise typer.Exit(cluster_examined.examine(folder, now, as_json=json))
    raise typer.Exit(cluster_examined.ask(context, namespace, as_json=json, fix=fix, sure=yes, save=save))


record = typer.Typer(
    no_args_is_help=True, help="Write down what the doctor looks at, to be judged elsewhere.",
    epilog=examples("perijove record kubernetes -n binder -o recorded"),
)  # fmt: skip


@record.callback()
def _record() -> None:
    """Nothing is changed; values of Secrets are never written."""


@record.command("kubernetes", **options(None, "perijove record kubernetes -n binder -o recorded"))
def record_kubernetes(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A folder that is not there yet.")],
    context: Annotated[str | None, typer.Option("--context", help="Of kubectl's configuration.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only this one; else all of them.")] = None,
    replace_names: Annotated[
        bool, typer.Option("--replace-names", help="Users' names and mail addresses become others.")
    ] = False,
) -> None:
    """Objects, events and logs of a cluster, for `perijove doctor kubernetes --from DIR`."""
    from perijove.cli import cluster_examined  # noqa: PLC0415  imported late: it reads what few commands need

    raise typer.Exit(cluster_examined.record(context, namespace, output, names=not replace_names))


convert = typer.Typer(
    no_args_is_help=True, help="Rewrite what older programs understood for those of today.",
    epilog=examples("perijove convert issuer old.yaml > new.yaml"),
)  # fmt: skip


@convert.callback()
def _convert() -> None:
    """What was rewritten goes to standard output, what was changed and what could not be to standard error."""


@convert.command(**options(None, "perijove convert issuer old.yaml > new.yaml"))
def issuer(
    file: Annotated[Path, typer.Argument(help="YAML with Issuers, ClusterIssuers, Certificates; - is standard input.")],
) -> None:
    """Issuers and Certificates of cert-manager before 1.0 as cert-manager.io/v1."""
    from perijove.cli import issuers_converted  # noqa: PLC0415  imported late: it reads what few commands need

    raise typer.Exit(issuers_converted.convert(file))
