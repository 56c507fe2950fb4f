"""Sessions of trial markers with known clocks, for the tests of matching and alignment."""

from dataclasses import dataclass

import numpy as np

#: Smallest time between two markers of the sessions made here, s.
SHORTEST = 1.0


@dataclass
class Session:
    """Ripple's codes and times, and a device that saw the same with its own clock."""

    codes: np.ndarray
    times: np.ndarray
    offset: float
    ppm: float
    device_times: np.ndarray

    def on_device(self, times):
        """The independent reference: the device's clock is an affine one."""
        return self.offset + np.asarray(times) * (1 + self.ppm * 1e-6)

    def without(self, lost):
        """Device codes and times when the markers at `lost` were lost, and the indices of those that are left."""
        kept = np.setdiff1d(np.arange(len(self.codes)), lost)
        return self.codes[kept], self.device_times[kept], kept


def make_session(
    n_trials, *, seed=0, ppm=300.0, offset=7200.5, jitter=0.0, target=None, start=True, lengths=(4.0, 15.0)
):
    """Trials of random targets (or of one) and random lengths, with 84 first if `start`; times rounded to ticks."""
    rng = np.random.default_rng(seed)
    codes, times, now = ([84], [2.0], 5.0) if start else ([], [], 5.0)
    for _ in range(n_trials):
        x = target or int(rng.integers(1, 7))
        end = (30 if rng.random() < 0.8 else 40) + x
        length = rng.uniform(*lengths) if lengths[1] > lengths[0] else lengths[0]
        codes += [10 + x, 20 + x, end]
        times += [now, now + 1.0, now + 1.0 + length]
        now = times[-1] + SHORTEST + (rng.uniform(0, 1) if lengths[1] > lengths[0] else 0.0)
    codes, times = np.array(codes), np.round(np.array(times) * 30000) / 30000
    session = Session(codes, times, offset, ppm, np.zeros(0))
    session.device_times = session.on_device(times) + jitter * rng.uniform(-1, 1, len(times))
    return session
