"""``hippflow cluster``: keep the data of a cluster on AWS, end the cluster, and see what costs for nothing."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hippflow.commands import cluster_evidence
from hippflow.commands.cluster_evidence import FOLDER_THERE, find_evidence
from hippflow.day.config_file import read_plain_config
from hippflow.errors import CloudError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hippflow.cloud.clusters.idle import Idle, View

_FILE = "cluster/parallelcluster.yaml"


@dataclass(frozen=True)
class Hooks:
    """What the rest of hippflow knows and these commands ask, each only when it is needed.

    Attributes
    ----------
    inventory : callable, optional
        Returns what is missing of the products, a line each, from the complete configuration.
    archive_report : callable, optional
        Returns what is wrong with the products in the archive, a line each, from the configuration.
    price : callable, optional
        Returns US$ an hour of an :class:`hippflow.cloud.clusters.idle.Idle` in a region, None where it is not known.
    """

    inventory: Callable[[dict[str, Any]], list[str]] | None = None
    archive_report: Callable[[dict[str, Any]], list[str]] | None = None
    price: "Callable[[Idle, str], float | None] | None" = None


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", hooks: Hooks | None = None) -> None:
    """Add the parsers of the commands."""
    parser = commands.add_parser("cluster", help="snapshot and end a cluster on AWS, and see what costs for nothing")
    parts = parser.add_subparsers(required=True, metavar="COMMAND")

    snapshot = parts.add_parser("snapshot", help="keep the data volume, and let the next cluster start from it")
    _common(snapshot)
    snapshot.add_argument("--keep", type=int, default=2, metavar="N", help="snapshots to keep, with it (default 2)")
    snapshot.add_argument(
        "--file",
        metavar="FILE",
        help=f"cluster's configuration, which gets its id; its Region counts before AWS_REGION (default {_FILE})",
    )
    snapshot.add_argument("--no-file", action="store_true", help="rewrite no configuration")
    snapshot.add_argument("--volume", metavar="VOL", help="the data volume, where its tags do not tell")
    snapshot.add_argument("--description", metavar="TEXT", help="of the snapshot (default: hippflow NAME VOLUME)")
    snapshot.add_argument(
        "--data", default="/data", metavar="DIR", help="where the volume is, to look for key files (default /data)"
    )
    snapshot.add_argument(
        "--with-keys", action="store_true", help="although there are key files on it, or it is not here"
    )
    snapshot.set_defaults(run=_snapshot)

    teardown = parts.add_parser("teardown", help="delete a cluster when nothing runs and nothing would be lost")
    _common(teardown)
    teardown.add_argument("--anyway", action="store_true", help="although products are missing")
    teardown.add_argument(
        "--unchecked", action="store_true", help="although something cannot be checked from here, but for the snapshot"
    )
    teardown.add_argument("--yes", action="store_true", help="do not ask")
    teardown.add_argument("--head", metavar="COMMAND", help="how to reach the head node: 'ssh -i KEY ec2-user@ADDRESS'")
    teardown.add_argument(
        "--folder",
        default=FOLDER_THERE,
        metavar="DIR",
        help=f"hippflow's folder behind --head (default {FOLDER_THERE})",
    )
    teardown.add_argument("--results", metavar="DIR", help="folder of the products (default: results of config.yaml)")
    teardown.add_argument("--volume", metavar="VOL", help="the data volume, where its tags do not tell")
    teardown.add_argument("--pcluster", metavar="PATH", help="ParallelCluster's command (default: pcluster in PATH)")
    teardown.set_defaults(run=_teardown, hooks=hooks or Hooks())

    idle = parts.add_parser("idle", help="name what is running and billed and has nothing to do")
    _common(idle)
    idle.add_argument("--minutes", type=float, default=30.0, help="without work for so long (default 30)")
    idle.add_argument("--keep", type=int, default=2, metavar="N", help="snapshots that are wanted (default 2)")
    idle.add_argument("--head", metavar="COMMAND", help="how to reach the head node: 'ssh -i KEY ec2-user@ADDRESS'")
    idle.add_argument("--json", action="store_true", help="print JSON")
    idle.set_defaults(run=_idle, hooks=hooks or Hooks())

    cluster_evidence.add(parts, hooks or Hooks())


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cluster", metavar="NAME", help="name of the cluster (default: cluster.name of config.yaml)")
    parser.add_argument("--region", help="region (default: cluster.region of config.yaml, else AWS_REGION)")
    parser.add_argument(
        "--configfile", default="config.yaml", metavar="FILE", help="configuration (default config.yaml)"
    )


def _snapshot(arguments: argparse.Namespace) -> None:
    _require_boto3()
    from hippflow.cloud.clusters.snapshot import SnapshotPlan, snapshot_steps

    config = _read(Path(arguments.configfile))
    region = _region(arguments, config)
    cluster = _name(arguments, config) or _only_cluster(region)
    plan = SnapshotPlan(
        cluster,
        arguments.keep,
        None if arguments.no_file else _file(arguments, config),
        arguments.description,
        arguments.volume,
        Path(arguments.data),
        arguments.with_keys,
    )
    with _interruptible("a snapshot that was started goes on by itself; the same command goes on waiting for it"):
        for _ in snapshot_steps(_client("ec2", region), plan):
            pass


def _teardown(arguments: argparse.Namespace) -> None:
    _require_boto3()
    from hippflow.cloud.clusters.checks import make_checks
    from hippflow.cloud.clusters.teardown import teardown_steps

    config = _read(Path(arguments.configfile))
    region, cluster = _region(arguments, config), _name(arguments, config)
    cloudformation, ec2 = _client("cloudformation", region), _client("ec2", region)
    if not cluster:
        raise CloudError(f"teardown: expected the name of a cluster, found none; give --cluster: {_listed(region)}")
    evidence = find_evidence(arguments, cluster, config)

    def confirm() -> bool:
        if arguments.yes:
            return True
        if not sys.stdin.isatty():
            raise CloudError(f"cluster {cluster}: expected somebody to confirm, found no terminal; give --yes")
        return input(f"Delete the cluster {cluster} in {cloudformation.meta.region_name}? Type its name: ") == cluster

    checks = make_checks(ec2, cluster, evidence)
    with _interruptible("a deletion that has begun goes on by itself; the same command goes on waiting for it"):
        for _ in teardown_steps(
            cloudformation, ec2, cluster, pcluster=arguments.pcluster, checks=checks, confirm=confirm
        ):
            pass


def _idle(arguments: argparse.Namespace) -> None:
    _require_boto3()
    from hippflow.cloud.clusters.idle import find_idle

    config = _read(Path(arguments.configfile))
    region, cluster = _region(arguments, config), _name(arguments, config)
    ec2, cloudformation = _client("ec2", region), _client("cloudformation", region)
    view, unseen = _view(cluster, cloudformation, arguments.head)
    found = find_idle(ec2, cloudformation, cluster=cluster, view=view, minutes=arguments.minutes, keep=arguments.keep)
    where, price = ec2.meta.region_name, arguments.hooks.price
    prices = [price(one, where) if price else None for one in found]
    if arguments.json:
        rows = [asdict(one) | {"usd_per_hour": usd} for one, usd in zip(found, prices, strict=True)]
        print(json.dumps({"region": where, "slurm": unseen or "asked", "idle": rows}, indent=1))
        return
    print("\n".join(_table(found, prices, where)))
    if unseen:
        print(f"What Slurm has was not asked. {unseen}")


def _table(found: "list[Idle]", prices: list[float | None], region: str) -> list[str]:
    """Write what is idle as a table, with its price where one is known."""
    if not found:
        return [f"Nothing of a cluster in {region} costs for nothing."]
    rows = [("what", "id", "cluster", "US$/h", "why")]
    for one, usd in zip(found, prices, strict=True):
        what = " ".join(
            filter(None, [one.kind, one.type, f"{one.gb:g} GB" if one.gb else "", "spot" if one.spot else ""])
        )
        rows.append((what, one.id, one.cluster or "-", "?" if usd is None else f"{usd:.4f}", one.why))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    known = [usd for usd in prices if usd is not None]
    if known:
        hour = sum(known)
        lines.append(
            f"Together {hour:.4f} US$ an hour, {hour * 730:.2f} a month; {len(prices) - len(known)} without a price."
        )
    return lines


def _view(cluster: str | None, cloudformation: Any, head: str | None) -> "tuple[View | None, str]":
    """Ask Slurm, if it is told whose it is; else return why it was not."""
    from hippflow.cloud.clusters.aws import cluster_names
    from hippflow.cloud.clusters.head import require_cluster
    from hippflow.cloud.clusters.idle import View
    from hippflow.cloud.clusters.slurm import list_jobs, list_nodes

    names = [cluster] if cluster else cluster_names(cloudformation)
    if len(names) != 1:
        return None, f"Give --cluster to say whose it is: {', '.join(names) or 'there is none'}."
    try:
        require_cluster(names[0], head)
        return View(names[0], list_jobs(head), list_nodes(head)), ""
    except CloudError as error:
        return None, f"{error}"


def _read(path: Path) -> dict[str, Any]:
    """Read the configuration; without a file, which a cluster does not need, it is empty."""
    if not path.exists() and path == Path("config.yaml"):
        return {}
    return read_plain_config(path, "give --configfile")


def _name(arguments: argparse.Namespace, config: dict[str, Any]) -> str | None:
    return arguments.cluster or (config.get("cluster") or {}).get("name")


def _file(arguments: argparse.Namespace, config: dict[str, Any]) -> Path:
    given = getattr(arguments, "file", None) or (config.get("cluster") or {}).get("file")
    return Path(given or _FILE).expanduser()


def _region(arguments: argparse.Namespace, config: dict[str, Any]) -> str | None:
    """Find the region of a cluster; None leaves it to AWS's own settings.

    A cluster's file decides only if the command line names it: that of the repository has an example's region.
    """
    given = arguments.region or (config.get("cluster") or {}).get("region")
    if given or not getattr(arguments, "file", None):
        return given
    try:
        settings = yaml.safe_load(_file(arguments, config).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{arguments.file}: expected the cluster's configuration, found: {' '.join(str(error).split())}; correct it"
        ) from error
    return settings.get("Region") if isinstance(settings, dict) else None


def _only_cluster(region: str | None) -> str:
    from hippflow.cloud.clusters.aws import cluster_names

    names = cluster_names(_client("cloudformation", region))
    if len(names) != 1:
        raise CloudError(f"expected one cluster, or --cluster NAME, found {', '.join(names) or 'none'}; give --cluster")
    return names[0]


def _listed(region: str | None) -> str:
    from hippflow.cloud.clusters.aws import cluster_names

    return ", ".join(cluster_names(_client("cloudformation", region))) or "there is none in this region"


def _client(service: str, region: str | None) -> Any:
    from hippflow.cloud.clusters.aws import aws_client

    return aws_client(service, region)


def _require_boto3() -> None:
    if find_spec("boto3") is None:
        raise CloudError("expected the package boto3 for a cluster, found none; pip install 'hippflow[cluster]'")


@contextmanager
def _interruptible(said: str) -> "Iterator[None]":
    """Let Ctrl-C end a wait with a sentence, and the exit status that shells expect."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nhippflow: interrupted; {said}", file=sys.stderr)
        sys.exit(130)
