"""Taking channels apart gives what numpy's transpose gives, whatever the blocks."""

import numpy as np
import pytest

from hippflow.ephys.demultiplexing import block_rows, demultiplex

RECORDING = np.random.default_rng(3).integers(-32768, 32768, (1000, 21)).astype(np.int16)


def joined(blocks, columns, scaling=None):
    pieces, low, high = [], [], []
    for batch in demultiplex(blocks, columns, scaling):
        pieces += [piece.copy() for piece in batch.pieces]
        low.append(batch.low)
        high.append(batch.high)
    return np.concatenate(pieces, axis=1), np.min(low, axis=0), np.max(high, axis=0)


@pytest.mark.parametrize("cuts", [[], [1], [128, 129, 500], list(range(100, 1000, 100))])
@pytest.mark.parametrize(
    "columns",
    [
        [0],
        [20],
        [1, 2, 3],
        [4, 0, 2],
        [2, 2],
        list(range(21)),
        list(range(3, 19)),
        [*range(8), 9, *range(12, 20)],
        list(range(20, -1, -1)),
    ],
)
def test_signals_are_the_columns_of_the_recording(columns, cuts):
    signals, low, high = joined(np.split(RECORDING, cuts), columns)
    assert signals.dtype == np.int16
    np.testing.assert_array_equal(signals, RECORDING[:, columns].T)
    assert low.tolist() == RECORDING[:, columns].min(axis=0).tolist()
    assert high.tolist() == RECORDING[:, columns].max(axis=0).tolist()


def test_microvolts_have_the_gain_and_offset_of_their_channel():
    gains, offsets = np.array([0.25, -0.5, 2], np.float32), np.array([0, 3.5, -100], np.float32)
    signals, low, high = joined(np.split(RECORDING, range(100, 1000, 100)), [5, 1, 3], (gains, offsets))
    expected = (RECORDING[:, [5, 1, 3]].astype(float) * gains + offsets).T
    assert signals.dtype == np.float32
    np.testing.assert_allclose(signals, expected, rtol=1e-6)
    assert low.tolist() == signals.min(axis=1).tolist()
    assert high.tolist() == signals.max(axis=1).tolist()


@pytest.mark.parametrize("shift", [0, 7.3])
def test_every_bit_of_the_microvolts_is_that_of_numpy(shift):
    rng = np.random.default_rng(4)
    gains = rng.normal(0, 0.25, 21).astype(np.float32)
    offsets = (shift * rng.normal(0, 1, 21)).astype(np.float32)
    signals, _, _ = joined(np.split(RECORDING, [333]), list(range(21)), (gains, offsets))
    expected = RECORDING.T.astype(np.float32) * gains[:, None]
    expected = expected + offsets[:, None] if shift else expected
    assert signals.tobytes() == expected.tobytes()


def test_what_the_reader_finds_wrong_reaches_the_caller():
    def cut_off():
        yield RECORDING
        raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        list(demultiplex(cut_off(), [0]))


@pytest.mark.parametrize("n_channels", [1, 5, 128, 10_000])
def test_a_block_is_some_megabytes_or_one_tile(n_channels):
    rows = block_rows(n_channels)
    assert rows % 128 == 0
    assert rows == 128 or 3e6 < rows * n_channels * 2 <= 4.2e6
