"""What benchmarks run on: a session of any length and number of channels, and a copy of the workflow."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hippflow.demo.ripple import analog_channel, raw_channel, write_nev, write_nsx

REPOSITORY = Path(__file__).resolve().parents[1]
#: What a folder needs to be one of the workflow.
PARTS = ("Snakefile", "config.yaml", "rules", "scripts", "schemas", "envs", "profiles", "resources")

SAMPLING_RATE = 30_000
#: Analog inputs beside the electrodes, as in the lab's files.
N_ANALOG = 4


def _blocks(n_samples: int, n_channels: int) -> Iterator[np.ndarray]:
    """Yield noise with a slow wave, two seconds of it over and over, each time shifted against the channels."""
    rng = np.random.default_rng(0)
    n_rows = 2 * SAMPLING_RATE
    wave = 400 * np.sin(2 * np.pi * 7 * np.arange(n_rows) / SAMPLING_RATE)
    block = (rng.normal(0, 30, (n_rows, n_channels)) + wave[:, None]).astype(np.int16)
    for k, start in enumerate(range(0, n_samples, n_rows)):
        yield np.roll(block, k, axis=1)[: n_samples - start]


def write_session(root: Path, n_channels: int, seconds: float) -> Path:
    """Write the nev and ns5 of picasso/20181105/session01 below a folder.

    Returns
    -------
    Path
        The ns5.
    """
    folder = root / "picasso" / "20181105" / "session01"
    folder.mkdir(parents=True)
    channels = [analog_channel(n) for n in range(1, N_ANALOG + 1)] + [raw_channel(n) for n in range(1, n_channels + 1)]
    write_nsx(folder / "181105_Block1.ns5", channels, _blocks(round(seconds * SAMPLING_RATE), len(channels)))
    write_nev(folder / "181105_Block1.nev", [], channels=channels)
    return folder / "181105_Block1.ns5"


def new_workflow(folder: Path, data: Path | None = None) -> Path:
    """Copy the workflow into a new folder, with the Slurm profile's link and, if it is given, one to the raw root."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = REPOSITORY / part
        shutil.copytree(source, folder / part) if source.is_dir() else shutil.copy(source, folder / part)
    (folder / "slurm").symlink_to("profiles/slurm")
    if data:
        (folder / "data").symlink_to(data)
    return folder
