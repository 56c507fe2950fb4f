"""Write ``resources/benchmark_defaults.yaml`` anew: ``python -m hippflow.cost.defaults FOLDER "measured on ..."``.

FOLDER is that of a workflow whose runs made days of several lengths on the machine whose times are to be shipped.
"""

import sys
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from hippflow.cost.history import UNKNOWN, fit
from hippflow.cost.observations import Observation, observations

_HEADER = """\
# CPU times of rules that have no finished jobs of their own yet, as the estimate (hippflow cost --plan) takes them:
# seconds + seconds_per_gb x GB of a job's inputs, fitted to so many jobs with inputs from smallest_gb to largest_gb.
# Another processor, and sizes outside of these, may take half as long or twice: estimates allow for 50 %.
# outputs: what a product is of its job's inputs, in bytes, as a share; by file name, # for what differs.
# Written by: python -m hippflow.cost.defaults FOLDER "measured on ..."
"""


def make_defaults(found: list[Observation], measured: str) -> dict[str, Any]:
    """Return what the file holds: a line a rule, and the shares of its products.

    Parameters
    ----------
    found : list of Observation
        Of inputs with several sizes for every rule.
    measured : str
        When and on what.

    Returns
    -------
    dict
        ``measured``, ``rules`` and ``outputs``.
    """
    rules, outputs = {}, {}
    for rule in sorted({one.rule for one in found}):
        jobs = [one for one in found if one.rule == rule]
        line = fit(jobs, None, enough=3) or UNKNOWN
        rules[rule] = {
            "seconds": float(f"{line.seconds:.3g}"),
            "seconds_per_gb": float(f"{line.seconds_per_byte * 1e9:.3g}"),
            "smallest_gb": float(f"{line.smallest / 1e9:.3g}"),
            "largest_gb": float(f"{line.largest / 1e9:.3g}"),
            "jobs": len(jobs),
        }
        shares: dict[str, list[float]] = {}
        for one in jobs:
            for pattern, size in one.outputs.items():
                shares.setdefault(pattern, []).append(size / max(one.n_bytes, 1))
        if rule != "staging":  # a copy
            outputs[rule] = {pattern: float(f"{median(some):.3g}") for pattern, some in sorted(shares.items())}
    return {"measured": measured, "rules": rules, "outputs": outputs}


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    FOUND = make_defaults(list(observations(FOLDER, FOLDER / ".snakemake/hippflow")), sys.argv[2])
    sys.stdout.write(_HEADER + yaml.safe_dump(FOUND, sort_keys=False, default_flow_style=None, width=118))
