"""Memory and disk over a rehearsal: a leak has a slope, a peak has none."""

import subprocess
import sys
from itertools import pairwise

import pytest

from benchmarks.harness.processes import wait_until
from benchmarks.scenarios.rehearsal.growth import (
    DISK,
    OUTSIDE,
    SERVICE,
    GrowthRecorder,
    Sample,
    growth_of,
    print_growth,
    problems_of_growth,
)

MIB = 1 << 20
# Allocates as many MiB as each line of its input says, and confirms it.
ALLOCATES = (
    f"import sys\nfor line in sys.stdin:\n held = b'x' * (int(line) * {MIB}); print(flush=True)"
)


@pytest.fixture
def process():
    """Return a process that leads a session and has as much memory as it is asked for."""
    command = [sys.executable, "-c", ALLOCATES]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        yield started
        started.kill()


def allocate(process, n_mib):
    process.stdin.write(f"{n_mib}\n")
    process.stdin.flush()
    process.stdout.readline()


def test_leak_has_a_slope_and_a_peak_has_none():
    """Both start with a warm-up of 100 MiB, which is not growth; the leak has gaps and noise."""
    samples = []
    for second in range(0, 200, 5):
        warm_up = min(second, 50) * 2.0
        mib = {"steady": 900.0 if second == 90 else warm_up}
        if second != 100:
            mib["leak"] = warm_up + 0.25 * second + second % 3
        samples.append(Sample(second, mib))
    leak, steady = growth_of(samples, "leak"), growth_of(samples, "steady")
    assert leak.per_second == pytest.approx(0.25, abs=0.01)
    assert steady.per_second == 0
    assert (steady.start, steady.most, steady.end) == (15, 900, 100)


@pytest.mark.parametrize(
    ("seconds", "part", "problems"),
    [
        (2000, "collector", ["collector has grown by 200 MiB in 2,000 s"]),
        (1000, "collector", []),  # twice as fast, but it may be the warm-up
        (2000, "workers", []),  # none lives that long
    ],
)
def test_leak_of_a_lasting_part_fails_a_soak(seconds, part, problems):
    samples = [
        Sample(at, {part: at * 200 / seconds, "speed layer": at * 100 / seconds})
        for at in range(0, seconds + 1, 100)
    ]
    assert problems_of_growth(samples) == problems


def test_memory_is_of_the_part_and_disk_of_the_folder(tmp_path, process):
    """What a part allocates and a folder takes is in the next sample, and in no other row."""
    (tmp_path / "store").mkdir()
    with GrowthRecorder(tmp_path, {process.pid: "part"}, interval_seconds=0.01) as recorder:
        wait_until(lambda: recorder.samples)
        for n_mib in (10, 50):
            allocate(process, n_mib)
            (tmp_path / "store" / "1.mdb").write_bytes(bytes(n_mib * MIB))
            n_before = len(recorder.samples)
            wait_until(lambda: len(recorder.samples) > n_before + 1)  # noqa: B023
    growth, disk = growth_of(recorder.samples, "part"), growth_of(recorder.samples, f"{DISK}store")
    assert growth.end - growth.start == pytest.approx(50, abs=5)
    assert (disk.most, disk.end) == pytest.approx((50, 50), abs=1)
    for sample in recorder.samples:  # other tests may have left children of this process
        parts = [
            n for name, n in sample.mib.items() if not name.startswith((DISK, OUTSIDE, SERVICE))
        ]
        assert sample.mib[SERVICE] == pytest.approx(sum(parts))
    assert all(one.seconds < other.seconds for one, other in pairwise(recorder.samples))


def test_a_job_leads_a_session_below_another_process(tmp_path):
    """It counts to the service; the simulator's own processes do not."""
    command = ["sh", "-c", 'setsid "$0" -c "$1"; true', sys.executable, ALLOCATES]
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as shell,
        GrowthRecorder(tmp_path, {}, interval_seconds=0.01) as recorder,
    ):
        allocate(shell, 30)
        n_before = len(recorder.samples)
        wait_until(lambda: len(recorder.samples) > n_before + 1)
        shell.communicate()
    most = max(recorder.samples, key=lambda one: one.mib.get(SERVICE, 0.0)).mib
    assert most["jobs and commands"] == most[SERVICE] == pytest.approx(35, abs=10)
    assert most[OUTSIDE] > most[SERVICE]


def test_growth_is_shown_for_a_simulated_day(capsys):
    """At 24 simulated seconds in a real one, 1 MiB in a minute is 60 MiB in a day."""
    samples = [Sample(60 * minute, {"collector": 100.0 + minute}) for minute in range(8)]
    print_growth(samples, 24)
    *_, row = capsys.readouterr().err.splitlines()
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "collector", "100.0", "107.0", "107.0", "+60.0",
    ]  # fmt: skip
