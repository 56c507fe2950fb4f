"""No damaged file ends in anything but a right result or a refusal: not in another error, a hang, or a full memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from corpus import SEEDS
from fuzz import FORMATS, MEMORY
from parsers import TARGETS

FUZZ = Path(__file__).with_name("fuzz.py")

#: make faults: as many as the guided fuzzer takes.
LONG = os.environ.get("HIPPFLOW_LONG_FAULTS") == "1"

#: Inputs of the short run and of that of make faults. Products are damaged through HDF5, which takes long; they are no
#: files from elsewhere.
INPUTS = {name: 300 if name in ("asc", "config", "nev") else 750 for name in FORMATS} | {"hickle": 75}
MANY = {name: 100_000 for name in FORMATS} | {"hickle": 5000}


def fuzz(*arguments):
    return subprocess.run([sys.executable, FUZZ, *map(str, arguments)], capture_output=True, text=True, timeout=7200)


def test_every_format_has_seeds_and_a_parser():
    assert set(FORMATS) == set(SEEDS) == set(TARGETS)


@pytest.mark.parametrize("name", FORMATS)
def test_every_seed_is_read(tmp_path, name):
    file, parse = TARGETS[name]
    seeds = SEEDS[name](tmp_path)
    if name == "nsx":
        seeds = [content for content in seeds if not content.startswith(b"NEURALSG")]  # 2.1 is refused
    for content in seeds:
        (tmp_path / file).write_bytes(content)
        parse(tmp_path / file)
    assert len(seeds) >= 3 and max(map(len, seeds)) < 40_000


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_right_or_refused(tmp_path, name):
    done = fuzz(name, "--plain", "--inputs", INPUTS[name], "--keep", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = [int(part) for part in done.stdout.split() if part.isdigit()]
    n_inputs, n_read, n_refused = counts[:3]
    assert n_inputs == n_read + n_refused == INPUTS[name]
    assert (
        n_read > n_inputs / 50 and n_refused > n_inputs / 5
    )  # files that are all refused test no more than the header


@pytest.mark.skipif(not LONG, reason="make faults: 100,000 inputs for each format")
@pytest.mark.parametrize("name", FORMATS)
def test_inputs_that_coverage_guides_are_read_right_or_refused(tmp_path, name):
    pytest.importorskip("atheris")
    done = fuzz(name, "--inputs", MANY[name], "--keep", tmp_path)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
@pytest.mark.parametrize("defect", ["error", "hang", "memory"])
def test_a_defect_ends_the_run_and_its_input_is_kept(tmp_path, defect):
    """The same run with a parser that has the defect, so that a run that ends well says something."""
    code = {
        "error": "raise KeyError('samples')",
        "hang": "while True: pass",
        "memory": f"bytearray({2 * MEMORY})",
    }[defect]
    script = tmp_path / "defect.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FUZZ.parent)!r})\nimport fuzz, parsers\nfuzz.SECONDS = 2\n"
        f"def parse(path):\n    {code}\n"
        "parsers.TARGETS['curation'] = ('curation.json', parse)\n"
        f"sys.argv = ['fuzz.py', 'curation', '--plain', '--inputs', '3', '--keep', {str(tmp_path / 'kept')!r}]\n"
        "sys.exit(fuzz.main())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    expected = {"error": "KeyError: 'samples'", "hang": "Hang: more than 2 s", "memory": "MemoryError"}[defect]
    assert done.returncode == 1 and expected in done.stderr
    assert len(list((tmp_path / "kept").glob("curation-*.bin"))) == 1
