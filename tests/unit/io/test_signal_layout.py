"""Files of signals that are copied from one before: the same bytes as if hickle had written each."""

import hickle
import numpy as np
import pytest

from hippflow.io import signal_layout
from hippflow.io.products import base_fields
from hippflow.io.signals import open_signal, write_signal


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(signal_layout, "_images", {})


def write(path, channel, probe, samples, dtype="float32", corner=0.3, filled=()):
    info = {
        "SampleRate": 30000.0,
        "Units": "uV",
        "HighFreqCorner": corner,
        "LowFilterType": "Butterworth",
        "ProbeInfo": probe,
        "Segments": np.array([[0, len(samples), 0, max(0, len(samples) - 1)]]),
        "Filled": np.array(filled, float).reshape(-1, 2),
    }
    place = f"picasso/20181105/session01/array01/channel{channel:03d}/rplraw_d41d.hkl"
    fields = base_fields(place, "channel") | {"analogInfo": info, "numSets": 1}
    with write_signal(path, fields, len(samples), dtype, 0.25) as writer:
        writer.write(np.asarray(samples, np.float32))
    return path.read_bytes()


def first_of_its_kind(path, monkeypatch, *arguments, **options):
    monkeypatch.setattr(signal_layout, "_images", {})
    return write(path, *arguments, **options)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
def test_the_second_file_is_the_same_bytes_as_if_it_were_the_first(tmp_path, monkeypatch, dtype, n):
    samples = np.arange(n) - 2.0
    write(tmp_path / "a", 3, "raw 3", np.zeros(n), dtype)
    copied = write(tmp_path / "b", 124, "raw 7", samples, dtype)
    assert len(signal_layout._images) == 1
    assert copied == first_of_its_kind(tmp_path / "c", monkeypatch, 124, "raw 7", samples, dtype)


def test_hickle_reads_what_was_copied(tmp_path):
    write(tmp_path / "a.hkl", 3, "raw 3", np.zeros(5))
    write(tmp_path / "b.hkl", 9, "raw 9", np.array([1.5, -3, 0, 0, 8]))
    fields = hickle.load(str(tmp_path / "b.hkl"))
    assert fields["data"].tolist() == [1.5, -3, 0, 0, 8]
    assert fields["dirs"] == ["picasso/20181105/session01/array01/channel009"]
    assert fields["analogInfo"]["ProbeInfo"] == "raw 9"
    assert (fields["analogInfo"]["MinVal"], fields["analogInfo"]["MaxVal"]) == (-3, 8)


def test_what_differs_in_more_than_letters_is_not_copied(tmp_path, monkeypatch):
    variants = [
        ((9, "raw 10"), {}),
        ((9, "raw 9"), {"corner": 0.3 + 1e-16}),
        ((9, "raw 9"), {"corner": 0.4}),
        ((9, "raw 9"), {"filled": [[1.0, 2.0]]}),
        ((9, "raw 9"), {"filled": [[1.0, 2.0 + 1e-12]]}),
        ((9, "Ümlaut"), {}),
    ]
    made = [write(tmp_path / str(k), *names, np.arange(5.0), **options) for k, (names, options) in enumerate(variants)]
    for k, (names, options) in enumerate(variants):
        again = first_of_its_kind(tmp_path / f"again{k}", monkeypatch, *names, np.arange(5.0), **options)
        assert made[k] == again, variants[k]


def test_a_name_that_hickle_stores_as_a_reference_is_no_pattern(tmp_path):
    units = "uV"  # one object: the field Units has it already
    write(tmp_path / "a", 3, units, np.zeros(5))
    write(tmp_path / "b", 3, "mV", np.zeros(5))
    for name, probe in (("a", "uV"), ("b", "mV")):
        with open_signal(tmp_path / name) as signal:
            assert (signal.info["ProbeInfo"], signal.info["Units"]) == (probe, "uV")


def test_only_some_patterns_are_kept(tmp_path):
    for k in range(30):
        write(tmp_path / "a", 1, "x" * k, np.zeros(5))
        assert len(signal_layout._images) <= 8
