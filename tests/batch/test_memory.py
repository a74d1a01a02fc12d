"""Memory: freed blocks go back to the system, those in use stay; a stage has its own peak."""

import time
from pathlib import Path

import numpy as np

from batch.memory import release_free_memory
from batch.stages import Stages

MIB = 1 << 20
N_BLOCKS, N_NUMBERS = 3000, 1 << 12  # 32 KiB each: blocks that the allocator keeps


def resident_bytes():
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_freed_blocks_go_back_to_the_system():
    """One block in ten stays in use, so the allocator cannot return the others by itself."""
    release_free_memory()
    before = resident_bytes()
    blocks = [np.full(N_NUMBERS, n, np.int64) for n in range(N_BLOCKS)]
    used = resident_bytes()
    assert used - before > 60 * MIB
    in_use = blocks[::10]
    del blocks
    kept = resident_bytes()
    assert used - kept < 10 * MIB  # the twin: freeing alone returns next to nothing
    release_free_memory()
    assert kept - resident_bytes() > 50 * MIB
    assert [int(block[-1]) for block in in_use] == [*range(0, N_BLOCKS, 10)]


def test_a_stage_has_the_peak_and_the_processor_time_of_its_own():
    """What one stage held does not count for the next; busy time counts, waiting does not."""
    stages = Stages()
    with stages("large"):
        np.ones(100 * MIB, np.uint8)
    with stages("busy"):
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
    with stages("waits"):
        time.sleep(0.05)
    assert stages.peak_mib["large"] - stages.peak_mib["busy"] > 80
    assert stages.cpu_seconds["busy"] >= 0.05
    assert stages.cpu_seconds["waits"] < 0.04 < stages.seconds["waits"]
