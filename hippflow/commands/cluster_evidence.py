"""``hippflow cluster evidence``: what a cluster's products say of whether it may be deleted."""

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hippflow.day.config_file import read_plain_config
from hippflow.errors import CloudError, HippflowError

if TYPE_CHECKING:
    from hippflow.cloud.clusters.checks import Evidence
    from hippflow.commands.cluster import Hooks

#: Where the nodes' start script puts hippflow.
FOLDER_THERE = "/data/hippflow"

#: Seconds within which the head node must have compared all products with the archive.
TIMEOUT = 3600.0


def add(parts: Any, hooks: "Hooks") -> None:
    """Add the parser of the command."""
    evidence = parts.add_parser("evidence", help="what teardown asks on the head node: missing products, the archive")
    evidence.add_argument(
        "--configfile", default="config.yaml", metavar="FILE", help="configuration (default config.yaml)"
    )
    evidence.set_defaults(run=lambda arguments: print(json.dumps(_gather(arguments, hooks))))


def _gather(arguments: argparse.Namespace, hooks: "Hooks") -> dict[str, Any]:
    """Return what is missing and what is wrong with the archive; an error stands in its own place."""
    config = read_plain_config(Path(arguments.configfile), "call hippflow in the workflow's folder")
    url = (config.get("archive") or {}).get("url")
    answers: dict[str, Any] = {"results": str(config.get("results") or "results"), "archive_url": url}
    asked = {"inventory": hooks.inventory, "archive": hooks.archive_report if url else lambda _: []}
    for name, ask in asked.items():
        try:
            answers[name] = ask(config) if ask else None
        except HippflowError as error:
            answers[f"{name}_error"] = str(error)
    return answers


def ask_there(cluster: str, head: str, folder: str) -> Callable[[str], Any]:
    """Return a function that gives an answer of the head node by its name, which is asked once, when it is needed.

    Parameters
    ----------
    cluster : str
        Of which it must be the head node.
    head : str
        Command that runs another one there: see :func:`hippflow.cloud.clusters.head.require_cluster`.
    folder : str
        hippflow's folder there.
    """
    from hippflow.cloud.clusters.head import require_cluster, run_there

    answers: dict[str, Any] = {}

    def ask(name: str) -> Any:
        if not answers:
            require_cluster(cluster, head)
            quoted = shlex.quote(folder)
            command = (
                f"cd {quoted} && test -x .venv/bin/hippflow || {{ echo no hippflow with .venv in {quoted} >&2; "
                "exit 1; }; exec .venv/bin/hippflow cluster evidence"
            )
            said = run_there(head, "sh", "-c", command, timeout=TIMEOUT)
            try:
                answers.update(json.loads(said))
            except ValueError as error:
                raise CloudError(
                    f"{folder} on the head node: expected the answer of hippflow cluster evidence, found: "
                    f"{said.strip()[-200:]!r}; is it the same version of hippflow? Try it there"
                ) from error
        if f"{name}_error" in answers:
            raise CloudError(answers[f"{name}_error"])
        return answers[name]

    return ask


def find_evidence(arguments: argparse.Namespace, cluster: str, config: dict[str, Any]) -> "Evidence":
    """Return what teardown's checks ask, answered here or, with ``--head``, on the head node.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of ``hippflow cluster teardown``.
    cluster : str
        Its name.
    config : dict
        This computer's configuration, which counts where this is a node of the cluster.
    """
    return _evidence_there(arguments, cluster) if arguments.head else _evidence_here(arguments, cluster, config)


def _evidence_here(arguments: argparse.Namespace, cluster: str, config: dict[str, Any]) -> "Evidence":
    """Return what the products on this computer say, which must be a node of the cluster."""
    from hippflow.cloud.clusters.checks import Evidence
    from hippflow.cloud.clusters.head import newest_file, require_cluster

    url, hooks = (config.get("archive") or {}).get("url"), arguments.hooks
    report = hooks.archive_report if url else lambda _: []
    results = arguments.results or config.get("results") or "results"

    def here(ask: Callable[[], Any]) -> Any:
        require_cluster(cluster)  # products of another computer prove nothing
        return ask()

    return Evidence(
        (lambda: here(lambda: hooks.inventory(config))) if hooks.inventory else None,
        (lambda: (url, here(lambda: report(config)) if url else [])) if report else None,
        lambda: here(lambda: newest_file(results)),
        None,
        arguments.volume,
        arguments.anyway,
        arguments.unchecked,
    )


def _evidence_there(arguments: argparse.Namespace, cluster: str) -> "Evidence":
    """Return what the head node says of its products, by the configuration there."""
    from hippflow.cloud.clusters.checks import Evidence
    from hippflow.cloud.clusters.head import newest_file

    answer = ask_there(cluster, arguments.head, arguments.folder)

    def newest() -> float | None:
        results = PurePosixPath(arguments.folder, answer("results"))
        return newest_file(arguments.results or results, arguments.head)

    return Evidence(
        lambda: answer("inventory"),
        lambda: (answer("archive_url"), answer("archive")),
        newest,
        arguments.head,
        arguments.volume,
        arguments.anyway,
        arguments.unchecked,
    )
