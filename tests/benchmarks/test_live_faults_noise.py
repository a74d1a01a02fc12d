"""Noise on live lines: the fault log lists every broken line."""

import json
from collections import Counter

import pytest

from benchmarks.simulator.history.noise import KINDS as NOISES
from benchmarks.simulator.history.strict import is_sound
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.specs import read_spec
from benchmarks.simulator.live.faults.stream import FaultyStream
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.log_formats import LOG_FORMATS
from tests.benchmarks.fault_lines import BATCHES, ITEM, LINES, WORLD, run_faults


@pytest.mark.parametrize("kind", NOISES)
def test_noise_breaks_exactly_the_listed_lines(kind):
    """One kind at a time, with the verdict of the strict patterns on each line."""
    share = 1 if kind in {"rating", "number"} else 0.1
    lines, (record,) = run_faults(f"3s noise share={share} only={kind} for=20s", log_format="2026")
    broken = record["broken"]
    assert len(broken) >= 20
    assert {row[1] for row in broken} == {kind}
    for number, _, verdict in broken:
        assert record["first_line"] <= number <= record["last_line"]
        assert is_sound(lines[number - 1]) == (verdict == "parses")
    listed = {number for number, _, _ in broken}
    rest = [line for number, line in enumerate(lines, 1) if number not in listed]
    moved = {"late": len(broken), "joined": 2 * len(broken), "duplicate": 0, "blank": 0}
    missing = Counter(LINES["2026"]) - Counter(rest)
    assert not Counter(rest) - Counter(LINES["2026"])
    assert sum(missing.values()) == moved.get(kind, len(broken))


def test_noise_after_other_faults_is_listed_by_final_line_numbers():
    """Floods and a change of edition are applied first, noise last."""
    specs = (f"0s flood item={ITEM} views=200 for=20s", "0s edition to=2026", "1s noise share=0.1")
    lines, (_, _, record) = run_faults(*specs)
    assert len({row[1] for row in record["broken"]}) > 8
    rejected = {number for number, line in enumerate(lines, 1) if not is_sound(line)}
    assert rejected == {number for number, _, verdict in record["broken"] if verdict == "rejected"}


def test_the_numbers_of_broken_lines_are_line_numbers_of_the_file(tmp_path):
    """Counted by a reader of the file."""
    faults = FaultSchedule(WORLD, [read_spec("0s noise share=0.05")])
    path = tmp_path / "events.log"
    stream = FaultyStream(FileStream(path), faults, WORLD, LOG_FORMATS["2026"])
    faults.tick(0)
    for lines in BATCHES["2026"]:
        stream.send(lines)
    stream.close()
    faults.write(tmp_path / "faults.jsonl")
    (record,) = map(json.loads, (tmp_path / "faults.jsonl").read_text().splitlines())
    read = path.read_bytes().split(b"\n")[:-1]
    rejected = {number for number, line in enumerate(read, 1) if not is_sound(line)}
    assert rejected == {number for number, _, verdict in record["broken"] if verdict == "rejected"}
    assert len(rejected) > 50
