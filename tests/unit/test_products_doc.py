"""docs/products.md says what is in the files: every field and column, its type and its shape."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from products_document import (
    COMMON,
    DOCUMENT,
    check_columns,
    check_fields,
    check_names,
    fields_in,
    flat,
    named_files,
    part,
    rows,
    sections,
)

from hippflow.day.config import load_schema, schema_defaults
from hippflow.demo.day import write_demo_day
from hippflow.io.products import read_product
from hippflow.io.signals import write_signal
from hippflow.names import highpass_args, lfp_args, product_name, spectrum_args
from hippflow.steps.channels import make_channels
from hippflow.steps.freqspectrum import make_freqspectrum
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rpllfp import make_rpllfp
from hippflow.steps.rplparallel import make_rplparallel
from hippflow.steps.rplsplit import make_rplraw
from hippflow.steps.signal_quality import make_signal_quality
from hippflow.steps.sorting import make_sorting
from hippflow.steps.spiketrain import make_spiketrains
from hippflow.steps.units import make_units

#: Section of the document -> products that it describes, below the day's results.
PRODUCTS = {
    "rplparallel": ["session*/rplparallel_d41d.hkl"],
    "rplraw": ["*/array*/channel*/rplraw_d41d.hkl"],
    "rpllfp": ["*/array*/channel*/rpllfp_6eca.hkl"],
    "rplhighpass": ["*/array*/channel*/rplhighpass_b59f.hkl"],
    "freqspectrum": [
        "session*/array*/channel*/freqspectrum_9c80.hkl",
        "session*/array*/channel*/freqspectrum_660e.hkl",
    ],
    "sorting (firings.hkl)": ["mountains/channel*/firings.hkl"],
    "spiketrain (cells.csv, cellNN/...)": ["session*/array*/channel*/cell*/spiketrain_d41d.hkl"],
}
TABLES = {
    ("units (units.csv, metrics.csv, templates.hkl)", "units.csv"): "mountains/channel*/units.csv",
    ("units (units.csv, metrics.csv, templates.hkl)", "metrics.csv"): "mountains/channel*/metrics.csv",
    ("channels (channels.csv)", None): "channels.csv",
    ("spiketrain (cells.csv, cellNN/...)", "cells.csv"): "session*/array*/channel*/cells.csv",
}
#: Products that are no PyHipp objects.
PLAIN = {"sorting (firings.hkl)"}
RULES = ("rplparallel", "rplsplit", "rpllfp", "rplhighpass", "freqspectrum", "signal_quality", "channels")
RULES += ("sorting", "units", "spiketrain")

LFP = {"resample_rate": 1000, "order": 8, "band": [1, 150]}
HIGHPASS = {"order": 8, "band": [500, 7500]}
SPLIT = {"raw_label": r"raw (\d+)", "first_connector": 0, "on_gap": "error"}
SPECTRA = {"lfp_points_per_window": 2000, "highpass_points_per_window": 3000}


@pytest.fixture(scope="module")
def results(tmp_path_factory, pytestconfig):
    """All products of two channels, 4 s of navigation and 2 s of fixation; signals of one channel in int16 as well."""
    day = write_demo_day(tmp_path_factory.mktemp("raw"), channels=[9, 31], seconds=4)
    folder = tmp_path_factory.mktemp("results") / "picasso" / "20181105"
    channels = ["array01/channel009", "array01/channel031"]
    defaults = schema_defaults(load_schema(pytestconfig.rootpath / "schemas/config.schema.yaml"))
    sorting, quality = defaults["sorting"], defaults["quality"]
    names = {
        "raw": product_name("rplraw"),
        "lfp": product_name("rpllfp", lfp_args(LFP)),
        "highpass": product_name("rplhighpass", highpass_args(HIGHPASS)),
    }
    for session, stem in (("session01", "181105_Block1"), ("sessioneye", "181105_DST")):
        nev, nsx = day / session / f"{stem}.nev", day / session / f"{stem}.ns5"
        parallel = folder / session / product_name("rplparallel")
        make_rplparallel(nev, parallel, unfinished_trial="drop", no_markers="allow")
        raws = [folder / session / channel / names["raw"] for channel in channels]
        make_rplraw(nsx, raws, nev=nev, dtype="float32", **SPLIT)
        for raw in raws:
            make_rpllfp(raw, raw.with_name(names["lfp"]), dtype="float32", **LFP)
            make_rplhighpass(raw, raw.with_name(names["highpass"]), dtype="float32", **HIGHPASS)
            for signal in ("lfp", "highpass"):
                args = spectrum_args(signal, SPECTRA)
                make_freqspectrum(
                    raw.with_name(names[signal]), raw.with_name(product_name("freqspectrum", args)), args=args
                )
            spectra = [
                raw.with_name(product_name("freqspectrum", spectrum_args(signal, SPECTRA)))
                for signal in ("lfp", "highpass")
            ]
            signals = [raw, raw.with_name(names["lfp"]), raw.with_name(names["highpass"])]
            make_signal_quality(*signals, *spectra, raw.with_name("quality.json"), **quality)
    small = folder / "int16" / "array01" / "channel009" / names["raw"]
    make_rplraw(nsx, [small], nev=nev, dtype="int16", **SPLIT)
    make_rpllfp(small, small.with_name(names["lfp"]), dtype="int16", **LFP)
    make_rplhighpass(small, small.with_name(names["highpass"]), dtype="int16", **HIGHPASS)
    sorting = schema_defaults(load_schema(pytestconfig.rootpath / "schemas/config.schema.yaml"))["sorting"]
    for channel in channels:
        highpass = [folder / session / channel / names["highpass"] for session in ("session01", "sessioneye")]
        sorted_ = folder / "mountains" / channel[-10:]
        files = [sorted_ / name for name in ("firings.hkl", "units.csv", "metrics.csv", "templates.hkl")]
        make_sorting(highpass, files[0], **sorting)
        make_units(highpass, *files, template_size=150, isi_ms=2.0, min_snr=4.5, min_sd_ratio=0.5, max_isi_share=0.005)
        for signal in highpass:
            make_spiketrains(files[0], files[1], signal, signal.with_name("cells.csv"), selection="all")
    reports, units = ([str(path) for path in folder.rglob(name)] for name in ("quality.json", "units.csv"))
    make_channels(reports, units, folder / "channels.csv")
    return folder


@pytest.mark.parametrize("section", PRODUCTS)
def test_every_field_is_documented_and_every_documented_field_exists(results, section):
    common = [] if section in PLAIN else [sections()[COMMON]]
    documented, found = fields_in(*common, part(section)), set()
    files = [path for pattern in PRODUCTS[section] for path in results.glob(pattern)]
    assert files
    for path in files:
        found |= check_fields(flat(read_product(path)), documented, path.name)
    assert not set(documented) - found, "documented, but in no file"


@pytest.mark.parametrize(("section", "table"), TABLES)
def test_every_column_is_documented_and_every_documented_column_exists(results, section, table):
    documented = rows(part(section, table), "Column")
    files = list(results.glob(TABLES[section, table]))
    assert files
    for path in files:
        found = pd.read_csv(path, dtype=str, keep_default_na=False)
        found.columns = [re.sub(r"_session(\d\d|eye)$", "_<session>", name) for name in found.columns]
        check_columns(found.loc[:, ~found.columns.duplicated()], documented, path.name)


def test_every_field_of_a_report_of_quality_is_documented(results, tmp_path):
    """Of sound channels, and of one that has saturated and flat stretches, and problems."""
    documented, found = fields_in(part("signal_quality (quality.json)")), set()
    raw = next(results.glob("session01/array01/channel009/rplraw_d41d.hkl"))
    bad = tmp_path / "session01/array01/channel009/rplraw_d41d.hkl"
    fields = read_product(raw)
    samples = fields["data"].copy()
    samples[300:400], samples[500:600], samples[7:8] = 8000, 3, np.nan
    with write_signal(bad, fields | {"data": samples}, len(samples)) as writer:
        writer.write(samples)
    others = [raw.with_name(name) for name in ("rpllfp_6eca.hkl", "rplhighpass_b59f.hkl")]
    others += [raw.with_name(f"freqspectrum_{name}.hkl") for name in ("9c80", "660e")]
    settings = schema_defaults(load_schema(DOCUMENT.parents[1] / "schemas/config.schema.yaml"))["quality"]
    make_signal_quality(bad, *others, bad.with_name("quality.json"), **settings)
    for path in (bad.with_name("quality.json"), *results.glob("session*/array*/channel*/quality.json")):
        found |= check_fields(flat(json.loads(path.read_text())), documented, path.name)
    assert not set(documented) - found, "documented, but in no file"


def test_templates_are_as_documented(results):
    for path in results.glob("mountains/channel*/templates.hkl"):
        templates = read_product(path)
        assert templates.dtype == np.float32
        assert templates.shape[:2] == (1, 150)
        assert templates.shape[2] == len(pd.read_csv(path.with_name("units.csv")))


def test_file_names_are_in_the_table_of_names(results):
    assert check_names(results) == set(named_files(RULES))


def test_spiketrain_csv_holds_the_times_of_the_product(results):
    for path in results.glob("session*/array*/channel*/cell*/spiketrain.csv"):
        times = np.loadtxt(path, delimiter=",", ndmin=1)
        product = read_product(path.with_name("spiketrain_d41d.hkl"))
        assert np.allclose(times, product["spiketimes"][0], rtol=0, atol=1e-6)
