import json
import random
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
import yaml

from hippflow.cost.check import check, table, to_dict, total
from hippflow.cost.defaults import make_defaults
from hippflow.cost.history import History, Line, fit, load_history
from hippflow.cost.observations import Observation

REPOSITORY = Path(__file__).parents[3]
DEFAULTS = {
    "measured": "long ago",
    "rules": {"rpllfp": {"seconds": 0.1, "seconds_per_gb": 3.0, "smallest_gb": 0.001, "largest_gb": 1.0, "jobs": 9}},
    "outputs": {"rpllfp": {"rpllfp_#.hkl": 0.04}},
}


def jobs(number=40, seconds=0.2, per_gb=5.0, noise=0.0, largest=1e9):
    generator = random.Random(1)
    found = []
    for k in range(number):
        n_bytes = int(largest * (k + 1) / number)
        cpu = (seconds + per_gb * n_bytes / 1e9) * (1 + noise * generator.uniform(-1, 1))
        found.append(Observation("rpllfp", n_bytes, cpu, {"rpllfp_#.hkl": n_bytes // 10}))
    return found


def test_a_line_is_found_whatever_a_few_jobs_did():
    found = jobs()
    line = fit(found, None)
    assert (line.seconds, line.seconds_per_byte * 1e9) == (pytest.approx(0.2), pytest.approx(5.0))
    held_up = [Observation("rpllfp", one.n_bytes, 3 * one.cpu) if k in (3, 20) else one for k, one in enumerate(found)]
    line = fit(held_up, None)
    # the shape is that of the others; the level is that of all, as all are paid for
    total_cpu = sum(one.cpu for one in held_up)
    assert sum(line.at(one.n_bytes) for one in held_up) == pytest.approx(total_cpu)
    assert line.seconds_per_byte / line.seconds == pytest.approx(25e-9, rel=0.02)


def test_a_line_has_no_negative_part():
    falling = [Observation("x", 1000 * k, 10.0 - k) for k in range(1, 10)]
    assert fit(falling, None).seconds_per_byte == 0
    steep = [Observation("x", 1000 * k, (k - 0.9) * 2) for k in range(1, 10)]
    line = fit(steep, None)
    assert line.seconds == 0 and line.seconds_per_byte > 0


def test_jobs_of_one_size_scale_the_default():
    alike = [Observation("rpllfp", 500_000_000, 3.2) for _ in range(20)]
    line = fit(alike, Line(0.1, 3e-9))  # 1.6 s by default
    assert (line.seconds, line.seconds_per_byte) == (pytest.approx(0.2), pytest.approx(6e-9))


def test_a_rule_with_few_jobs_takes_the_default():
    history = History(jobs(4), DEFAULTS)
    assert history.predict("rpllfp", 1e9).cpu == pytest.approx(3.1)
    assert (history.predict("rpllfp", 1e9).basis, history.predict("rpllfp", 1e9).error) == ("defaults", 0.5)
    assert (history.predict("new", 1e7).basis, history.predict("new", 1e7).cpu) == ("unknown", 2.0)


def test_a_rule_with_jobs_has_an_error_of_its_own_and_a_larger_one_far_from_its_sizes():
    history = History(jobs(noise=0.2), DEFAULTS)
    near, far = history.predict("rpllfp_2", 5e8), history.predict("rpllfp", 4e10)
    assert near.cpu == pytest.approx(2.7, rel=0.1)
    assert (near.basis, far.basis, far.error) == ("history", "far", 0.5)
    assert 0.05 <= near.error < 0.15
    assert far.cpu == pytest.approx(200, rel=0.1)


def test_products_are_sized_by_the_history_then_the_defaults():
    path = "results/p/rpllfp_6eca.hkl"
    assert History(jobs(), DEFAULTS).output_bytes("rpllfp", path, 1e8) == pytest.approx(1e7, rel=1e-3)
    assert History((), DEFAULTS).output_bytes("rpllfp", path, 1e8) == pytest.approx(4e6)
    assert History().output_bytes("rpllfp", path, 1e8) == 1e8


def test_held_out_jobs_show_the_errors_error():
    (exact,) = check(History(jobs()))
    assert exact.error == pytest.approx(0, abs=1e-9) and exact.typical == pytest.approx(0, abs=1e-9)
    assert exact.larger == pytest.approx(0, abs=1e-9)
    # what grows with the square is not seen in the smaller half
    square = [Observation("sorting", k * 1000, (k / 10) ** 2) for k in range(1, 41)]
    (bent,) = check(History(square))
    assert bent.larger < -0.3
    noisy = check(History([*jobs(noise=0.5), *square]))
    assert [one.rule for one in noisy] == ["sorting", "rpllfp"]  # by CPU time
    both = total(noisy)
    expected = sum(one.error * one.measured for one in noisy) / sum(one.measured for one in noisy)
    assert both.error == pytest.approx(expected) and both.jobs == 80
    assert set(to_dict(noisy)) == {"sorting", "rpllfp", "all"}


def test_the_check_fits_a_terminal_and_says_when_there_is_nothing():
    text = table(check(History(jobs(noise=0.3))))
    assert max(map(len, text.splitlines())) <= 100
    assert "rpllfp" in text and " %" in text
    assert "No rule has 8 finished jobs yet" in table(check(History(jobs(7))))


def test_a_history_is_read_from_records_and_snakemakes_inputs(tmp_path):
    runs, metadata = tmp_path / ".snakemake/hippflow/runs", tmp_path / ".snakemake/metadata"
    runs.mkdir(parents=True)
    metadata.mkdir(parents=True)
    lines = [{"event": "start", "at": 1.0, "command": ["snakemake"], "folder": str(tmp_path), "config": {}}]
    lines[0] |= {"host": "h", "pid": 1, "identity": "1"}
    for k in range(3):
        (tmp_path / f"in{k}").write_bytes(bytes(1000 * (k + 1)))
        (tmp_path / f"out{k}.hkl").write_bytes(bytes(10))
        name = urlsafe_b64encode(f"out{k}.hkl".encode()).decode()
        (metadata / name).write_text(json.dumps({"input": [f"in{k}", "in0"] if k else ["in0"]}))
        entry = {"event": "job", "at": 2.0, "id": k, "rule": "rpllfp_2", "wildcards": {}, "outputs": [f"out{k}.hkl"]}
        lines += [entry | {"logs": []}, {"event": "finished", "at": 3.0, "id": k, "cpu": k + 0.5, "wall": 9.0}]
    (tmp_path / "in2").unlink()  # of this job nobody can say any more what it read
    (runs / "20260101T000000Z-1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = load_history(tmp_path).observations
    assert {rule: sorted((one.n_bytes, one.cpu) for one in some) for rule, some in found.items()} == {
        "rpllfp": [(1000, 0.5), (3000, 1.5)]
    }
    assert found["rpllfp"][0].outputs == {"out#.hkl": 10}


def test_the_shipped_defaults_are_what_their_writer_writes():
    shipped = yaml.safe_load((REPOSITORY / "resources/benchmark_defaults.yaml").read_text())
    assert {"rplsplit", "rpllfp", "rplhighpass", "sorting", "units", "suite2p", "staging"} <= set(shipped["rules"])
    made = make_defaults(jobs(), "today")
    assert made["rules"]["rpllfp"] == {
        "seconds": 0.2, "seconds_per_gb": 5.0, "smallest_gb": 0.025, "largest_gb": 1.0, "jobs": 40,
    }  # fmt: skip
    assert made["outputs"] == {"rpllfp": {"rpllfp_#.hkl": 0.1}}
    history = History((), shipped | {"rules": made["rules"]})
    assert history.predict("rpllfp", 1e9).cpu == pytest.approx(5.2)
