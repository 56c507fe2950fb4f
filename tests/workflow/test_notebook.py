"""What a student does with a finished day: the notebook and the example of the documentation, run as they are."""

import ast
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import h5py
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import hippflow
from hippflow.demo.finished import write_finished_imaging
from hippflow.steps.placefield import make_placefields
from hippflow.steps.umaze import make_umaze

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks/explore_day.ipynb"

#: Run after the notebook's own cells: what it showed, as numbers.
REPORT = """\
import json
json.dumps({
    "unit": [int(best["channel"]), int(best["unit"])], "spikes": spikes.tolist(), "trials": len(trials),
    "lfp": [times[0], times[-1], float(lfp[0])], "counted": float(rate.sum() * width * len(trials)),
    "peak": float(np.nanmax(channel.rate_map(best["unit"]))), "traces": activity.shape, "file": hippflow.__file__,
})
"""


@pytest.fixture(scope="module")
def imaging(tmp_path_factory):
    return write_finished_imaging(tmp_path_factory.mktemp("imaging"))


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """The finished day with bins of the maze that count after one visit: in 16 s none has five."""
    folder = tmp_path_factory.mktemp("results") / "picasso/20181105"
    shutil.copytree(finished.product(""), folder, copy_function=os.link)  # steps replace files, and never change them
    session = folder / "session01"
    for path in [*session.rglob("umaze_*.hkl"), *session.rglob("vmplacecell_*.hkl")]:
        path.unlink()
    grid = {"grid_steps": 40, "overall_grid_size": 25, "min_obs": 1}
    make_umaze(session / "unity_71bf.hkl", session / "umaze_ee30.hkl", **grid)
    for cells in session.rglob("cells.csv"):
        tables = cells, session / "umaze_ee30.hkl", cells.with_name("placefields.csv")
        make_placefields(*tables, n_shuffles=20, shuffle_bounds=[0.1, 0.9], seed=0, **grid)
    return folder


@pytest.fixture(scope="module")
def ran(folder, imaging, tmp_path_factory):
    """The notebook after it has run on finished days."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    names = dict(re.findall(r'^(\w+) = "(.*)"$', parameters.source, re.MULTILINE))
    assert list(names) == ["day_folder", "imaging_folder"]
    parameters.source = f"day_folder = {str(folder)!r}\nimaging_folder = {str(imaging)!r}"
    notebook.cells.append(nbformat.v4.new_code_cell(REPORT))
    place = str(tmp_path_factory.mktemp("notebook"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):  # not in the home of who tests
            patch.setenv(name, place)
        resources = {"metadata": {"path": place}}
        return NotebookClient(notebook, kernel_name="python3", timeout=120, resources=resources).execute()


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert 5 <= len(cells) <= 12
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_every_step_of_the_notebook_says_why():
    for before, cell in itertools.pairwise(nbformat.read(NOTEBOOK, as_version=4).cells):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown" and len(before.source) > 60


def test_the_notebook_shows_tables_and_figures_and_complains_about_nothing(ran):
    outputs = [output for cell in ran.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert (kinds.count("image/png"), kinds.count("text/html")) == (5, 2)


def test_what_the_notebook_shows_is_in_the_files(folder, ran):
    shown = json.loads(ast.literal_eval(ran.cells[-1].outputs[0].data["text/plain"]))
    assert Path(shown["file"]).is_relative_to(ROOT)
    number, unit = shown["unit"]
    metrics = {path.parent.name: pd.read_csv(path) for path in folder.glob("mountains/channel*/metrics.csv")}
    best = metrics[f"channel{number:03d}"].set_index("unit")["snr"][unit]
    assert best == max(table["snr"].max() for table in metrics.values())

    with h5py.File(folder / "session01/rplparallel_d41d.hkl") as file:
        trials = file['data/"timeStamps"'][()]
    assert shown["trials"] == len(trials)
    (channel,) = folder.glob(f"session01/array*/channel{number:03d}")
    spikes = np.loadtxt(channel / f"cell{unit:02d}/spiketrain.csv", delimiter=",") / 1000
    np.testing.assert_allclose(shown["spikes"], spikes, atol=1e-9)
    around = [((spikes >= cue - 1) & (spikes < cue + 2)).sum() for cue in trials[:, 1]]
    assert shown["counted"] == pytest.approx(sum(around)) and sum(around) > 0

    with h5py.File(channel / "rpllfp_6eca.hkl") as file:
        inside = (np.arange(len(lfp := file['data/"data"'][()])) / 1000 >= trials[0, 0]).argmax()
    np.testing.assert_allclose(shown["lfp"], [inside / 1000, shown["lfp"][1], lfp[inside]], rtol=1e-6)
    assert shown["lfp"][1] < trials[0, 2] <= shown["lfp"][1] + 0.001
    peak = pd.read_csv(channel / "placefields.csv").set_index("cell")["peak_rate"][f"cell{unit:02d}"]
    assert shown["peak"] == pytest.approx(peak, rel=1e-5) and peak > 0
    assert shown["traces"] == [3, 60]


def test_the_example_of_the_documentation_runs(folder, imaging, tmp_path, monkeypatch):
    for day in (folder, imaging):
        subject = tmp_path / "results" / day.parent.name
        subject.parent.mkdir(exist_ok=True)
        subject.symlink_to(day.parent)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reading.md").read_text(), re.DOTALL)
    found = {}
    exec(example.replace("channels[9]", "channels[34]"), found)  # channel 9 of this day has no units
    assert (found["times"][0], len(found["lfp"])) == (0.5, 1000)
    assert len(found["spikes"]) > 10 and found["rates"].shape == (40, 40)
    assert found["cells"].shape == (2, 60)


def test_a_map_is_where_the_animal_was_and_has_its_peak_where_the_table_says(folder):
    session = hippflow.load_day(folder)["session01"]
    edges = session.occupancy["vertGridBound"], session.occupancy["horGridBound"]
    visited = np.histogram2d(session.position["z"], session.position["x"], edges)[0] > 0
    checked = 0
    for channel in session.channels.values():
        for cell in channel.place_fields.dropna(subset="peak_x").to_dict("records"):
            rates = channel.rate_map(int(cell["cell"][4:]))
            there = np.isfinite(rates)
            assert visited[there].all() and not visited.T[there].all()
            z, x = np.unravel_index(np.nanargmax(rates), rates.shape)
            assert edges[0][z] < cell["peak_z"] < edges[0][z + 1] and edges[1][x] < cell["peak_x"] < edges[1][x + 1]
            assert rates[z, x] == pytest.approx(cell["peak_rate"], rel=1e-5)
            checked += 1
    assert checked >= 2
