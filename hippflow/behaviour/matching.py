"""Which marker of a device is which marker of the reference, although some were lost or doubled.

The devices' clocks differ from the reference (Ripple) by any offset and by up to
`MAX_DRIFT`. Offset and drift are found by a vote of all pairs of equal codes; then
the cheapest monotone chain of pairs is taken, where a marker left out on either
side costs 1 and a change of the clocks' difference costs 1 per `STEP` seconds.
Times decide, not positions: a lost marker never shifts the ones after it, and what
two chains explain about equally well is refused.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.errors import MarkerError

#: Largest difference in speed between two clocks.
MAX_DRIFT = 1200e-6
#: A change of the clocks' difference of this many seconds costs as much as a lost marker.
STEP = 0.15
#: A device's clock may leave the straight line by this much (frames whose time the game engine did not count), s.
WINDOW = 2.0
#: Copies of one marker within this time are no two ways to explain the others: the one that fits better is taken, s.
DOUBLED = 0.5
#: Two chains whose costs differ by less are equally good, unless the times of one agree far better.
MARGIN = 1.0
#: Logarithm of the odds from which the agreement of the times decides between two chains; and the finest agreement, s.
LOG_ODDS, FINEST = 7.0, 0.5e-3
#: Width of the vote's bins, s; how many device markers vote; how many offsets are tried.
_BIN, _VOTERS, _CANDIDATES = 0.25, 256, 6


@dataclass(frozen=True)
class Matching:
    """Markers of a device and of the reference that are the same event.

    Attributes
    ----------
    pairs : ndarray of int64
        Shape (n, 2): device index, reference index; both increase.
    missing : ndarray of int64
        Reference indices that the device lacks.
    extra : ndarray of int64
        Device indices that no reference marker explains.
    """

    pairs: np.ndarray
    missing: np.ndarray
    extra: np.ndarray


@dataclass(frozen=True)
class _Chain:
    """The cheapest chain of pairs for one offset; `rival` says whether another one inside costs about the same."""

    pairs: np.ndarray
    cost: float
    steps: np.ndarray
    rival: bool


def match_markers(
    device_codes: np.ndarray,
    device_times: np.ndarray,
    reference_codes: np.ndarray,
    reference_times: np.ndarray,
    *,
    device: str = "the device",
) -> Matching:
    """Match the markers of a device with those of the reference by code and time.

    Parameters
    ----------
    device_codes, reference_codes : array of int, shape (n,), (m,)
        Codes in order of time, without the port's resets.
    device_times, reference_times : array of float, shape (n,), (m,)
        Their times, s, each on its own clock.
    device : str
        Device or file the markers are from, for messages.

    Returns
    -------
    Matching

    Raises
    ------
    MarkerError
        The markers have nothing to do with each other, or fit in two ways.

    Examples
    --------
    >>> times = [0.0, 3.0, 5.0, 11.0, 14.0, 16.0]
    >>> codes = [11, 21, 31, 11, 21, 41]
    >>> match = match_markers(codes[:1] + codes[2:], [1000 + t for t in times[:1] + times[2:]], codes, times)
    >>> match.pairs.tolist(), match.missing.tolist(), match.extra.tolist()
    ([[0, 0], [1, 2], [2, 3], [3, 4], [4, 5]], [1], [])
    """
    codes, times = _check(device_codes, device_times, device)
    ref_codes, ref_times = _check(reference_codes, reference_times, "the reference")
    chains = [
        chain
        for offset, slope in _vote(codes, times, ref_codes, ref_times)
        if len((chain := _chain(codes, times, ref_codes, ref_times, offset, slope)).pairs) >= 2
    ]
    least = max(2, -(-len(codes) // 2), -(-len(ref_codes) // 2))
    best = min(chains, key=lambda chain: (chain.cost, chain.steps.sum()), default=None)
    if best is None or len(best.pairs) < least:
        raise MarkerError(
            f"{device}: expected the session's {len(ref_codes)} reference markers, found {len(codes)} of which "
            f"{0 if best is None else len(best.pairs)} agree in code and time (at least {least} must); "
            "are both files from the same session?"
        )
    if any(_rivals(best, chain) for chain in chains):
        raise MarkerError(
            f"{device}: expected markers whose codes and times fit the {len(ref_codes)} reference markers in one way, "
            f"found two ways that are about equally good for its {len(codes)} markers (the trials are too much alike "
            "to tell which were lost); leave this device or session out, or restore the lost markers by hand"
        )
    pairs = best.pairs
    return Matching(
        pairs,
        np.setdiff1d(np.arange(len(ref_codes)), pairs[:, 1]),
        np.setdiff1d(np.arange(len(codes)), pairs[:, 0]),
    )


def _check(codes: np.ndarray, times: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    codes, times = np.asarray(codes, np.int64), np.asarray(times, np.float64)
    if codes.shape != times.shape or codes.ndim != 1:
        raise MarkerError(f"{name}: expected one time for every code, found shapes {times.shape} and {codes.shape}")
    wrong = ~np.isfinite(times)
    wrong[1:] |= np.diff(times) < 0
    if wrong.any():
        where = int(np.argmax(wrong))
        raise MarkerError(
            f"{name}: expected finite marker times in order, found {times[where]} s at marker {where + 1} of "
            f"{len(times)} (code {codes[where]}); is the file damaged, or made of several recordings?"
        )
    return codes, times


def _vote(
    codes: np.ndarray, times: np.ndarray, ref_codes: np.ndarray, ref_times: np.ndarray
) -> list[tuple[float, float]]:
    """Return likely (offset, slope), time = offset + slope * (reference time - middle), most votes first."""
    voters = np.unique(np.linspace(0, len(codes) - 1, min(len(codes), _VOTERS)).astype(np.int64))
    rows, columns = np.nonzero(codes[voters, None] == ref_codes[None])
    if rows.size == 0:
        return []
    device, reference = times[voters[rows]], ref_times[columns] - _middle(ref_times)
    span = max(ref_times[-1] - ref_times[0], 1.0)
    half = int(np.ceil(MAX_DRIFT * span / (2 * 0.8 * _BIN)))  # so that no marker is off by more than 0.4 bins
    slopes = 1 + (np.linspace(-MAX_DRIFT, MAX_DRIFT, 2 * half + 1) if span * MAX_DRIFT > _BIN / 2 else np.zeros(1))
    first = (device - reference).min() - MAX_DRIFT * span - _BIN
    n_bins = int(((device - reference).max() + MAX_DRIFT * span - first) / _BIN) + 3
    votes, which = np.zeros(n_bins - 1, np.int64), np.zeros(n_bins - 1, np.int64)
    for index, slope in enumerate(slopes):
        bins = np.bincount(((device - slope * reference - first) / _BIN).astype(np.int64), minlength=n_bins)
        both = bins[:-1] + bins[1:]
        better = both > votes
        votes[better], which[better] = both[better], index
    found: list[tuple[float, float]] = []
    most, apart = votes.max(), int(WINDOW / _BIN)
    while len(found) < _CANDIDATES and (peak := int(votes.argmax())) >= 0 and votes[peak] * 2 >= most:
        found.append((first + (peak + 1) * _BIN, float(slopes[which[peak]])))
        votes[max(0, peak - apart) : peak + apart + 1] = 0
    return found


def _middle(ref_times: np.ndarray) -> float:
    return (ref_times[0] + ref_times[-1]) / 2


def _chain(
    codes: np.ndarray, times: np.ndarray, ref_codes: np.ndarray, ref_times: np.ndarray, offset: float, slope: float
) -> _Chain:
    """Find the cheapest chain around a straight line, then once more around the line through that chain."""
    chain = _cheapest(codes, times, ref_codes, ref_times, offset, slope)
    if len(chain.pairs) >= 4:
        device, reference = times[chain.pairs[:, 0]], ref_times[chain.pairs[:, 1]] - _middle(ref_times)
        half = len(device) // 2  # medians, for a few wrong pairs must not turn the line
        slope = float(np.median((device[half:] - device[:-half]) / (reference[half:] - reference[:-half])))
        slope = float(np.clip(slope, 1 - MAX_DRIFT, 1 + MAX_DRIFT))
        offset = float(np.median(device - slope * reference))
        chain = _cheapest(codes, times, ref_codes, ref_times, offset, slope)
    return chain


def _cheapest(
    codes: np.ndarray, times: np.ndarray, ref_codes: np.ndarray, ref_times: np.ndarray, offset: float, slope: float
) -> _Chain:
    """Find the cheapest monotone chain of pairs of equal code near the line."""
    expected = offset + slope * (ref_times - _middle(ref_times))
    begin, end = np.searchsorted(times, expected - WINDOW), np.searchsorted(times, expected + WINDOW, side="right")
    reference = np.repeat(np.arange(len(ref_times)), end - begin)
    device = np.arange(len(reference)) - np.repeat(np.cumsum(end - begin) - end, end - begin)
    same = codes[device] == ref_codes[reference]
    device, reference = device[same], reference[same]
    off, at, ref_at = times[device] - expected[reference], times[device], ref_times[reference]
    nodes = len(device)
    if nodes == 0:
        return _Chain(np.zeros((0, 2), np.int64), float(len(codes) + len(ref_codes)), np.zeros(0), False)
    # Every pair saves the two markers that would else be left out; strictly later on both clocks, or no map exists.
    forward, backward, previous = np.full(nodes, -2.0), np.full(nodes, -2.0), np.full(nodes, -1)
    for node in range(nodes):
        before = forward[:node] - 2 + np.abs(off[:node] - off[node]) / STEP
        before[(at[:node] >= at[node]) | (ref_at[:node] >= ref_at[node])] = np.inf
        if node and before[best := int(before.argmin())] < forward[node]:
            forward[node], previous[node] = before[best], best
    for node in range(nodes - 2, -1, -1):
        after = backward[node + 1 :] - 2 + np.abs(off[node + 1 :] - off[node]) / STEP
        after[(at[node + 1 :] <= at[node]) | (ref_at[node + 1 :] <= ref_at[node])] = np.inf
        backward[node] = min(backward[node], after.min())
    path = [int(forward.argmin())]
    while previous[path[-1]] >= 0:
        path.append(int(previous[path[-1]]))
    path.reverse()
    pairs = np.stack([device[path], reference[path]], axis=1).astype(np.int64)
    cost = float(forward.min()) + len(codes) + len(ref_codes)
    through = forward + backward + 2 + len(codes) + len(ref_codes)
    rival = _conflicts(pairs, device, reference, times, ref_times) & (through < cost + MARGIN)
    return _Chain(pairs, cost, np.abs(np.diff(off[path])), bool(rival.any()))


def _conflicts(
    pairs: np.ndarray, device: np.ndarray, reference: np.ndarray, times: np.ndarray, ref_times: np.ndarray
) -> np.ndarray:
    """Say which (device, reference) give a marker of `pairs` a partner at another time.

    Copies of one marker within DOUBLED do not count.
    """
    partner_ref, partner = np.full(len(times), -1), np.full(len(ref_times), -1)
    partner_ref[pairs[:, 0]], partner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    other_ref, other = partner_ref[device], partner[reference]
    return ((other_ref >= 0) & (np.abs(ref_times[other_ref] - ref_times[reference]) > DOUBLED)) | (
        (other >= 0) & (np.abs(times[other] - times[device]) > DOUBLED)
    )


def _rivals(best: _Chain, other: _Chain) -> bool:
    """Say whether `other` has, or is, another explanation of the markers that is about as good as `best`."""
    if other.cost >= best.cost + MARGIN:
        return False
    theirs = dict(other.pairs.tolist())
    if all(theirs.get(d, r) == r for d, r in best.pairs.tolist()):
        return other.rival
    sizes = [max(FINEST, float(chain.steps.mean())) for chain in (best, other)]
    return min(len(best.steps), len(other.steps)) * np.log(sizes[1] / sizes[0]) < LOG_ODDS
