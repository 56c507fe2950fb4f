"""What one run works on: the catalog, and the passes over the recordings.

One pass over a recording makes the raw signals of many channels, but a channel
whose signal is whole must not be made again because another's is missing. So the
channels of a session are divided into those to make and those that are there, and
sessions with the same division share a rule.

The plan is made once, in the main process of a run. Jobs that read the workflow
again, on other nodes and while products appear, must find the same rules, so they
read the plan of their run.
"""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hippflow.day.catalog import Catalog, Session, build_catalog
from hippflow.day.raw import LocalTree, RawTree
from hippflow.day.selection import nearest
from hippflow.errors import CatalogError, ConfigError
from hippflow.io.atomic import whole_file
from hippflow.names import product_name

#: Environment variable that leads the jobs of a run to its plan.
PLAN_VARIABLE = "HIPPFLOW_PLAN"

#: Seconds after which a plan is taken away by a later run; no run lasts 60 days.
PLAN_LIFETIME = 60 * 86400


@dataclass(frozen=True)
class Split:
    """Sessions whose recordings are split into the same channels.

    Attributes
    ----------
    name : str
        Name of the rule, ``rplsplit`` for the most common one.
    channels : tuple of str
        Folders ``arrayNN/channelNNN`` that the rule makes.
    sessions : tuple of str
        Paths of the sessions it is for.
    """

    name: str
    channels: tuple[str, ...]
    sessions: tuple[str, ...]


def _modified(path: Path) -> float:
    """Return the time of the last change, 0 where there is no file."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _divide(session: Session, results: Path, product: str) -> list[tuple[str, ...]]:
    """Divide a session's channels into those whose product is missing or older than the recording, and the others."""
    recorded = max(session.modified, _modified(Path(session.nsx or "")))
    groups: dict[bool, list[str]] = {True: [], False: []}
    for folder in session.channels.values():
        groups[_modified(results / session.path / folder / product) < recorded].append(folder)
    return [tuple(group) for group in groups.values() if group]


def plan_splits(catalog: Catalog, results: str | Path, product: str) -> list[Split]:
    """Plan the passes over all recordings.

    Parameters
    ----------
    catalog : Catalog
    results : path
        Root of the results.
    product : str
        File name of a channel's raw signal.

    Returns
    -------
    list of Split
        In order of the number of sessions.
    """
    sessions: dict[tuple[str, ...], list[str]] = {}
    for session in catalog.sessions:
        if session.nsx:
            for channels in _divide(session, Path(results), product):
                sessions.setdefault(channels, []).append(session.path)
    ordered = sorted(sessions.items(), key=lambda item: (-len(item[1]), -len(item[0]), item[0]))
    return [
        Split("rplsplit" if k == 0 else f"rplsplit_{k + 1}", channels, tuple(paths))
        for k, (channels, paths) in enumerate(ordered)
    ]


@dataclass(frozen=True)
class Plan:
    """Catalog and splits of one run, and the raw files that lie in a bucket.

    Attributes
    ----------
    objects : dict of str to dict
        ``size`` (bytes), ``etag`` and ``modified`` (s of the epoch) of objects, by URL.
    """

    catalog: Catalog
    splits: tuple[Split, ...]
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Write the plan as text that :meth:`from_json` reads back."""
        splits = [asdict(split) for split in self.splits]
        return json.dumps({"catalog": self.catalog.to_json(), "splits": splits, "objects": self.objects})

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what :meth:`to_json` wrote."""
        stored = json.loads(text)
        splits = (Split(s["name"], tuple(s["channels"]), tuple(s["sessions"])) for s in stored["splits"])
        return cls(Catalog.from_json(stored["catalog"]), tuple(splits), stored["objects"])


#: A plan without a recording, for looking at the rules alone (snakemake --lint).
EMPTY_PLAN = Plan(Catalog(()), (Split("rplsplit", ("array01/channel001",), ("subject/20000101/session01",)),))


def check_rates(config: dict[str, Any], catalog: Catalog) -> None:
    """Check the filters' frequencies against the recordings' sampling rates.

    Raises
    ------
    ConfigError
        A rate or corner that a selected recording does not allow.
    """
    for session in catalog.sessions:
        rate, resample = session.sampling_rate, config["rpllfp"]["resample_rate"]
        if session.nsx and rate % resample:
            divisors = [k for k in range(10, int(rate) + 1) if rate % k == 0]
            raise ConfigError(
                f"config.yaml: rpllfp.resample_rate: {session.nsx} has {rate:g} Hz, which is no multiple of "
                f"{resample}; nearest: {nearest(resample, divisors)}"
            )
        high = config["rplhighpass"]["band"][1]
        if session.nsx and high >= rate / 2:
            raise ConfigError(
                f"config.yaml: rplhighpass.band: {high} Hz is not below half the {rate:g} Hz of {session.nsx}; "
                f"nearest: less than {rate / 2:g}"
            )


def check_imaging(config: dict[str, Any], catalog: Catalog) -> None:
    """Check that what no file says of a two-photon recording is in the configuration.

    Raises
    ------
    ConfigError
        ``suite2p.fs`` or ``suite2p.tau`` is not set, and there is a recording.
    """
    missing = [f"suite2p.{key}" for key in ("fs", "tau") if config["suite2p"][key] is None]
    if catalog.recordings and missing:
        raise ConfigError(
            f"config.yaml: {' and '.join(missing)}: expected numbers for {catalog.recordings[0].path}, found none; set "
            "fs to the frames per second of one plane and tau to the decay of the indicator in s (GCaMP6s: 1.25 to 2)"
        )


def make_plan(
    config: dict[str, Any],
    folder: str | Path,
    tree: RawTree | None = None,
) -> Plan:
    """Plan a run and leave the plan for its jobs.

    Parameters
    ----------
    config : dict
        The complete configuration.
    folder : path
        Where the plan is written, under a name made of its content: runs with
        the same plan share the file, others do not disturb each other.
    tree : RawTree, optional
        The raw tree, where it is not the local folder ``config["data"]``.

    Returns
    -------
    Plan
    """
    tree = tree or LocalTree(config["data"])
    catalog = build_catalog(config, tree)
    check_rates(config, catalog)
    check_imaging(config, catalog)
    splits = plan_splits(catalog, config["results"], product_name("rplraw"))
    plan = Plan(catalog, tuple(splits), tree.objects(catalog.days))
    text = plan.to_json()
    path = Path(folder) / f"plan-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    with whole_file(path) as part:
        part.write_text(text)
    for old in path.parent.glob("plan-*.json"):
        if time.time() - _modified(old) > PLAN_LIFETIME:
            old.unlink(missing_ok=True)
    os.environ[PLAN_VARIABLE] = str(path.resolve())
    return plan


def read_plan() -> Plan:
    """Read the plan of the run that this job belongs to.

    Raises
    ------
    CatalogError
        The job's environment does not say where the plan is.
    """
    path = os.environ.get(PLAN_VARIABLE)
    if not path or not Path(path).exists():
        raise CatalogError(
            f"expected the run's plan in the file that {PLAN_VARIABLE} names, found {path!r}; "
            "jobs need the environment of the run that submits them (sbatch --export=ALL)"
        )
    return Plan.from_json(Path(path).read_text())
