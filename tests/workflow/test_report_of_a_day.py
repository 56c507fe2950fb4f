"""The report of a day as the workflow makes it, hippflow report at any time, and Snakemake's own report."""

import re
import shutil
import subprocess
import sys
import zipfile

import pytest

DAY = "picasso/20181105"
REPORT = f"results/{DAY}/report.html"


@pytest.fixture
def copy(finished, workflow):
    """A copy of the finished day whose products a test may change."""
    for name in ("results", ".snakemake", "data"):
        shutil.copytree(finished.folder / name, workflow.folder / name, copy_function=shutil.copy2)
    return workflow


def report(folder, *arguments, code=0):
    command = [sys.executable, "-m", "hippflow", "report", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_the_workflow_and_the_command_make_the_same_bytes(copy):
    page = copy.folder / REPORT
    made = page.read_bytes()
    page.unlink()
    assert report(copy.folder, "20181105") == f"{REPORT}\n"
    assert page.read_bytes() == made
    assert page.read_text().count("<h2") == 8  # problems, and seven sections


def test_a_report_is_made_again_when_a_product_changed_and_only_then(copy):
    assert copy.plan() == []
    (copy.folder / f"results/{DAY}/session01/raycast.json").unlink()
    assert copy.plan() == [f"Report of {DAY}", f"What the animal looked at in {DAY}/session01"]


def test_runs_of_one_channel_or_some_sessions_leave_the_report_alone(copy):
    (copy.folder / f"results/{DAY}/session01/array02/channel034/cells.csv").unlink()
    made = [
        f"Place fields of {DAY}/session01/array02/channel034",
        f"Spike trains of {DAY}/session01/array02/channel034",
    ]
    assert copy.plan("channel/20181105/034") == made
    assert copy.plan("--config", "channels=34") == made
    assert copy.plan() == sorted([*made, f"Report of {DAY}"])


def test_an_unfinished_day_has_a_report_of_why(copy):
    path = copy.folder / f"results/{DAY}/mountains/channel034/firings.hkl"
    highpass = copy.folder / f"results/{DAY}/session01/array02/channel034/rplhighpass_b59f.hkl"
    path.unlink()
    highpass.write_bytes(b"damaged")
    copy.run("channel/20181105/034", "--rerun-triggers", "mtime", status=1)
    report(copy.folder, DAY)
    text = (copy.folder / REPORT).read_text()
    assert re.search(rf"\d+ of \d+ products are missing; failed: .*sorting \({DAY}\)", text)
    assert re.search(r"1 of 3 products missing: FormatError: .*rplhighpass_b59f\.hkl: expected", text)


def test_a_day_that_is_not_there_is_one_line(finished):
    said = report(finished.folder, "20181106", code=1)
    assert said == "hippflow: 20181106: no such day is selected; nearest: 20181105\n"


def test_snakemakes_own_report_has_the_days_and_figures(copy):
    copy.run("--report", "report.zip")
    with zipfile.ZipFile(copy.folder / "report.zip") as archive:
        names = [name.rpartition("/")[2] for name in archive.namelist()]
        data = "".join(
            archive.read(name).decode(errors="replace") for name in archive.namelist() if "report.html" in name
        )
    assert {"report.html", "alignment.png", "channels.csv"} <= set(names)
    assert "Every day has a report of its own" in data
