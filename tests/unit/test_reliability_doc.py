"""The table of promises: every drill that it names is a test, and every drill of ours is named."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reliability.md").read_text()
ROWS = [line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith(("| promise", "|---"))]
DRILL = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def functions_of(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


FILES = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}


def test_every_row_has_a_promise_drills_and_what_is_seen():
    assert len(ROWS) > 40
    for row in ROWS:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 3, row
        assert all(cells)
        assert re.fullmatch(rf"{DRILL.pattern}(, {DRILL.pattern})*", cells[1]), cells[1]
    promises = Counter(row.split(" | ")[0] for row in ROWS)
    assert set(promises.values()) == {1}


@pytest.mark.parametrize("file", sorted({file for file, _ in DRILL.findall(TEXT)}))
def test_every_drill_is_a_test(file):
    named = {name for found, name in DRILL.findall(TEXT) if found == file}
    assert named <= functions_of(FILES[file])


def test_every_part_has_a_table():
    parts = re.findall(r"^## (.*)\n\n\| promise \| drill \| what you see \|", TEXT, re.MULTILINE)
    assert parts == ["On one machine", "On Slurm", "With buckets", "Bad days and bad input", "Security"]


@pytest.mark.parametrize("path", sorted((ROOT / "tests/faults").glob("test_*.py")), ids=lambda path: path.name)
def test_every_file_of_drills_is_in_the_table(path):
    assert f"`{path.name}::" in TEXT
