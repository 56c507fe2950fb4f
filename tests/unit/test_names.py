"""Names of products: the hashes that DataProcessingTools computes, as found in PyHipp's results."""

import pytest

from hippflow.names import (
    DAY,
    SESSION,
    SUBJECT,
    argument_hash,
    highpass_args,
    lfp_args,
    product_name,
    spectrum_args,
)

SPECTRUM = {"lfp_points_per_window": 2000, "highpass_points_per_window": 3000}


@pytest.mark.parametrize(
    "name, stem, args",
    [
        ("rplparallel_d41d.hkl", "rplparallel", None),
        ("rplraw_d41d.hkl", "rplraw", {}),
        ("spiketrain_d41d.hkl", "spiketrain", None),
        ("rpllfp_6eca.hkl", "rpllfp", lfp_args({"resample_rate": 1000, "order": 8, "band": [1, 150]})),
        ("rplhighpass_b59f.hkl", "rplhighpass", highpass_args({"order": 8, "band": [500, 7500]})),
        ("freqspectrum_9c80.hkl", "freqspectrum", spectrum_args("lfp", SPECTRUM)),
        ("freqspectrum_660e.hkl", "freqspectrum", spectrum_args("highpass", SPECTRUM)),
    ],
)
def test_names_are_those_of_pyhipp(name, stem, args):
    assert product_name(stem, args) == name


def test_every_argument_and_their_order_is_in_the_hash():
    args = {"ResampleRate": 1000, "LFPOrder": 8}
    changed = [{"ResampleRate": 500, "LFPOrder": 8}, {"LFPOrder": 8, "ResampleRate": 1000}, {"ResampleRate": 1000}]
    assert argument_hash(args) not in [argument_hash(other) for other in changed]
    assert len({argument_hash(other) for other in changed}) == 3


def test_a_tuple_of_corners_is_hashed_as_pyhipps_list():
    assert argument_hash(highpass_args({"order": 8, "band": (500, 7500)})) == "b59f"


@pytest.mark.parametrize(
    "pattern, names, others",
    [
        (SUBJECT, ["picasso", "Wimsey"], ["picasso2", "", ".git", "a b"]),
        (DAY, ["20181105"], ["181105", "20181105b", "2018-11-05"]),
        (SESSION, ["session01", "session99", "sessioneye"], ["session1", "session001", "session", "sessioneye2"]),
    ],
)
def test_names_of_folders(pattern, names, others):
    assert all(pattern.fullmatch(name) for name in names)
    assert not any(pattern.fullmatch(name) for name in others)
