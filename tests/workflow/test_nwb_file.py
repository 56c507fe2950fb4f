"""The demo days as NWB files: true, clean for the inspector, and left alone by narrowed runs."""

import json
import shutil

import numpy as np
import pytest
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO
from snakemakes_records import check_dependencies, products_of

import hippflow
from hippflow.demo.imaging import write_demo_imaging
from hippflow.demo.truth import load_truth

PICASSO, ZEBRAFISH = "picasso/20181105", "zebrafish/20220104"
FILES = [f"results/{PICASSO}/picasso_20181105.nwb", f"results/{ZEBRAFISH}/zebrafish_20220104.nwb"]
ANIMALS = {
    "picasso": {"species": "Macaca fascicularis", "sex": "M", "age": "P8Y"},
    "zebrafish": {"species": "Danio rerio", "sex": "U", "age": "P7D"},
}
NWB = {
    "enable": True, "subjects": ANIMALS, "indicator": "GCaMP6s", "excitation_lambda": 920, "emission_lambda": 510,
}  # fmt: skip
OTHERS = {"suite2p": {"fs": 2, "tau": 1.8}}


def configure(folder, **changes):
    """Write settings; JSON is YAML."""
    (folder / "settings.yaml").write_text(json.dumps(OTHERS | {"nwb": NWB | changes}))
    return ("--configfile", "settings.yaml")


@pytest.fixture(scope="module")
def workflow(finished, new_workflow):
    """The finished day and a movie, with their NWB files. Tests leave everything as it is."""
    workflow = new_workflow()
    for name in ("results", ".snakemake", "data"):
        shutil.copytree(finished.folder / name, workflow.folder / name, copy_function=shutil.copy2)
    write_demo_imaging(workflow.folder / "data", frames=300)
    workflow.nwb_run = workflow.run(*configure(workflow.folder))
    return workflow


def test_only_what_is_new_is_made(workflow):
    messages = [message for message in workflow.nwb_run.jobs if ZEBRAFISH not in message]
    assert "NWB file of picasso/20181105" in messages
    assert not [message for message in messages if "channel" in message or "session" in message]
    assert workflow.plan(*configure(workflow.folder)) == []


def test_files_are_made_of_what_snakemake_recorded(workflow, monkeypatch):
    monkeypatch.chdir(workflow.folder)
    configure(workflow.folder)
    products = products_of("settings.yaml")
    assert {
        product.path for day in products.catalog.days for product in products.of_day(day) if product.kind == "nwb"
    } == set(FILES)
    assert "nwb" in check_dependencies(products)


@pytest.mark.parametrize("path", FILES)
def test_the_inspector_finds_nothing_that_is_wrong(workflow, path):
    found = list(inspect_nwbfile(nwbfile_path=workflow.folder / path))
    assert [m for m in found if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value] == []


def test_the_days_arrays_are_those_of_the_products(workflow):
    truth = load_truth(workflow.folder / "data" / PICASSO)
    day = hippflow.load_day(workflow.folder / "results" / PICASSO)
    with NWBHDF5IO(workflow.folder / FILES[0], "r") as io:
        file = io.read()
        table = file.intervals["sessions"].to_dataframe().set_index("session")
        assert table["start_source"].tolist() == ["header of the nev"] * 2
        for name, session in day.sessions.items():
            series, offset = file.processing["ecephys"]["LFP"][f"lfp_{name}"], table["clock_offset"][name]
            assert series.starting_time == pytest.approx(offset + session.channels[9].lfp.times(0, 1)[0])
            for column, channel in enumerate(session.channels.values()):
                assert np.array_equal(series.data[:, column], channel.lfp[:])
        trials = file.trials.to_dataframe()
        first = trials[trials["session"] == "session01"]
        # the recorder's own ticks, from the simulation
        ticks = np.asarray(truth.sessions["session01"].trial_ticks)
        assert np.allclose(first[["start_time", "cue_offset_time", "stop_time"]] * 30000, ticks, atol=1e-3)
        gaze = file.processing["behavior"]["gaze_target_session01"]
        names = [*file.processing["behavior"]["gaze_objects"]["object"][:], "Sample Ignored"]
        assert [names[row] for row in gaze.data[:]] == day["session01"].gaze["object"].tolist()
        for row, (number, unit) in enumerate(zip(file.units["channel"][:], file.units["unit"][:], strict=True)):
            trains = [
                session.channels[number].spike_times[unit] + table["clock_offset"][name]
                for name, session in sorted(day.sessions.items())
            ]
            assert np.allclose(file.units["spike_times"][row], np.concatenate(trains), rtol=0, atol=1e-9)


def test_a_narrowed_run_leaves_the_file_alone(workflow):
    settings = configure(workflow.folder)
    (workflow.folder / FILES[0]).rename(workflow.folder / "away")
    try:
        for narrowed in (["--config", "channels=9"], ["channel/20181105/009"], ["--config", "sessions=session01"]):
            assert not [message for message in workflow.plan(*narrowed, *settings) if message.startswith("NWB")]
        assert workflow.plan(*settings) == ["NWB file of picasso/20181105"]
    finally:
        (workflow.folder / "away").rename(workflow.folder / FILES[0])


def test_an_animal_of_its_own_makes_its_own_files_anew(workflow):
    other = {"subjects": ANIMALS | {"zebrafish": ANIMALS["zebrafish"] | {"age": "P6D"}}}
    assert workflow.plan(*configure(workflow.folder, **other)) == [f"NWB file of {ZEBRAFISH}"]
    assert workflow.plan(*configure(workflow.folder, enable=False)) == []


def test_an_animal_of_which_too_little_is_known_stops_the_run(workflow):
    run = workflow.run("--dry-run", *configure(workflow.folder, subjects={"picasso": {"sex": "M"}}), status=1)
    assert "config.yaml: nwb.subjects.picasso.species: expected the Latin name" in run.output
    assert "nwb.subjects.zebrafish.age: expected an ISO 8601 duration" in run.output
    wrong = {"picasso": {"species": "monkey", "sex": "male", "age": "8 years"}}
    run = workflow.run("--dry-run", *configure(workflow.folder, subjects=wrong), status=1)
    for message in (
        "nwb.subjects.picasso.species: expected the Latin name, as Macaca fascicularis; found 'monkey'",
        "nwb.subjects.picasso.sex: 'male' is not one of M, F, O, U",
        "nwb.subjects.picasso.age: expected an ISO 8601 duration, as P8Y, or two with a slash",
        "found '8 years'",
    ):
        assert message in run.output
