"""The trials of a session as PyHipp's RPLParallel has them."""

import logging
from datetime import UTC, datetime, timedelta

import hickle
import numpy as np
import pytest

from hippflow.demo import ripple
from hippflow.demo.ripple import Digital
from hippflow.errors import FormatError, MarkerError
from hippflow.steps.rplparallel import make_rplparallel

#: Two trials: codes with a reset after each.
CODES = [84, 0, 11, 0, 21, 0, 31, 0, 13, 0, 23, 0, 43, 0]
TICKS = np.array([600, 630, 9000, 9040, 12001, 12030, 30007, 30050, 36000, 36020, 40003, 40030, 70009, 70050])


def make(folder, events, spec="2.2", unfinished_trial="error", no_markers="error", session="session01"):
    ripple.write_nev(folder / "rec.nev", events, spec=spec)
    product = folder / "picasso" / "20181105" / session / "rplparallel_d41d.hkl"
    make_rplparallel(folder / "rec.nev", product, unfinished_trial=unfinished_trial, no_markers=no_markers)
    return hickle.load(product)


@pytest.mark.parametrize("spec", ["2.1", "2.2", "2.3", "3.0"])
def test_fields_types_and_shapes_are_those_of_pyhipp(tmp_path, spec):
    fields = make(tmp_path, ripple.marker_events(TICKS, CODES, combined_every=5), spec)
    expected = {
        "rawMarkers": (np.uint16, CODES),
        "markers": (np.uint16, [[11, 21, 31], [13, 23, 43]]),
        "timeStamps": (np.float64, [[0.3, 12001 / 30000, 30007 / 30000], [1.2, 40003 / 30000, 70009 / 30000]]),
        "trialIndices": (np.int64, [[9000, 12001, 30007], [36000, 40003, 70009]]),
        "trialTicks": (np.int64, [[9000, 12001, 30007], [36000, 40003, 70009]]),
        "rawTicks": (np.int64, TICKS.tolist()),
    }
    for name, (dtype, values) in expected.items():
        assert fields[name].dtype == dtype, name
        assert fields[name].tolist() == values, name
    assert (fields["sessionStartTime"], fields["samplingRate"], fields["tickRate"]) == (0.02, 30000, 30000)
    assert (fields["numSets"], fields["markerFormat"], fields["highByte"]) == (1, "84", 0)
    assert (fields["unfinishedTrial"], fields["setidx"]) == ([], [])
    assert fields["dirs"] == ["picasso/20181105/session01"]


@pytest.mark.parametrize("minutes", [-24 * 60, -11, 11, 90])
def test_events_of_another_recording_are_an_error_unless_allowed(tmp_path, minutes):
    """Its trials would be cut from the wrong hours of the signals, without a word where there is no behaviour."""
    nev, product = tmp_path / "rec.nev", tmp_path / "picasso/20181105/session01/rplparallel_d41d.hkl"
    started = datetime(2018, 11, 5, 10, 0, tzinfo=UTC)
    ripple.write_nev(nev, ripple.marker_events(TICKS, CODES), start=started + timedelta(minutes=minutes))
    settings = {"unfinished_trial": "error", "no_markers": "error", "recording_started": started.isoformat()}
    words = rf"rec\.nev: expected the events of .* 2018-11-05T10:00:00\+00:00 .*, {abs(minutes)} min "
    with pytest.raises(MarkerError, match=words + ("later" if minutes > 0 else "earlier")):
        make_rplparallel(nev, product, **settings)
    assert not product.exists()
    make_rplparallel(nev, product, other_recording="allow", **settings)
    assert len(hickle.load(product)["markers"]) == 2


@pytest.mark.parametrize("origin", [bytes(16), b"\xff" * 16])
def test_events_whose_header_has_no_time_belong_to_any_recording(tmp_path, origin):
    nev, product = tmp_path / "rec.nev", tmp_path / "picasso/20181105/session01/rplparallel_d41d.hkl"
    ripple.write_nev(nev, ripple.marker_events(TICKS, CODES))
    whole = nev.read_bytes()
    nev.write_bytes(whole[:28] + origin + whole[44:])
    make_rplparallel(
        nev, product, unfinished_trial="error", no_markers="error", recording_started="2018-11-05T10:00:00+00:00"
    )
    assert len(hickle.load(product)["markers"]) == 2


def test_indices_are_exact_for_every_tick(tmp_path):
    """PyHipp floors seconds times 30000, which is a sample early for 2.4 % of all ticks."""
    ticks = np.arange(0, 40 * 3600 * 30_000, 12_347_987)
    codes = np.tile([11, 21, 31], len(ticks) // 3 + 1)[: len(ticks) // 3 * 3]
    ticks = np.concatenate([np.arange(29_998), ticks[ticks > 60_000]])[: len(codes) // 3 * 3]
    codes = np.tile([11, 21, 31], len(ticks) // 3)
    fields = make(tmp_path, ripple.marker_events(ticks[: len(codes)], codes))
    np.testing.assert_array_equal(fields["trialIndices"].ravel(), ticks[: len(codes)])
    floored = np.floor(fields["timeStamps"] * 30000).astype(int)
    assert (floored != fields["trialIndices"]).mean() > 0.01


@pytest.mark.parametrize("start", [0, 99_000_000_000_000_000, 1_541_415_551_000_000_000])
def test_indices_of_a_clock_in_ns(tmp_path, start):
    """Counted from the recording's start, for three years, or since 1970."""
    samples = np.array([0, 1, 29_999, 30_000, 123_457, 4_320_000_001])
    ticks = [start + int(k) * 100_000 // 3 for k in samples]
    fields = make(tmp_path, [Digital(t, c) for t, c in zip(ticks, [11, 21, 31] * 2, strict=True)], "3.0-ptp")
    first = 0 if start > 10**17 else round(start * 3 / 100_000)
    assert fields["trialIndices"].ravel().tolist() == [first + int(k) for k in samples]
    assert (fields["samplingRate"], fields["tickRate"]) == (30_000, 10**9)


def test_the_truth_of_the_demo_day(short_day, short_day_truth, tmp_path):
    for session, stem in (("session01", "181105_Block1"), ("sessioneye", "181105_DST")):
        product = tmp_path / "picasso" / "20181105" / session / "rplparallel_d41d.hkl"
        nev = short_day / session / f"{stem}.nev"
        make_rplparallel(nev, product, unfinished_trial="error", no_markers="error")
        fields, truth = hickle.load(product), short_day_truth.sessions[session]
        assert len(truth.trial_codes) > 0
        np.testing.assert_array_equal(fields["markers"], truth.trial_codes)
        np.testing.assert_array_equal(fields["trialIndices"], truth.trial_ticks)
        np.testing.assert_array_equal(fields["rawMarkers"], truth.raw_codes)
        assert fields["sessionStartTime"] == truth.raw_ticks[0] / 30_000


def test_fixation_trials(tmp_path):
    codes = [128, 0, 6, 0, 32, 0, 128, 0, 7, 0, 32, 0]
    fields = make(tmp_path, ripple.marker_events(np.arange(12) * 100, codes), session="sessioneye")
    assert fields["markers"].tolist() == [128, 6, 32, 128, 7, 32]
    assert fields["trialIndices"].tolist() == [0, 200, 400, 600, 800, 1000]
    assert (fields["markerFormat"], fields["samplingRate"]) == ("fixation", 30000)


def test_a_high_byte_is_recorded(tmp_path):
    codes = [0xFF00 | code for code in CODES]
    fields = make(tmp_path, ripple.marker_events(TICKS, codes))
    assert (fields["highByte"], fields["markers"].tolist()) == (255, [[11, 21, 31], [13, 23, 43]])


def test_an_unfinished_last_trial_is_left_out_and_said(tmp_path, caplog):
    events = ripple.marker_events(TICKS[:-2], CODES[:-2])
    with pytest.raises(MarkerError, match=r"(?s)rec\.nev: marker 11 of 12 .* recording ends inside this trial"):
        make(tmp_path, events)
    assert not (tmp_path / "picasso").exists()
    with caplog.at_level(logging.WARNING):
        fields = make(tmp_path, events, unfinished_trial="drop")
    assert fields["markers"].tolist() == [[11, 21, 31]]
    assert fields["trialIndices"].tolist() == [[9000, 12001, 30007]]
    assert fields["unfinishedTrial"] == [13, 23]
    assert "left out the unfinished last trial [13, 23]" in caplog.text


def test_a_session_without_trials(tmp_path):
    with pytest.raises(MarkerError, match="found 0 words, none of them a code"):
        make(tmp_path, [])
    fields = make(tmp_path, [], no_markers="allow")
    for name in ("markers", "timeStamps", "trialIndices"):
        assert fields[name].shape == (0, 3)
    assert np.isnan(fields["sessionStartTime"])
    assert fields["markerFormat"] == "none"


def test_wrong_markers_leave_no_product(tmp_path):
    with pytest.raises(MarkerError, match="this trial started with target 1, not 2"):
        make(tmp_path, ripple.marker_events([1, 2, 3], [11, 21, 32]))
    with pytest.raises(FormatError, match="the recorder's clock was reset"):
        make(tmp_path, ripple.marker_events([3, 2, 1], [11, 21, 31]))
    assert not (tmp_path / "picasso").exists()
