"""No file from elsewhere runs code: what reads products asks for no pickle, and refuses those that are planted."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hickle
import numpy as np
import pytest

from hippflow.errors import FormatError, HippflowError
from hippflow.io.npy import read_npy
from hippflow.io.products import read_product
from hippflow.io.signals import open_signal
from hippflow.nwb.streams import ArrayField
from hippflow.steps.phy import is_curated
from hippflow.steps.projections import read_arrays

REPOSITORY = Path(__file__).parents[2]

#: What can run code that a file holds, by the names of calls.
LOADERS = {
    "eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "hickle.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.load", "joblib.load", "dill.load", "dill.loads",
    "cloudpickle.load", "cloudpickle.loads", "marshal.load", "marshal.loads", "shelve.open", "pd.read_pickle",
    "pandas.read_pickle", "pd.read_hdf", "pandas.read_hdf", "pd.HDFStore", "np.fromregex",
}  # fmt: skip


def calls(path):
    """Names of everything that a file's code calls, with its keywords."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}, node.lineno


def sources():
    """All code but that which keeps machine code, of this account's own making (test_compiling.py)."""
    return [
        path
        for folder in ("hippflow", "scripts", "plugins/src", "cluster")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        if "__pycache__" not in path.parts and path.name != "compiling.py"
    ]


def test_no_loader_that_runs_code_is_called():
    assert len(sources()) > 200
    found = [
        f"{path.relative_to(REPOSITORY)}:{line} {name}"
        for path in sources()
        for name, words, line in calls(path)
        if name in LOADERS or ((name.endswith("load") or "memmap" in name) and words.get("allow_pickle") == "True")
    ]
    assert found == []
    imports = {
        str(path.relative_to(REPOSITORY))
        for path in sources()
        if re.search(r"^\s*(import|from) (pickle|dill|cloudpickle|joblib|shelve|marshal)\b", path.read_text(), re.M)
    }
    assert imports == {"hippflow/io/npy.py"}  # whose unpickler builds arrays and numbers alone: test_npy.py


def test_the_rules_run_no_code_of_files():
    text = "".join(path.read_text() for path in [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")])
    assert not re.search(r"\b(eval|exec|pickle|hickle)\b", text)


LOOK = """
import sys, json, logging
asked = []
sys.addaudithook(lambda event, args: asked.append([event, *map(str, args)]) if event == "pickle.find_class" else None)
import pickle
pickle.loads(pickle.dumps(sys.path.__class__))
assert asked, "the hook hears nothing"
asked.clear()
import hippflow
from pathlib import Path
day = hippflow.load_day(sys.argv[1])
n_read = 0
for session in day.sessions.values():
    for channel in session.channels.values():
        for name in ("raw", "lfp", "highpass"):
            n_read += getattr(channel, name).between(0, 1)[0].size
        n_read += len(channel.spike_times)
from hippflow.io.products import read_product
for path in sorted(Path(sys.argv[1]).rglob("*.hkl")):
    n_read += len(read_product(path))
n_read += len(day.units)
print(json.dumps([n_read, asked]))
"""


def test_reading_a_finished_day_asks_for_no_class(finished):
    """Python tells of every class or function that any unpickler asks for."""
    day = finished.folder / "results/picasso/20181105"
    done = subprocess.run([sys.executable, "-c", LOOK, str(day)], capture_output=True, text=True, cwd=finished.folder)
    assert done.returncode == 0, done.stderr[-2000:]
    n_read, asked = json.loads(done.stdout)
    assert n_read > 1000
    assert asked == []


class Trap:
    """Makes a file when its pickle is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def sprung(tmp_path):
    return tmp_path / "sprung"


def hickled(tmp_path, sprung):
    path = tmp_path / "rplraw_d41d.hkl"
    hickle.dump({"data": Trap(sprung), "analogInfo": {"SampleRate": 30_000.0}}, str(path), mode="w")
    return path


@pytest.mark.filterwarnings("ignore")
def test_a_product_with_a_pickle_in_it_is_refused_by_every_reader(tmp_path, sprung):
    path = hickled(tmp_path, sprung)
    for read in (read_product, lambda p: open_signal(p).__enter__()):
        with pytest.raises(FormatError):
            read(path)
        assert not sprung.exists()
    stored = ArrayField(path, "data")
    assert stored(0, len(stored)).dtype == np.uint8  # the pickle's bytes, as numbers
    assert not sprung.exists()
    hickle.load(str(path))
    assert sprung.exists()  # the trap does spring where it is trusted


def test_an_array_with_a_pickle_in_it_is_refused_by_every_reader(tmp_path, sprung):
    trap = np.array([Trap(sprung)], object)
    np.save(tmp_path / "stat.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "plane0.npz", mean=trap, maximum=trap)
    phy = tmp_path / "phy"
    phy.mkdir()
    (phy / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tunsorted\n")
    for name in ("spike_templates.npy", "spike_clusters.npy"):
        np.save(phy / name, trap, allow_pickle=True)
    readers = [
        lambda: read_npy(tmp_path / "stat.npy", objects=True),
        lambda: read_npy(tmp_path / "stat.npy"),
        lambda: read_arrays(tmp_path / "plane0.npz", ("mean", "maximum")),
        lambda: is_curated(phy),
    ]
    for read in readers:
        with pytest.raises(HippflowError):
            read()
        assert not sprung.exists()
    np.load(tmp_path / "stat.npy", allow_pickle=True)
    assert sprung.exists()
    os.unlink(sprung)
