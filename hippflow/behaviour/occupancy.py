"""Where the animal was: the floor as square bins, its visits to them, and how long they lasted.

Rows are frames of the maze log. The animal navigates in the rows after a cue offset up to
and including the trial's end. Bins count from 1, along x first and then along z, both from
their lowest value; 0 stands for everything that is no bin: between trials, or outside the
arena. Times are seconds on Ripple's clock.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.errors import FormatError, MarkerError


@dataclass(frozen=True)
class Grid:
    """A square arena around the origin, cut into square bins.

    Attributes
    ----------
    steps : int
        Bins along each side.
    size : float
        Length of a side in maze units.

    Examples
    --------
    >>> grid = Grid(40, 25)
    >>> grid.bins([-12.5, -12.5, 12.5, 12.6], [-12.5, -11.8, 12.5, 0]).tolist()
    [1, 41, 1600, 0]
    >>> grid.centre(41)
    (-12.1875, -11.5625)
    """

    steps: int
    size: float

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self.steps**2

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins along x and along z, float64 (steps + 1,), maze units."""
        return np.linspace(-self.size / 2, self.size / 2, self.steps + 1)

    def bins(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the bin of each position, int64 (F,); 0 outside the arena.

        A bin holds its lower edges; the last ones hold the arena's border as well.
        """
        across, along = (self._steps_of(np.asarray(values, np.float64)) for values in (x, z))
        return np.where((across < 0) | (along < 0), 0, across + along * self.steps + 1)

    def centre(self, number: int) -> tuple[float, float]:
        """Return x and z of a bin's centre in maze units."""
        along, across = divmod(number - 1, self.steps)
        middles = (self.edges[:-1] + self.edges[1:]) / 2
        return float(middles[across]), float(middles[along])

    def _steps_of(self, values: np.ndarray) -> np.ndarray:
        """Return which step along a side each value is in, from 0; -1 outside and for NaN."""
        edges = self.edges
        steps = np.minimum(np.searchsorted(edges, values, side="right") - 1, self.steps - 1)
        return np.where((values >= edges[0]) & (values <= edges[-1]), steps, -1)


def check_trials(triggers: np.ndarray, times: np.ndarray, n_rows: int, *, source: str) -> None:
    """Check that a maze log has trials, in order, within its rows, and times that never go back.

    Parameters
    ----------
    triggers : ndarray of int, (T, 3)
        Rows of cue onset, cue offset and end of each trial.
    times : ndarray of float64, (F + 1,)
        Times of the rows; row r is at ``times[r + 1]``.
    n_rows : int
        Rows of the log, F.
    source : str
        File they are from, for messages.

    Raises
    ------
    MarkerError
        There is no trial.
    FormatError
        Rows or times that cannot be.
    """
    if triggers.size == 0:
        raise MarkerError(
            f"{source}: expected trials in unityTriggers, found none; a session without trials has no occupancy. "
            "Check the maze log, or leave this session out of the selection"
        )
    if triggers.ndim != 2 or triggers.shape[1] != 3:
        raise FormatError(
            f"{source}: expected three rows a trial in unityTriggers, found the shape {triggers.shape}; make it anew"
        )
    if times.shape != (n_rows + 1,):
        raise FormatError(
            f"{source}: expected {n_rows + 1} times in unityTime, one more than rows, found the shape {times.shape}; "
            "make it anew"
        )
    previous_end = np.concatenate(([-1], triggers[:-1, 2]))
    start, cue_offset, end = triggers.T
    wrong = ~((previous_end < start) & (start <= cue_offset) & (cue_offset < end) & (end < n_rows))
    if wrong.any():
        trial = int(wrong.argmax())
        raise FormatError(
            f"{source}: expected trial {trial + 1} in rows {int(previous_end[trial]) + 1} to {n_rows - 1} of the log, "
            f"onset, offset and end in this order; found {triggers[trial].tolist()} in unityTriggers; make it anew"
        )
    finite = np.isfinite(times)
    bad = ~(finite[:-1] & finite[1:] & (times[1:] >= times[:-1]))
    if bad.any():
        row = int(bad.argmax())
        raise FormatError(
            f"{source}: expected times that never go back, found {times[row]:.6f} s before {times[row + 1]:.6f} s "
            f"at row {row}; run the alignment of this session again"
        )


def _navigation_rows(triggers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows in which the animal navigates, and the trial of each."""
    lengths = triggers[:, 2] - triggers[:, 1]
    starts = np.cumsum(lengths) - lengths
    trials = np.repeat(np.arange(len(triggers)), lengths)
    return triggers[trials, 1] + 1 + np.arange(lengths.sum()) - starts[trials], trials


def navigated_bins(bins: np.ndarray, triggers: np.ndarray) -> np.ndarray:
    """Return the bin of each row while the animal navigates, and 0 otherwise, int64 (F,).

    Examples
    --------
    >>> navigated_bins(np.array([3, 3, 4, 5, 6]), np.array([[0, 1, 3]])).tolist()
    [0, 0, 4, 5, 0]
    """
    rows, _ = _navigation_rows(triggers)
    positions = np.zeros(len(bins), np.int64)
    positions[rows] = bins[rows]
    return positions


def visit_table(bins: np.ndarray, triggers: np.ndarray, times: np.ndarray) -> np.ndarray:
    """List the visits of all trials to bins, and what is between the trials.

    A trial starts at its cue offset in the bin of its next row; each later row in another bin
    starts a visit; the trial's end starts a row without a bin. A trial that lasts no time, which
    is how PyHipp's alignment marks trials of doubtful times, starts without a bin.

    Parameters
    ----------
    bins : ndarray of int, (F,)
        Bin of each row, 0 for none.
    triggers : ndarray of int, (T, 3)
        Rows of cue onset, cue offset and end of each trial.
    times : ndarray of float64, (F + 1,)
        Times of the rows in s; row r is at ``times[r + 1]``.

    Returns
    -------
    ndarray of float64, (n, 3)
        Start in s, bin, seconds until the next row. The first row is at time 0, without a bin.

    Examples
    --------
    >>> visit_table(np.array([9, 9, 4, 4, 5, 5]), np.array([[0, 1, 5]]), np.arange(7) / 2).tolist()
    [[0.0, 0.0, 1.0], [1.0, 4.0, 1.5], [2.5, 5.0, 0.5], [3.0, 0.0, 0.0]]
    """
    rows, trials = _navigation_rows(triggers)
    here, begins = bins[rows], times[rows + 1]
    first, last = rows == triggers[trials, 1] + 1, rows == triggers[trials, 2]
    lasts = (times[triggers[:, 2] + 1] > times[triggers[:, 1] + 1])[trials]
    changes = np.concatenate(([True], here[1:] != here[:-1]))
    # A bin that is entered with the trial's last row would be left at the same moment.
    visits = first | (changes & ~last & lasts)
    wanted = np.column_stack([visits, last])
    starts = np.column_stack([np.where(first, times[rows], begins), begins])[wanted]
    entered = np.column_stack([np.where(lasts, here, 0), np.zeros_like(here)])[wanted]
    table = np.zeros((len(starts) + 1, 3))
    table[1:, 0], table[1:, 1] = starts, entered
    table[:-1, 2] = np.diff(table[:, 0])
    return table


def trial_durations(bins: np.ndarray, triggers: np.ndarray, deltas: np.ndarray, n_bins: int) -> np.ndarray:
    """Return how long each trial was in each bin, from the frames alone.

    A row counts until the next one, so that the row of the trial's end counts beyond it; the
    log's last row counts nothing.

    Parameters
    ----------
    bins, triggers
        As in :func:`visit_table`.
    deltas : ndarray of float64, (F,)
        Seconds from the previous row to each row.
    n_bins : int

    Returns
    -------
    ndarray of float64, (n_bins, T)
        Seconds.
    """
    rows, trials = _navigation_rows(triggers)
    until_next = np.append(deltas[1:], 0.0)[rows]
    cells = trials * (n_bins + 1) + bins[rows]
    totals = np.bincount(cells, until_next, minlength=len(triggers) * (n_bins + 1))
    return np.ascontiguousarray(totals.reshape(-1, n_bins + 1)[:, 1:].T)


def sort_visits(visits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the rows of a visit table by bin, and say where each bin is in that order.

    Parameters
    ----------
    visits : ndarray of float64, (n, 3)
        From :func:`visit_table`.

    Returns
    -------
    order : ndarray of int64, (n,)
        Rows of the table by bin, and by time within a bin.
    info : ndarray of float64, (k, 4)
        A row for each visited bin: the bin, its first and last place in `order` (from 0), and their
        difference, which is one less than its visits.

    Examples
    --------
    >>> order, info = sort_visits(np.array([[0, 0, 1], [1, 4, 1], [2, 5, 1], [3, 4, 1], [4, 0, 0]]))
    >>> order.tolist(), info.tolist()
    ([0, 4, 1, 3, 2], [[4.0, 2.0, 3.0, 1.0], [5.0, 4.0, 4.0, 0.0]])
    """
    order = np.argsort(visits[:, 1], kind="stable")
    numbers, first, count = np.unique(visits[order, 1], return_index=True, return_counts=True)
    info = np.column_stack([numbers, first, first + count - 1, count - 1]).astype(np.float64)
    return order, info[numbers > 0]


def occupancy(visits: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how long the animal was in each bin, and how often it came there.

    Parameters
    ----------
    visits : ndarray of float64, (n, 3)
        From :func:`visit_table`.
    n_bins : int

    Returns
    -------
    seconds : ndarray of float64, (n_bins,)
    counts : ndarray of int64, (n_bins,)
        Visits.

    Examples
    --------
    >>> seconds, counts = occupancy(np.array([[0, 0, 1], [1, 2, 0.5], [1.5, 1, 1], [2.5, 2, 1], [3.5, 0, 0]]), 3)
    >>> seconds.tolist(), counts.tolist()
    ([1.0, 1.5, 0.0], [1, 2, 0])
    """
    numbers = visits[:, 1].astype(np.int64)
    seconds = np.bincount(numbers, visits[:, 2], minlength=n_bins + 1)
    return seconds[1:], np.bincount(numbers, minlength=n_bins + 1)[1:]
