import itertools

import numpy as np
import pytest

from hippflow.demo.timeline import make_session, make_timeline


@pytest.mark.parametrize(
    ("kind", "seconds"), [("navigation", 60), ("navigation", 2), ("fixation", 30), ("fixation", 1)]
)
def test_markers_tell_the_trials_in_order(kind, seconds):
    session = make_session("session01", kind, seconds, seed=3)
    ticks, codes = session.markers
    assert len(session.trials) >= (4 if seconds >= 30 else 1)
    assert codes[0] == 84 and ticks[0] == session.start
    assert (codes[1::2] == 0).all()
    assert (np.diff(ticks) > 0).all() and ticks[-1] < session.n_samples
    triples = codes[2::2].reshape(-1, 3)
    assert (triples // 10 == np.array([1, 2, 3])).all(axis=1).sum() == sum(trial.rewarded for trial in session.trials)
    assert np.isin(triples[:, 2] // 10, [3, 4]).all()
    assert ((triples % 10) == triples[:, :1] % 10).all() and np.isin(triples % 10, range(1, 7)).all()
    assert (ticks[2::2].reshape(-1, 3) == [trial.ticks for trial in session.trials]).all()


def test_only_a_timeout_repeats_the_target():
    trials = make_session("session01", "navigation", 1800, seed=5).trials
    repeated = [after.target == before.target for before, after in itertools.pairwise(trials)]
    assert repeated == [not trial.rewarded for trial in trials[:-1]]
    assert 0.1 < np.mean(repeated) < 0.3


def test_a_day_has_two_sessions_and_depends_on_its_seed_alone():
    first, again, other = (make_timeline("picasso", "20181105", 60, seed) for seed in (1, 1, 2))
    assert [(s.name, s.kind, s.n_samples) for s in first.sessions] == [
        ("session01", "navigation", 1_800_000),
        ("sessioneye", "fixation", 900_000),
    ]
    assert first == again != other
