"""What has to be so before a cluster is deleted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from hippflow.cloud.clusters.head import require_cluster
from hippflow.cloud.clusters.slurm import list_jobs
from hippflow.cloud.clusters.volume import find_volume, own_snapshots
from hippflow.errors import CloudError, HippflowError

#: What was written less than this before a snapshot may have been in memory still, and not on the volume.
SETTLED = timedelta(seconds=60)


class Verdict(StrEnum):
    """What became of a check."""

    OK = "ok"
    NO = "not ok"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One thing that has to be so.

    Attributes
    ----------
    name : str
    verdict : Verdict
    said : str
        What was found, and what to do.
    passed : str
        The option that lets it pass nevertheless; empty where there is none or it was not given.
    """

    name: str
    verdict: Verdict
    said: str
    passed: str = ""

    @property
    def holds(self) -> bool:
        """Whether the deletion may go on."""
        return self.verdict is Verdict.OK or bool(self.passed)

    def __str__(self) -> str:
        return f"{self.verdict:<8} {self.name:<10} {self.said}" + (f" (passed: {self.passed})" if self.passed else "")


@dataclass(frozen=True)
class Evidence:
    """What the checks ask; each function may raise a :class:`HippflowError`, and then its check is unknown.

    Attributes
    ----------
    inventory : callable, optional
        Returns what is missing of what the configuration declares, a line each.
    archive : callable, optional
        Returns where products have to be, None if nowhere, and what is wrong with them there, a line each.
    newest_product : callable, optional
        Returns when the last product was written, seconds since 1970, or None if there is none; see
        :func:`hippflow.cloud.clusters.head.newest_file`.
    head : str, optional
        Command that reaches the head node: see :func:`hippflow.cloud.clusters.head.require_cluster`.
    volume : str, optional
        See :func:`hippflow.cloud.clusters.volume.find_volume`.
    anyway : bool
        Delete although products are missing.
    unchecked : bool
        Delete although something, but not the snapshot, cannot be checked from here.
    """

    inventory: Callable[[], list[str]] | None = None
    archive: Callable[[], tuple[str | None, list[str]]] | None = None
    newest_product: Callable[[], float | None] | None = None
    head: str | None = None
    volume: str | None = None
    anyway: bool = False
    unchecked: bool = False


def make_checks(ec2: Any, cluster: str, evidence: Evidence) -> Iterator[Check]:
    """Make the checks, one after another.

    Yields
    ------
    Check
        Of jobs, inventory, archive and snapshot.

    Raises
    ------
    CloudError
        EC2 cannot be asked, or the cluster's volume cannot be told.
    """
    unchecked = "--unchecked" if evidence.unchecked else ""
    yield _checked("jobs", lambda: _jobs(cluster, evidence.head), unchecked)
    yield _checked(
        "inventory",
        lambda: _inventory(evidence.inventory),
        "--anyway" if evidence.anyway else unchecked,
        evidence.anyway,
    )
    yield _checked("archive", lambda: _archive(evidence.archive), unchecked)
    yield from _snapshot(ec2, cluster, evidence, unchecked)


def _checked(name: str, check: Callable[[], tuple[bool, str]], passed: str, passes_no: bool = False) -> Check:
    """Make a check; `passed` is the option that lets it pass if it is unknown, and if `passes_no` also if it fails."""
    try:
        holds, said = check()
    except HippflowError as error:
        return Check(name, Verdict.UNKNOWN, f"{error}" + ("" if passed else "; or say --unchecked"), passed)
    return Check(name, Verdict.OK if holds else Verdict.NO, said, "" if holds or not passes_no else passed)


def _some(lines: list[str]) -> str:
    return "; ".join(lines[:3]) + (f"; and {len(lines) - 3} more" if len(lines) > 3 else "")


def _jobs(cluster: str, head: str | None) -> tuple[bool, str]:
    require_cluster(cluster, head)
    jobs = [job for job in list_jobs(head) if not job.over]
    if not jobs:
        return True, "none in squeue, of no user"
    states = ", ".join(f"{n} {state}" for state, n in sorted(Counter(job.state for job in jobs).items()))
    listed = _some([f"{job.id} of {job.user} ({job.name})" for job in jobs])
    return False, f"{len(jobs)} in squeue: {states}: {listed}; wait for them, or end them with scancel"


def _inventory(inventory: Callable[[], list[str]] | None) -> tuple[bool, str]:
    if inventory is None:
        raise CloudError("expected an inventory of the products, found nothing that makes one; look with: snakemake -n")
    missing = inventory()
    if not missing:
        return True, "nothing is missing"
    return False, f"{len(missing)} missing: {_some(missing)}; make them, or say --anyway"


def _archive(archive: Callable[[], tuple[str | None, list[str]]] | None) -> tuple[bool, str]:
    if archive is None:
        raise CloudError("expected a comparison of the products with the archive, found nothing that makes one")
    url, problems = archive()
    if url is None:
        return True, "none is configured (archive.url in config.yaml)"
    if not problems:
        return True, f"all products are in {url}"
    return False, f"{url}: {len(problems)} wrong: {_some(problems)}; run: hippflow archive"


def _snapshot(ec2: Any, cluster: str, evidence: Evidence, unchecked: str) -> Iterator[Check]:
    """Check that there is a completed snapshot of the volume, and that it is newer than the last product."""
    advice = "run: hippflow cluster snapshot"
    volume = find_volume(ec2, cluster, evidence.volume)
    snapshots = own_snapshots(ec2, volume=volume.id)
    completed = [one for one in snapshots if one.state == "completed"]
    pending = [one for one in snapshots if one.state == "pending"]
    under_way = f"; {pending[0].id} is at {pending[0].percent:.0f} %" if pending else ""
    if not completed:
        yield Check("snapshot", Verdict.NO, f"{volume.id} has none that is completed{under_way}; {advice}")
        return
    newest = completed[0]
    held = f"{newest.id} of {volume.id}, of {newest.started.astimezone():%Y-%m-%d %H:%M:%S}"
    yield Check("snapshot", Verdict.OK, f"{held}, is completed")

    def is_newer() -> tuple[bool, str]:
        if evidence.newest_product is None:
            raise CloudError("expected the products' folder, found nothing that tells of it; run this on the head node")
        written = evidence.newest_product()
        if written is None:
            return True, "there are none"
        when = datetime.fromtimestamp(written, UTC)
        said = f"the last was written {when.astimezone():%Y-%m-%d %H:%M:%S}"
        if when + SETTLED < newest.started:
            return True, f"{said}, before the snapshot"
        return False, f"{said}, not a minute before the newest completed snapshot, {held}{under_way}; {advice}"

    yield _checked("products", is_newer, unchecked)
